/* The functions of health.h for the places of max_concurrent. */
#include "supervisor/shared/health/health.h"

/* PLACES for an endpoint that is not configured. False: it violates the protocol. */
static bool places_of_departed(struct health *h, unsigned slot, struct str id,
                               const struct places_report *r)
{
    struct place_owner *o = places_departed_find(&h->departed, id, r->taken > 0);
    if (!o)
        return true;
    struct health_places_line l = {h, o->id};
    bool ok = places_update(&o->places, slot, r, health_send_places, &l);
    places_departed_settle(&h->departed);
    return ok;
}

bool health_places(struct health *h, unsigned slot, const struct ipc_places *m)
{
    struct health_endpoint *e = health_by_id(h, m->endpoint);
    struct places_report r = {
        .taken = m->taken, .back = m->back, .wanted_ms = m->wanted_ms, .answer = m->answer};
    if (slot >= SLOTS_MAX)
        return true;
    if (!e)
        return places_of_departed(h, slot, m->endpoint, &r);
    struct health_places_line l = {h, e->id};
    return places_update(&e->places, slot, &r, health_send_places, &l);
}

void health_places_elsewhere(struct health *h, struct str id, uint32_t n, uint32_t got)
{
    struct health_endpoint *e = health_by_id(h, id);
    if (e) {
        struct health_places_line l = {h, e->id};
        places_elsewhere(&e->places, HEALTH_PREDECESSOR, n, got, health_send_places, &l);
        return;
    }
    struct place_owner *o = places_departed_find(&h->departed, id, n > 0);
    if (o)
        o->places.elsewhere = n;
    places_departed_settle(&h->departed);
}

void health_place_wanted_elsewhere(struct health *h, struct str id, int64_t now_ms)
{
    struct health_endpoint *e = health_by_id(h, id);
    struct health_places_line l = {h, e ? e->id : ""};
    if (e)
        places_wanted_elsewhere(&e->places, HEALTH_PREDECESSOR, now_ms, health_send_places, &l);
}

void health_places_granted(struct health *h, struct str id, uint32_t n)
{
    struct health_endpoint *e = health_by_id(h, id);
    struct health_places_line l = {h, e ? e->id : ""};
    if (!e || !h->frozen)
        return;
    e->place_asked = false;
    places_granted(&e->places, n, health_send_places, &l);
}

void health_freeze(struct health *h, bool on)
{
    h->frozen = on;
    places_departed_keep(&h->departed, on);
    for (size_t i = 0; i < h->n; i++) {
        struct health_places_line l = {h, h->v[i].id};
        h->v[i].places_sent = UINT64_MAX;
        h->v[i].got_sent = 0;
        h->v[i].place_asked = false;
        places_freeze(&h->v[i].places, on, health_send_places, &l);
    }
    health_again(h);
}
