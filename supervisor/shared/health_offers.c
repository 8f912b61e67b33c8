/* The part of health.h that is about what endpoints offer. */
#include "supervisor/shared/health.h"

void health_offers(struct offers *o, const struct conf *c)
{
    offers_init(o, c->nendpoints);
    for (size_t i = 0; i < c->nendpoints; i++) {
        const struct conf_endpoint *ce = &c->endpoints[i];
        for (size_t k = 0; k < ce->allow.n; k++)
            offers_add_pattern(o, i, str_c(ce->allow.v[k]));
        for (size_t k = 0; k < ce->map.n; k++)
            offers_add_name(o, i, str_c(ce->map.v[k].from));
    }
}
