#include "worker/dialect/dialect_learnt.h"

#include "common/base/mem.h"

static struct dialect_entry *find(const struct dialect_table *t, uint32_t endpoint,
                                  struct str model)
{
    for (uint32_t i = 0; i < t->n; i++)
        if (t->v[i].endpoint == endpoint && str_eq(str_make(t->v[i].model, t->v[i].nmodel), model))
            return &t->v[i];
    return NULL;
}

struct dialect_learnt dialect_table_get(const struct dialect_table *t, uint32_t endpoint,
                                        struct str model)
{
    const struct dialect_entry *e = find(t, endpoint, model);
    return e ? e->learnt : (struct dialect_learnt){0};
}

/* Room for a new entry: memory doubles up to the bound, then the oldest goes. */
static struct dialect_entry *take(struct dialect_table *t)
{
    if (t->n == DIALECT_TABLE_MAX) {
        uint32_t at = t->next;
        t->next = (t->next + 1) % DIALECT_TABLE_MAX;
        return &t->v[at];
    }
    if ((t->n & (t->n - 1)) == 0) {
        struct dialect_entry *v = mem_try_realloc(t->v, (t->n ? t->n * 2 : 1) * sizeof *v);
        if (!v)
            return NULL;
        t->v = v;
    }
    return &t->v[t->n++];
}

void dialect_table_put(struct dialect_table *t, uint32_t endpoint, struct str model,
                       const struct dialect_learnt *l)
{
    if (model.n > DIALECT_MODEL_MAX)
        return;
    struct dialect_entry *e = find(t, endpoint, model);
    if (!e) {
        e = take(t);
        if (!e)
            return;
        *e = (struct dialect_entry){.endpoint = endpoint, .nmodel = (uint16_t)model.n};
        if (model.n)
            memcpy(e->model, model.p, model.n);
    }
    e->learnt = *l;
    e->learnt.once = 0;
    e->learnt.once_limit = 0;
}

void dialect_table_free(struct dialect_table *t)
{
    mem_free(t->v);
    *t = (struct dialect_table){0};
}
