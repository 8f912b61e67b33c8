#include "supervisor/recorder/tables/endpoint_names.h"

/* Places that are looked at for an id. */
enum { NEAR = 8 };

static size_t place(uint32_t id, size_t i)
{
    return (id + i) % ENDPOINT_NAMES;
}

struct str endpoint_names_get(const struct endpoint_names *e, uint32_t id)
{
    for (size_t i = 0; i < NEAR; i++) {
        const struct endpoint_name *p = &e->v[place(id, i)];
        if (p->n && p->id == id)
            return str_make(p->name, p->n);
    }
    return STR("");
}

static void set(struct endpoint_names *e, uint32_t id, struct str name)
{
    struct endpoint_name *to = NULL;
    for (size_t i = NEAR; i-- > 0;) {
        struct endpoint_name *p = &e->v[place(id, i)];
        if (!p->n || !to)
            to = p;
        if (p->n && p->id == id) {
            to = p;
            break;
        }
    }
    to->id = id;
    to->n = (uint8_t)min_size(name.n, sizeof to->name);
    memcpy(to->name, name.p, to->n);
}

/* The endpoint of the only choice. False: there are several, or none was taken. */
static bool only_choice(const struct choices *c, uint32_t *id)
{
    struct choice x;
    struct choice_skip skip;
    size_t at = 0;
    if (c->missed || !choice_next(c, &at, &x) || x.end != SEL_CHOSEN || x.flags & CHOICE_UNDONE)
        return false;
    for (unsigned i = 0; i < x.listed; i++)
        if (!choice_next_skip(c, &at, &skip))
            return false;
    *id = x.endpoint;
    return at == c->len;
}

void endpoint_names_learn(struct endpoint_names *e, const struct recent_record *r)
{
    struct recent_texts t;
    struct recent_attempt a;
    uint32_t id;
    size_t at;
    if (r->attempts != 1 || r->listed != 1 || !only_choice(&r->choices, &id) ||
        !recent_get(r, &t, &at) || !recent_get_attempt(r, &at, &a) || !a.endpoint.n)
        return;
    if (!str_eq(endpoint_names_get(e, id), a.endpoint))
        set(e, id, a.endpoint);
}
