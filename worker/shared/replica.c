#include "worker/shared/replica.h"

#include "common/base/mem.h"
#include "common/conf/conf_models.h"
#include "worker/net/tls.h"

#include <stdlib.h>
#include <string.h>

/* Weight of a new measurement in the moving average: the last ten make up 90 % of it. */
#define EWMA_SHARE 0.2

void ep_live_unref(struct ep_live *l)
{
    if (--l->refs)
        return;
    pool_unref(l->pool);
    cell_replica_free(&l->cells);
    mem_free(l->listed);
    mem_free(l);
}

struct ep *ep_ref(struct ep *e)
{
    e->refs++;
    return e;
}

void ep_unref(struct ep *e)
{
    if (!e || --e->refs)
        return;
    ep_live_unref(e->live);
    conf_unref(e->conf);
    cell_families_free(&e->own_cells);
    mem_free(e);
}

struct ep *replica_by_hash(const struct replica *r, uint64_t id_hash)
{
    size_t lo = 0, hi = r->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (r->eps[r->by_hash[mid]]->id_hash < id_hash)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < r->n && r->eps[r->by_hash[lo]]->id_hash == id_hash ? r->eps[r->by_hash[lo]] : NULL;
}

static uint64_t hash_of(struct str id)
{
    char text[9] = "";
    memcpy(text, id.p, min_size(id.n, 8));
    return strtoull(text, NULL, 16);
}

struct ep *replica_find(const struct replica *r, struct str id)
{
    struct ep *e = replica_by_hash(r, hash_of(id));
    return e && str_eq(str_c(e->ce->id), id) ? e : NULL;
}

/* ---- changes */

void ep_changed(struct ep_live *l)
{
    if (!l->changes || l->changed)
        return;
    l->changed = true;
    l->next_changed = l->changes->first;
    l->changes->first = l;
}

struct ep_live *replica_take_changed(struct replica *r)
{
    struct ep_live *l = r->changes.first;
    if (!l)
        return NULL;
    r->changes.first = l->next_changed;
    l->changed = false;
    return l;
}

static void on_room(void *arg)
{
    struct ep_live *l = arg;
    if (!l->changes)
        return;
    if (l->watch & EP_WATCH_ROOM)
        ep_changed(l);
    l->changes->room(l->changes->room_arg);
}

/* Enters the endpoints' places in r->eps, for those that the rankings are made of from now on. */
static void index_all(struct replica *r, const struct conf *c)
{
    bool load = c->balance.strategy == STRATEGY_LEAST_CONNECTIONS ||
                c->balance.strategy == STRATEGY_LEAST_LATENCY;
    mem_free(r->by_hash);
    r->by_hash = mem_zalloc(r->n + 1, sizeof *r->by_hash);
    for (size_t i = 0; i < r->n; i++) {
        struct ep_live *l = r->eps[i]->live;
        size_t at = i;
        for (; at > 0 && r->eps[r->by_hash[at - 1]]->id_hash > r->eps[i]->id_hash; at--)
            r->by_hash[at] = r->by_hash[at - 1];
        r->by_hash[at] = (uint32_t)i;
        l->index = (uint32_t)i;
        l->watch = load ? EP_WATCH_LOAD : 0;
        l->changes = &r->changes;
        pool_on_room(l->pool, on_room, l);
    }
}

static bool same_ca(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* Makes the TLS context for c, NULL if no endpoint needs one. With unchanged certificates it is the
 * old context, so that pools can resume their sessions. */
static bool tls_context(const struct replica *r, const struct conf *c, SSL_CTX **ctx, struct err *e)
{
    bool needed = false;
    for (size_t i = 0; i < c->nendpoints; i++)
        needed |= c->endpoints[i].tls;
    *ctx = NULL;
    if (!needed)
        return true;
    if (r->tls && same_ca(r->ca_pem, c->ca_pem)) {
        SSL_CTX_up_ref(r->tls);
        *ctx = r->tls;
        return true;
    }
    *ctx = tls_client(c->ca_pem, e);
    return *ctx != NULL;
}

/* An endpoint's state at its first configuration. */
static void live_begins(struct ep_live *l, const struct conf_endpoint *ce)
{
    l->view = (struct ep_view){.success_wanted = true, /* health is unknown until ENDPOINT */
                               .disabled = ce->enabled ? EP_ENABLED : EP_BY_CONFIG};
}

/* Takes the endpoint of that id out of the departed ones, with the reference; NULL: it is not
 * there. */
static struct ep_live *come_back(struct replica *r, const char *id)
{
    for (struct ep_live **at = &r->departed; *at; at = &(*at)->next) {
        struct ep_live *l = *at;
        if (strcmp(l->id, id) != 0)
            continue;
        *at = l->next;
        l->next = NULL;
        return l;
    }
    return NULL;
}

/* Forgets the departed endpoints that no request uses any more; with `all`, every one. */
static void forget_departed(struct replica *r, bool all)
{
    for (struct ep_live **at = &r->departed; *at;) {
        struct ep_live *l = *at;
        if (l->open && !all) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        ep_live_unref(l);
    }
}

/* The endpoint is not in the configuration any more. */
static void depart(struct replica *r, struct ep_live *l)
{
    pool_retire(l->pool);
    l->changes = NULL;
    if (l->open == 0)
        return;
    l->refs++;
    l->next = r->departed;
    r->departed = l;
}

/* The state of an endpoint that was not in the configuration before; the reference is the
 * caller's. */
static struct ep_live *live_new(struct replica *r, const struct conf_endpoint *ce,
                                struct ev_loop *loop, struct dialer *d)
{
    struct ep_live *l = come_back(r, ce->id);
    if (!l) {
        l = mem_zalloc(1, sizeof *l);
        l->refs = 1;
        memcpy(l->id, ce->id, sizeof l->id);
        l->pool = pool_new(loop, d);
    }
    live_begins(l, ce);
    cell_replica_free(&l->cells); /* the supervisor sends them anew */
    return l;
}

bool replica_configure(struct replica *r, struct conf *c, struct ev_loop *loop, struct dialer *d,
                       void (*room)(void *arg), void *arg, struct err *e)
{
    SSL_CTX *ctx;
    if (!tls_context(r, c, &ctx, e))
        return false;
    r->marks.mem = &mem_heap;
    while (replica_take_changed(r))
        ; /* all rankings are made anew */
    r->changes.room = room;
    r->changes.room_arg = arg;
    struct ep **eps = mem_zalloc(c->nendpoints, sizeof *eps);
    size_t nopenai = 0;
    for (size_t i = 0; i < c->nendpoints; i++) {
        const struct conf_endpoint *ce = &c->endpoints[i];
        struct ep *n = mem_zalloc(1, sizeof *n), *old = replica_find(r, str_c(ce->id));
        n->refs = 1;
        n->conf = conf_ref(c);
        n->ce = ce;
        nopenai += ce->protocol == PROTOCOL_OPENAI;
        n->own_cells = cell_families_of(ce);
        n->index = (uint32_t)i;
        n->id_hash = strtoull(ce->id, NULL, 16);
        if (old) {
            n->live = old->live;
            n->live->refs++;
        } else {
            n->live = live_new(r, ce, loop, d);
        }
        struct pool_conf pc = {
            .host = ce->host,
            .port = ce->port,
            .proxy = ce->proxy ? ce->proxy : c->upstream.proxy,
            .ctx = ce->tls ? ctx : NULL,
            .max_connections = c->pool.max_connections,
            .max_idle = c->pool.max_idle,
            .connect_timeout_ms = c->upstream.connect_timeout,
            .idle_expiry_ms = c->pool.idle_expiry,
            .max_age_ms = c->pool.max_age,
        };
        pool_configure(n->live->pool, &pc);
        eps[i] = n;
    }
    for (size_t i = 0; i < r->n; i++) {
        bool stays = false;
        for (size_t k = 0; k < c->nendpoints && !stays; k++)
            stays = strcmp(r->eps[i]->ce->id, c->endpoints[k].id) == 0;
        if (!stays)
            depart(r, r->eps[i]->live);
        ep_unref(r->eps[i]);
    }
    forget_departed(r, false);
    mem_free(r->eps);
    r->eps = eps;
    r->n = c->nendpoints;
    index_all(r, c);
    r->nopenai = nopenai;
    SSL_CTX_free(r->tls);
    r->tls = ctx;
    mem_free(r->ca_pem);
    r->ca_pem = mem_strdup(c->ca_pem);
    return true;
}

void replica_free(struct replica *r)
{
    for (size_t i = 0; i < r->n; i++) {
        pool_retire(r->eps[i]->live->pool);
        r->eps[i]->live->changes = NULL;
        ep_unref(r->eps[i]);
    }
    forget_departed(r, true);
    mem_free(r->eps);
    mem_free(r->by_hash);
    SSL_CTX_free(r->tls);
    mem_free(r->ca_pem);
    marks_free(&r->marks);
    *r = (struct replica){0};
}

struct ep_live *replica_update(struct replica *r, const struct ipc_endpoint *m)
{
    struct ep *e = replica_find(r, m->id);
    if (!e)
        return NULL;
    struct ep_view v = {
        .health = m->health < EP_HEALTH__COUNT ? (enum ep_health)m->health : EP_UNKNOWN,
        .breaker = m->breaker < BREAKER__COUNT ? (enum breaker_state)m->breaker : BREAKER_CLOSED,
        .trial_busy = m->trial_busy,
        .queued = m->queued,
        .disabled =
            m->disabled < EP_DISABLED__COUNT ? (enum ep_disabled)m->disabled : EP_BY_OPERATOR,
        .refused_status = m->refused_status,
        .refused_wall_ms = m->refused_wall_ms,
        .draining = m->draining,
        .no_count_until_ms = m->no_count_until_ms,
        .counted_ms = m->counted_ms,
        .success_wanted = m->success_wanted,
        .cooldown_until_ms = m->cooldown_until_ms,
        .own_until_ms = m->own_until_ms,
    };
    e->live->view = v;
    e->live->ok_reported = false;
    ep_changed(e->live);
    return e->live;
}

void replica_mark(struct replica *r, const struct ipc_mark *m, int64_t now_ms)
{
    marks_tick(&r->marks, now_ms);
    (void)!marks_put(&r->marks, hash_of(m->endpoint), (enum mark_kind)m->kind, m->name, m->suspect,
                     m->until_ms, now_ms);
}

struct ep_live *replica_update_cell(struct replica *r, const struct ipc_cell *m, uint64_t *gone)
{
    struct ep *e = replica_find(r, m->endpoint);
    *gone = 0;
    if (!e)
        return NULL;
    cell_replica_set(&e->live->cells, m, gone);
    ep_changed(e->live);
    return e->live;
}

void replica_update_models(struct replica *r, const struct ipc_models *m)
{
    struct ep *e = replica_find(r, m->endpoint);
    if (!e)
        return;
    cell_replica_served(&e->live->cells, m);
    ep_changed(e->live);
}

void replica_update_list(struct replica *r, const struct ipc_list *m)
{
    struct ep *e = replica_find(r, m->endpoint);
    if (!e)
        return;
    mem_free(e->live->listed);
    e->live->listed = mem_zalloc(m->models.n + 1, 1);
    e->live->listed_n = m->models.n;
    if (m->models.n)
        memcpy(e->live->listed, m->models.p, m->models.n);
}

enum sel_tier ep_view_tier(const struct ep_view *v)
{
    if (v->breaker != BREAKER_CLOSED)
        return SEL_CIRCUIT_OPEN;
    if (v->health == EP_UNHEALTHY)
        return SEL_UNHEALTHY;
    return v->health == EP_DEGRADED ? SEL_DEGRADED : SEL_HEALTHY;
}

void ep_ttfb(struct ep_live *e, double seconds)
{
    e->ttfb_avg = e->ttfb_avg > 0 ? e->ttfb_avg + (seconds - e->ttfb_avg) * EWMA_SHARE : seconds;
    if (e->watch & EP_WATCH_LOAD)
        ep_changed(e);
}
