#include "supervisor/shared/places_departed.h"

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

static void drop_if_free(struct places_departed *d, struct place_owner *o)
{
    if (!d->keep && o->places.total == 0 && places_lent(&o->places) == 0)
        drop(d, o);
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

bool places_departed_report(struct places_departed *d, struct str id, unsigned slot,
                            const struct places_report *r, places_send *send, void *arg,
                            const char **sent_id)
{
    struct place_owner *o = by_id(d, id);
    if (!o && r->taken)
        o = add(d, id);
    if (!o)
        return true;
    *sent_id = o->id;
    if (!places_update(&o->places, slot, r, send, arg))
        return false;
    drop_if_free(d, o);
    return true;
}

void places_departed_elsewhere(struct places_departed *d, struct str id, uint32_t n)
{
    struct place_owner *o = by_id(d, id);
    if (!o && n)
        o = add(d, id);
    if (!o)
        return;
    o->places.elsewhere = n;
    drop_if_free(d, o);
}

void places_departed_ended(struct places_departed *d)
{
    for (size_t i = d->n; i-- > 0;) {
        d->v[i].places.elsewhere = 0;
        drop_if_free(d, &d->v[i]);
    }
}

void places_departed_keep(struct places_departed *d, bool keep)
{
    d->keep = keep;
    for (size_t i = d->n; i-- > 0;) {
        d->v[i].sent = 0;
        drop_if_free(d, &d->v[i]);
    }
}

void places_departed_gone(struct places_departed *d, unsigned slot, places_send *send, void *arg,
                          const char **sent_id)
{
    for (size_t i = d->n; i-- > 0;) {
        struct place_owner *o = &d->v[i];
        *sent_id = o->id;
        places_gone(&o->places, slot, send, arg);
        drop_if_free(d, o);
    }
}
