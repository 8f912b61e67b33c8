#include "supervisor/shared/health/health_state.h"

struct health_endpoint *health_by_id(const struct health *h, struct str id)
{
    for (size_t i = 0; i < h->n; i++)
        if (str_eq(str_c(h->v[i].id), id))
            return &h->v[i];
    return NULL;
}

struct health_endpoint *health_find(const struct health *h, struct str what)
{
    struct health_endpoint *e = health_by_id(h, what);
    for (size_t i = 0; i < h->n && !e; i++)
        if (str_eq(str_c(h->v[i].name), what))
            e = &h->v[i];
    return e;
}
