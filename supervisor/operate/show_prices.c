/* show_prices: the list of prices in force, where there is no history to ask. */
#include "supervisor/operate/show.h"

#include "common/base/clock.h"
#include "common/price/price_doc.h"

/* Since when a factor holds is known to the history alone. */
static void put_factors(const struct conf *c, struct doc *d)
{
    uint32_t n = 0;
    for (size_t i = 0; i < c->nendpoints; i++)
        n += c->endpoints[i].price_factor != PRICE_ONE;
    doc_text(d, "factors");
    doc_array(d, n);
    for (size_t i = 0; i < c->nendpoints; i++)
        if (c->endpoints[i].price_factor != PRICE_ONE)
            price_doc_factor(d, str_c(c->endpoints[i].name), c->endpoints[i].price_factor,
                             INT64_MIN);
}

unsigned show_prices(const struct operate_env *env, struct str arg, struct doc *d)
{
    unsigned status = price_doc_begin(d, &env->conf->price_list, arg, clock_wall_ms() / 1000);
    if (status != 200)
        return status;
    doc_kv_text(d, "unpriced", NULL);
    put_factors(env->conf, d);
    return status;
}
