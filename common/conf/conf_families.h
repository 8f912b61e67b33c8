/* conf_families: the families of models that an endpoint's configuration names, which have cells of
 * their own there (common/policy/endpoint/cells.h). */
#ifndef QCC_COMMON_CONF_CONF_FAMILIES_H
#define QCC_COMMON_CONF_CONF_FAMILIES_H

#include "common/conf/conf.h"
#include "common/policy/endpoint/cells.h"

/* Writes the families of the names in allow and of the right-hand sides of map that are no patterns
 * (cells_own). Returns how many there are. */
uint32_t conf_families(const struct conf_endpoint *e, uint64_t own[static CELLS_OWN]);

#endif
