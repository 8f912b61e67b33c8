#include "supervisor/shared/places/places_departed.h"

#include "common/base/mem.h"

#include <string.h>

static struct place_owner *by_id(const struct places_departed *d, struct str id)
{
    for (size_t i = 0; i < d->n; i++)
        if (str_eq(str_c(d->v[i].id), id))
            return &d->v[i];
    return NULL;
}

static void drop(struct places_departed *d, struct place_owner *o)
{
    places_fini(&o->places);
    *o = d->v[--d->n];
}

/* Makes room for one more. */
static void drop_one(struct places_departed *d)
{
    for (size_t i = 0; i < d->n; i++)
        if (places_lent(&d->v[i].places) == 0) {
            drop(d, &d->v[i]);
            return;
        }
}

static struct place_owner *add(struct places_departed *d, struct str id)
{
    if (d->n >= PLACES_DEPARTED_MAX)
        drop_one(d);
    if (d->n >= PLACES_DEPARTED_MAX || id.n >= sizeof d->v->id)
        return NULL;
    d->v = mem_realloc(d->v, d->n + 1, sizeof *d->v);
    struct place_owner *o = &d->v[d->n++];
    *o = (struct place_owner){0};
    memcpy(o->id, id.p, id.n);
    return o;
}

void places_departed_settle(struct places_departed *d)
{
    for (size_t i = d->n; i-- > 0 && !d->keep;)
        if (d->v[i].places.total == 0 && places_lent(&d->v[i].places) == 0)
            drop(d, &d->v[i]);
}

struct place_owner *places_departed_find(struct places_departed *d, struct str id, bool make)
{
    struct place_owner *o = by_id(d, id);
    return o || !make ? o : add(d, id);
}

void places_departed_fini(struct places_departed *d)
{
    for (size_t i = 0; i < d->n; i++)
        places_fini(&d->v[i].places);
    mem_free(d->v);
    *d = (struct places_departed){0};
}

void places_departed_put(struct places_departed *d, const char *id, struct places *p)
{
    struct place_owner *o = p->total || places_lent(p) ? add(d, str_c(id)) : NULL;
    if (!o)
        return;
    o->places = *p;
    *p = (struct places){0};
    places_depart(&o->places);
}

void places_departed_take(struct places_departed *d, const char *id, struct places *p)
{
    struct place_owner *o = by_id(d, str_c(id));
    if (!o)
        return;
    *p = o->places;
    o->places = (struct places){0};
    drop(d, o);
}

void places_departed_ended(struct places_departed *d)
{
    for (size_t i = 0; i < d->n; i++)
        d->v[i].places.elsewhere = 0;
    places_departed_settle(d);
}

void places_departed_keep(struct places_departed *d, bool keep)
{
    d->keep = keep;
    for (size_t i = 0; i < d->n; i++)
        d->v[i].sent = 0;
    places_departed_settle(d);
}
