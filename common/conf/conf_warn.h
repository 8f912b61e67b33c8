/* conf_warn: what is allowed in a configuration and rarely meant. Pure. */
#ifndef QCC_COMMON_CONF_CONF_WARN_H
#define QCC_COMMON_CONF_CONF_WARN_H

#include "common/conf/conf_check.h"

/* Calls `fault`, with warning set, for each thing of c that is probably a mistake. c has been
 * through conf_check, whose derived members are read where they are set: it may have faults. */
void conf_warn(const struct conf *c, conf_check_fn *fault, void *arg);

#endif
