/* reference: the configuration reference, printed from the schema's rows (`--print-reference`); the
 * README holds a copy, and a test compares the two. */
#ifndef QCC_SUPERVISOR_CONFIG_REFERENCE_H
#define QCC_SUPERVISOR_CONFIG_REFERENCE_H

#include <stdio.h>

/* Markdown: one table for each mapping of the file, in the order of the schema. */
void reference_print(FILE *out);

#endif
