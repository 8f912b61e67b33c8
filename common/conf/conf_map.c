#include "common/conf/conf_map.h"

#include <string.h>

bool conf_is_pattern(struct str name)
{
    return name.n && memchr(name.p, '*', name.n) != NULL;
}

const char *conf_map_find(const struct conf_map *m, struct str name)
{
    const char *fits = NULL;
    for (size_t i = 0; i < m->n; i++) {
        struct str key = str_c(m->v[i].from);
        if (str_eq(key, name))
            return m->v[i].to;
        if (!fits && conf_is_pattern(key) && str_glob(key, name))
            fits = m->v[i].to;
    }
    return fits;
}
