/* max_concurrent over all hosts: each borrows places in blocks, and lends them to its workers as a
 * host alone does. */
#include "supervisor/shared/peers/peers.h"

#include <string.h>

/* Requests wait so long at most for places that a join under way may give. */
enum { JOIN_MS = 500 };

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

/* The time of a join: after that the engine counts as lost. */
static int64_t join_within(const struct peers *p)
{
    int64_t timeout = p->conf->cluster.timeout;
    return timeout < JOIN_MS ? timeout : JOIN_MS;
}

/* Whether nobody else can get what this host has before a join that is sent now is over. */
static bool holds(const struct peers *p, int64_t now_ms)
{
    return p->beat_ms && now_ms - p->beat_ms < p->lease_ms - join_within(p);
}

/* When it is decided what this host may lend: until then its first session may begin. */
static int64_t first_until(const struct peers *p)
{
    if (p->joined || p->state != LINK_CONNECTING)
        return 0;
    if (!p->link_ms)
        return p->on_ms + p->lease_ms;
    /* workers start then, at the latest; over an upgrade the link is started later */
    bool soon = p->link_ms - p->on_ms < join_within(p);
    return (soon ? p->on_ms : p->link_ms) + join_within(p);
}

static bool is_shared(const struct peers *p, size_t i)
{
    return p->v[i].block.limit && (p->shares & 1u << SHARE_PLACES) && i < p->env.health->n;
}

/* on: workers return a place as soon as it is idle, so that those lent are those in use. */
static void lend_once(struct peers *p, bool on)
{
    p->once = on;
    for (size_t i = 0; i < p->env.health->n; i++) {
        struct health_endpoint *e = &p->env.health->v[i];
        struct health_places_line line = {p->env.health, e->id};
        places_once(&e->places, on && i < p->n && is_shared(p, i), health_send_places, &line);
    }
}

bool peers_places_due(const struct peers *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (is_shared(p, i) && places_recalling(&p->env.health->v[i].places))
            return true;
    return false;
}

bool peers_places_meet(struct peers *p, int64_t now_ms)
{
    if (holds(p, now_ms))
        return false;
    lend_once(p, true);
    return peers_places_due(p);
}

void peers_places_join(struct peers *p, int64_t now_ms)
{
    bool held = holds(p, now_ms);
    p->joining_ms = p->shares & 1u << SHARE_PLACES ? now_ms + join_within(p) : 0;
    for (size_t i = 0; i < p->n; i++) {
        struct peers_endpoint *pe = &p->v[i];
        struct shared_block *b = &pe->block;
        uint32_t usable = b->have - b->over;
        pe->call = 0;
        pe->stated = peers_places_lent(p, i);
        pe->idle = held && is_shared(p, i) && usable > pe->stated ? usable - pe->stated : 0;
        pe->idle_kept = false;
        if (!is_shared(p, i))
            continue;
        b->have = pe->stated + pe->idle;
        b->over = 0;
        set_block(p, i, pe->stated);
    }
}

void peers_places_not_joined(struct peers *p)
{
    p->joining_ms = 0;
    if (p->once)
        lend_once(p, false);
}

size_t peers_places_kept(struct peers_endpoint *pe, struct str kept, size_t at)
{
    size_t places = pe->stated || pe->idle, idle = pe->idle > 0;
    pe->idle_kept = idle && at + 1 < kept.n && kept.p[at + 1] == '1';
    return places + idle;
}

void peers_places_joined(struct peers *p, int64_t now_ms)
{
    size_t hosts = shared_hosts_alive(&p->hosts, p->lease_ms, peers_engine(p, now_ms));
    for (size_t i = 0; i < p->n && i < p->env.health->n; i++) {
        struct peers_endpoint *pe = &p->v[i];
        if (!is_shared(p, i))
            continue;
        uint32_t have = pe->stated + (pe->idle_kept ? pe->idle : 0);
        struct shared_call c = shared_block_joined(&pe->block, have, hosts, !p->once);
        set_block(p, i, pe->block.have);
        if (pe->block.calling)
            call(p, i, &c);
    }
    peers_places_not_joined(p);
}

void peers_places_turn(struct peers *p, int64_t now_ms)
{
    size_t hosts = p->hosts.n ? p->hosts.n : p->seen;
    bool joining = now_ms < p->joining_ms, first = now_ms < first_until(p);
    p->first = first;
    if (!joining && p->joining_ms)
        peers_places_not_joined(p);
    for (size_t i = 0; i < p->n && i < p->env.health->n; i++) {
        struct peers_endpoint *pe = &p->v[i];
        const struct places *pl = &p->env.health->v[i].places;
        struct shared_call c;
        if (!pe->block.limit)
            continue;
        if (!p->up) {
            uint32_t usable =
                shared_block_usable(&pe->block, hosts, p->beat_ms, p->lease_ms, now_ms);
            uint32_t most = joining ? pe->stated : first ? 0 : usable;
            set_block(p, i, most < usable ? most : usable);
            continue;
        }
        if (shared_block_call(&pe->block, peers_places_lent(p, i), places_waiting(pl), now_ms, &c))
            call(p, i, &c);
    }
}

int64_t peers_places_next(const struct peers *p)
{
    int64_t first = p->first ? first_until(p) : INT64_MAX;
    return p->joining_ms && p->joining_ms < first ? p->joining_ms : first;
}

void peers_places_off(struct peers *p)
{
    struct health *h = p->env.health;
    lend_once(p, false);
    for (size_t i = 0; i < h->n; i++) {
        struct health_places_line line = {h, h->v[i].id};
        places_share(&h->v[i].places, false, 0, health_send_places, &line);
    }
}
