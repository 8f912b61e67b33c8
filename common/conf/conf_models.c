#include "common/conf/conf_models.h"

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

struct str conf_map_name(const struct conf_map *m, struct str name)
{
    const char *there = conf_map_find(m, name);
    return there ? str_c(there) : name;
}

struct str conf_model_asked(const struct conf *c, struct str asked)
{
    return c->model_override ? str_c(c->model_override) : conf_map_name(&c->model_map, asked);
}

bool conf_model_offered(const struct conf_endpoint *e, struct str model)
{
    if (e->allow.n == 0)
        return true;
    for (size_t i = 0; i < e->allow.n; i++)
        if (str_glob(str_c(e->allow.v[i]), model))
            return true;
    return conf_map_find(&e->map, model) != NULL;
}
