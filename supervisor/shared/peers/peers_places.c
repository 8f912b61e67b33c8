/* max_concurrent over all hosts: each borrows places in blocks, and lends them to its workers as a
 * host alone does. */
#include "supervisor/shared/peers/peers.h"

#include <string.h>

uint32_t peers_places_lent(const struct peers *p, size_t i)
{
    const struct health *h = p->env.health;
    bool counts = i < h->n && p->v[i].block.limit && (p->shares & 1u << SHARE_PLACES);
    uint64_t n = counts ? places_lent(&h->v[i].places) : 0;
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* Gives the endpoint the places that it may lend now. */
static void set_block(struct peers *p, size_t i, uint32_t n)
{
    struct health_endpoint *e = &p->env.health->v[i];
    struct health_places_line line = {p->env.health, e->id};
    places_share(&e->places, true, n, health_send_places, &line);
}

static void call(struct peers *p, size_t i, const struct shared_call *c)
{
    struct peers_endpoint *pe = &p->v[i];
    const struct ipc_link_places m = {.id = ++p->asked,
                                      .cid = str_make(pe->cid, sizeof pe->cid),
                                      .limit = pe->block.limit,
                                      .have = c->have,
                                      .want = c->want};
    pe->call = m.id;
    pe->called = c->want;
    /* what it gives back is not used again, whatever becomes of the call */
    set_block(p, i, pe->block.have - pe->block.over);
    if (!peers_say(p, ipc_put_v_link_places, &m)) {
        pe->call = 0;
        shared_block_lost(&pe->block);
    }
}

void peers_on_got(struct peers *p, const struct ipc_link_got *m, int64_t now_ms)
{
    for (size_t i = 0; i < p->n && i < p->env.health->n; i++) {
        struct peers_endpoint *pe = &p->v[i];
        if (pe->call != m->id)
            continue;
        pe->call = 0;
        pe->all = m->all;
        pe->hosts = m->hosts;
        /* an engine that lies gives no more than was asked for */
        uint32_t most = pe->block.have + pe->called;
        shared_block_answer(&pe->block, m->have < most ? m->have : most, pe->called, m->all,
                            m->waits, now_ms);
        set_block(p, i, pe->block.have - pe->block.over);
        return;
    }
}

void peers_on_wanted(struct peers *p, const struct ipc_link_wanted *m, int64_t now_ms)
{
    struct peers_endpoint *pe = peers_by_cid(p, m->cid);
    (void)now_ms;
    if (!pe || str_eq(m->host, str_c(p->host)) || !(p->shares & 1u << SHARE_PLACES))
        return;
    struct health_endpoint *e = &p->env.health->v[pe - p->v];
    struct health_places_line line = {p->env.health, e->id};
    shared_block_wanted(&pe->block);
    if (!places_waiting(&e->places))
        places_recall(&e->places, health_send_places, &line);
}

void peers_places_join(struct peers *p, int64_t now_ms)
{
    /* the link gives a join up before that */
    p->joining_ms = now_ms + 3 * p->conf->cluster.timeout;
    for (size_t i = 0; i < p->n; i++) {
        p->v[i].call = 0;
        p->v[i].stated = peers_places_lent(p, i);
        if (!p->v[i].block.limit || !(p->shares & 1u << SHARE_PLACES) || i >= p->env.health->n)
            continue;
        p->v[i].block.have = p->v[i].stated;
        set_block(p, i, p->v[i].stated);
    }
}

void peers_places_joined(struct peers *p, int64_t now_ms)
{
    p->joining_ms = 0;
    size_t hosts = shared_hosts_alive(&p->hosts, p->lease_ms, peers_engine(p, now_ms));
    for (size_t i = 0; i < p->n && i < p->env.health->n; i++) {
        struct peers_endpoint *pe = &p->v[i];
        if (!pe->block.limit || !(p->shares & 1u << SHARE_PLACES))
            continue;
        struct shared_call c = shared_block_joined(&pe->block, pe->stated, hosts);
        set_block(p, i, pe->block.have);
        if (pe->block.calling)
            call(p, i, &c);
    }
}

void peers_places_turn(struct peers *p, int64_t now_ms)
{
    size_t hosts = p->hosts.n ? p->hosts.n : p->seen;
    bool joining = now_ms < p->joining_ms;
    for (size_t i = 0; i < p->n && i < p->env.health->n; i++) {
        struct peers_endpoint *pe = &p->v[i];
        const struct places *pl = &p->env.health->v[i].places;
        struct shared_call c;
        if (!pe->block.limit)
            continue;
        if (!p->up) {
            uint32_t usable =
                shared_block_usable(&pe->block, hosts, p->beat_ms, p->lease_ms, now_ms);
            set_block(p, i, joining && pe->stated < usable ? pe->stated : usable);
            continue;
        }
        if (shared_block_call(&pe->block, peers_places_lent(p, i), places_waiting(pl), now_ms, &c))
            call(p, i, &c);
    }
}

void peers_places_off(struct peers *p)
{
    struct health *h = p->env.health;
    for (size_t i = 0; i < h->n; i++) {
        struct health_places_line line = {h, h->v[i].id};
        places_share(&h->v[i].places, false, 0, health_send_places, &line);
    }
}
