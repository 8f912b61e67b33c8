/* conf_map: a name looked up in models.map. Pure. */
#ifndef QCC_COMMON_CONF_CONF_MAP_H
#define QCC_COMMON_CONF_CONF_MAP_H

#include "common/base/base.h"
#include "common/conf/conf.h"

/* The name that stands for `name` in the map: that of the key which is the name itself, else of the
 * first key with '*' that fits, in the order of the file. NULL: there is none. Borrows from m. */
const char *conf_map_find(const struct conf_map *m, struct str name);

/* Whether a name in allow or in map is a pattern (str_glob). */
bool conf_is_pattern(struct str name);

#endif
