#include "worker/verify/verify_model.h"

#include "common/conf/conf_models.h"
#include "common/ipc/model_pack.h"

#include <string.h>

/* Model to ask for when nothing is known of the endpoint: small, cheap, and offered by nearly
 * all. */
#define MODEL_DEFAULT "claude-haiku-4-5"

struct list_of {
    struct str *v;
    size_t n;
};

/* Whether a request for some model is sent on under that name. */
static bool may_be_sent(const struct conf_endpoint *ce, struct str name)
{
    for (size_t i = 0; i < ce->map.n; i++)
        if (str_eq(str_c(ce->map.v[i].to), name))
            return true;
    return conf_model_offered(ce, name) && str_eq(conf_map_name(&ce->map, name), name);
}

static void add(struct list_of *l, struct str name)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(l->v[i], name))
            return;
    if (l->n < VERIFY_MODELS && name.n)
        l->v[l->n++] = name;
}

struct str verify_model_listed(const struct conf_endpoint *ce, struct str listed)
{
    static const struct str small[] = {STR_LIT("haiku"), STR_LIT("mini"), STR_LIT("flash"),
                                       STR_LIT("lite"), STR_LIT("small")};
    struct str first = {0};
    struct model_listed m;
    while (model_pack_next(&listed, &m)) {
        if (!conf_model_offered(ce, m.id))
            continue;
        if (!first.n)
            first = m.id;
        for (size_t i = 0; i < COUNT_OF(small); i++)
            if (str_find_nocase(m.id, small[i]) >= 0)
                return m.id;
    }
    return first;
}

size_t verify_models(const struct conf *c, const struct conf_endpoint *ce, struct str served,
                     bool sent, struct str listed, struct str out[static VERIFY_MODELS])
{
    struct list_of l = {.v = out};
    const char *set = c->failure_queue.probe_model;
    if (sent && may_be_sent(ce, served))
        add(&l, served);
    if (set && !str_eq(str_c(set), STR("auto")))
        add(&l, conf_map_name(&ce->map, str_c(set)));
    if (!sent && served.n && conf_model_offered(ce, served))
        add(&l, conf_map_name(&ce->map, served));
    for (size_t i = 0; i < ce->map.n; i++)
        if (!conf_is_pattern(str_c(ce->map.v[i].to)))
            add(&l, str_c(ce->map.v[i].to));
    for (size_t i = 0; i < ce->allow.n; i++)
        if (!conf_is_pattern(str_c(ce->allow.v[i])))
            add(&l, conf_map_name(&ce->map, str_c(ce->allow.v[i])));
    add(&l, conf_map_name(&ce->map, listed));
    add(&l, conf_map_name(&ce->map, conf_model_asked(c, STR(MODEL_DEFAULT))));
    if (l.n == 0) /* all of the above are empty */
        add(&l, STR(MODEL_DEFAULT));
    return l.n;
}
