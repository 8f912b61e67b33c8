#include "worker/shared/binding_replica.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/ipc/ipc.h"
#include "worker/request/req.h"
#include "worker/worker.h"

enum {
    BUF_MAX = BINDINGS_RECORDS * sizeof(struct bindings_record),
    REPORT_MS = 1000,
    REPORT_MIN_MS = 20,
    /* Bindings that a worker has on its own word until the supervisor's comes: so that at the
     * ceiling it is the supervisor who says what goes. */
    OWN = 1024
};

_Static_assert(BUF_MAX <= (int)IPC_BINDINGS_MAX, "a frame takes all of it");

static void *take(void *ctx, size_t size)
{
    (void)ctx;
    return mem_try(size);
}

static void give_back(void *ctx, void *p)
{
    (void)ctx;
    mem_free(p);
}

static bool ready(struct binding *g)
{
    static const struct affinity_mem mem = {take, give_back, NULL};
    if (!g->b)
        g->b = bindings_new(g->max, &mem);
    return g->b != NULL;
}

static void drop(struct binding *g)
{
    bindings_free(g->b);
    g->b = NULL;
}

/* ---- reports */

static void send(struct wkr *w, struct buf *b)
{
    if (b->len)
        uplink_binds(&w->uplink, buf_view(b));
    buf_drop(b, b->len);
}

void binding_flush(struct wkr *w)
{
    send(w, &w->binding.moves);
}

static void report(struct wkr *w)
{
    struct binding *g = &w->binding;
    ev_timer_stop(w->loop, &g->report);
    send(w, &g->uses);
    if (++g->round == 0)
        g->round = 1;
}

static void on_report(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop, (void)revents;
    report(CONTAINER_OF(t, struct wkr, binding.report));
}

/* How long uses are gathered: what the times that hang on them can bear. */
static int64_t report_ms(const struct conf *c)
{
    int64_t ms = REPORT_MS;
    if (c->affinity.ttl / 10 < ms)
        ms = c->affinity.ttl / 10;
    if (c->affinity.cache_ttl / 10 < ms)
        ms = c->affinity.cache_ttl / 10;
    return ms > REPORT_MIN_MS ? ms : REPORT_MIN_MS;
}

static void note(struct wkr *w, struct buf *b, enum bindings_op op, const uint64_t key[2],
                 uint32_t endpoint)
{
    struct bindings_record r = {.key = {key[0], key[1]}, .endpoint = endpoint, .op = op};
    if (!buf_add(b, &r, sizeof r)) {
        send(w, b);
        (void)!buf_add(b, &r, sizeof r); /* without memory: the next success says it again */
    }
}

static void note_use(struct wkr *w, const uint64_t key[2])
{
    struct binding *g = &w->binding;
    note(w, &g->uses, BINDINGS_USED, key, 0);
    if (!ev_is_active(&g->report)) {
        ev_timer_set(&g->report, (double)report_ms(w->conf) / 1000.0, 0.);
        ev_timer_start(w->loop, &g->report);
    }
}

/* ---- what the supervisor says */

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void learn_bound(struct binding *g, const struct bindings_record *r)
{
    enum affinity_did did;
    uint16_t flags = 0;
    int64_t used = r->used_ms;
    if (!ready(g))
        return;
    const struct affinity_binding *old = affinity_find(&g->b->table, r->key);
    if (old && bindings_endpoint(g->b, old) == r->endpoint) {
        flags = old->flags;
        used = later(used, old->used_ms);
    }
    (void)!bindings_bind(g->b, r->key, r->endpoint, flags, used, &did, NULL);
}

static void learn_used(struct binding *g, const struct bindings_record *r)
{
    const struct affinity_binding *old = g->b ? affinity_find(&g->b->table, r->key) : NULL;
    if (old)
        affinity_use(&g->b->table, r->key, later(r->used_ms, old->used_ms));
}

bool binding_learn(struct wkr *w, struct str records, struct err *e)
{
    struct binding *g = &w->binding;
    size_t n;
    if (!bindings_records(records, &n))
        return err_set(e, "BINDINGS of %zu bytes", records.n);
    if (!w->conf || !w->conf->affinity.enabled)
        return true;
    for (size_t i = 0; i < n; i++) {
        struct bindings_record r = bindings_record(records, i);
        switch (r.op) {
        case BINDINGS_UNBOUND:
            if (g->b)
                bindings_unbind(g->b, r.key, r.endpoint);
            break;
        case BINDINGS_BOUND:
            learn_bound(g, &r);
            break;
        case BINDINGS_USED:
            learn_used(g, &r);
            break;
        case BINDINGS_NONE:
            drop(g);
            break;
        default:
            return err_set(e, "BINDINGS with a record of kind %u", r.op);
        }
    }
    if (g->b && g->b->table.count == 0)
        drop(g);
    return true;
}

/* ---- what requests ask and tell */

void binding_look(struct req *r, struct sel_req *sr)
{
    const struct wkr *w = r->w;
    const struct bindings *b = w->binding.b;
    const struct affinity_binding *at =
        b && r->has_conversation ? affinity_find(&b->table, r->conversation) : NULL;
    r->bound_to = 0;
    if (!at)
        return;
    int64_t idle = clock_mono_ms() - at->used_ms;
    uint32_t id = bindings_endpoint(b, at);
    if (idle >= w->conf->affinity.ttl)
        return;
    r->bound_to = id;
    for (size_t i = 0; i < w->replica.n && sr->bound < 0; i++)
        if (w->replica.eps[i]->id_hash == id)
            sr->bound = (int)i;
    sr->bound_idle_ms = idle;
}

static bool in_replica(const struct wkr *w, uint32_t id)
{
    for (size_t i = 0; i < w->replica.n; i++)
        if ((uint32_t)w->replica.eps[i]->id_hash == id)
            return true;
    return false;
}

void binding_served(struct req *r)
{
    struct wkr *w = r->w;
    struct binding *g = &w->binding;
    if (!r->has_conversation || !w->conf->affinity.enabled || !ready(g))
        return;
    int64_t now = clock_mono_ms();
    uint32_t id = (uint32_t)r->ep->id_hash;
    enum affinity_did did;
    const struct affinity_binding *at = affinity_find(&g->b->table, r->conversation);
    bool lives = at && now - at->used_ms < w->conf->affinity.ttl;
    if (lives && bindings_endpoint(g->b, at) == id) {
        bool told = at->flags == g->round;
        if (!told)
            note_use(w, r->conversation);
        (void)!bindings_bind(g->b, r->conversation, id, g->round, now, &did, NULL);
        return;
    }
    /* Bound to one that this request passed over, or bound by another request meanwhile: that
     * stands. Bound to one that has left the configuration: the supervisor takes the wish. */
    if (lives && !in_replica(w, bindings_endpoint(g->b, at)))
        lives = false;
    else if (lives && r->sel.bound == SEL_BOUND_LEFT && bindings_endpoint(g->b, at) == r->bound_to) {
        note(w, &g->moves, BINDINGS_UNBOUND, r->conversation, r->bound_to);
        lives = false;
    }
    if (lives)
        return;
    if (bindings_bind(g->b, r->conversation, id, 0, now, &did, NULL))
        note(w, &g->moves, BINDINGS_BOUND, r->conversation, id);
}

/* ---- life */

void binding_start(struct wkr *w)
{
    struct binding *g = &w->binding;
    buf_init(&g->moves, BUF_MAX);
    buf_init(&g->uses, BUF_MAX);
    g->round = 1;
    g->max = 1;
    ev_init(&g->report, on_report);
}

void binding_stop(struct wkr *w)
{
    struct binding *g = &w->binding;
    binding_flush(w);
    report(w);
    drop(g);
    buf_free(&g->moves);
    buf_free(&g->uses);
}

void binding_configure(struct wkr *w)
{
    struct binding *g = &w->binding;
    const struct conf *c = w->conf;
    uint32_t max = c->affinity.max_sessions + OWN;
    if (!c->affinity.enabled)
        drop(g);
    if (!g->b || affinity_set_max(&g->b->table, max))
        g->max = max;
}
