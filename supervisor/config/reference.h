/* reference: the configuration reference, printed from the schema's rows (`--print-reference`); the
 * build puts it into qcc.yaml(5). */
#ifndef QCC_SUPERVISOR_CONFIG_REFERENCE_H
#define QCC_SUPERVISOR_CONFIG_REFERENCE_H

#include <stdio.h>

/* Prints Markdown: one table for each mapping of the file, in the order of the schema. */
void reference_print(FILE *out);

#endif
