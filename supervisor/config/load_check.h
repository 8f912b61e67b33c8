/* load_check: what is to be said of a configuration that was read from a file. */
#ifndef QCC_SUPERVISOR_CONFIG_LOAD_CHECK_H
#define QCC_SUPERVISOR_CONFIG_LOAD_CHECK_H

#include "supervisor/config/faults.h"

struct conf;

/* Adds to f, which has the faults of reading, those of conf_check, and the warnings of conf_warn
 * that are not told from values with a fault. */
void load_check(struct conf *c, struct faults *f);

#endif
