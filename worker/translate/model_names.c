#include "worker/translate/model_names.h"

#include "common/base/mem.h"
#include "common/conf/conf_models.h"
#include "worker/dialect/model_list.h"
#include "worker/json/json_find.h"

enum { NAMES_MAX = 1000 };

struct names {
    struct str v[NAMES_MAX]; /* they borrow from the configuration */
    size_t n;
};

static void add_name(struct names *l, struct str name)
{
    if (!name.n || conf_is_pattern(name) || l->n == NAMES_MAX)
        return;
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(l->v[i], name))
            return;
    l->v[l->n++] = name;
}

static void add_keys(struct names *l, const struct conf_map *m)
{
    for (size_t i = 0; i < m->n; i++)
        add_name(l, str_c(m->v[i].from));
}

static void collect(struct names *l, const struct conf *c)
{
    add_keys(l, &c->model_map);
    for (size_t i = 0; i < c->nendpoints; i++) {
        const struct conf_endpoint *ce = &c->endpoints[i];
        add_keys(l, &ce->map);
        for (size_t k = 0; k < ce->allow.n; k++)
            add_name(l, str_c(ce->allow.v[k]));
    }
}

enum model_names_result model_names_put(const struct conf *c, struct str id, struct buf *out)
{
    struct names *l = mem_zalloc(1, sizeof *l);
    struct model_list list;
    bool put = false;
    collect(l, c);
    if (!id.n)
        model_list_begin(&list, out);
    for (size_t i = 0; i < l->n; i++) {
        if (!id.n)
            model_list_add(&list, l->v[i], 0);
        else if (str_eq(l->v[i], id))
            put = model_list_one(out, id, 0);
    }
    if (!id.n)
        put = model_list_end(&list);
    size_t n = l->n;
    mem_free(l);
    return n == 0 ? MODEL_NAMES_NONE : put ? MODEL_NAMES_PUT : MODEL_NAMES_UNKNOWN;
}
