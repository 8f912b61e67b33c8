#include "worker/shared/binding_replica.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/ipc/ipc.h"
#include "worker/loop/uplink.h"
#include "worker/shared/replica.h"

enum {
    BUF_MAX = BINDING_RECORDS * sizeof(struct binding_table_record),
    REPORT_MS = 1000,
    REPORT_MIN_MS = 20,
    /* Room beyond the supervisor's ceiling, for bindings that this worker made and the supervisor
     * has not confirmed yet: which one goes at the ceiling is the supervisor's decision alone. */
    OWN = 1024
};

_Static_assert(BUF_MAX <= (int)IPC_BINDINGS_MAX, "a frame takes all of it");

/* ---- reports */

static void send(struct binding_replica *g, struct buf *b)
{
    if (b->len)
        uplink_binds(g->uplink, buf_view(b));
    buf_drop(b, b->len);
}

void binding_replica_flush(struct binding_replica *g)
{
    send(g, &g->moves);
}

static void report(struct binding_replica *g)
{
    ev_timer_stop(g->loop, &g->report);
    send(g, &g->uses);
    if (++g->round == 0)
        g->round = 1;
}

static void on_report(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop, (void)revents;
    report(CONTAINER_OF(t, struct binding_replica, report));
}

/* For how many milliseconds uses are collected before they are reported: at most a tenth of the
 * configured times that depend on them. */
static int64_t report_ms(const struct conf *c)
{
    int64_t ms = REPORT_MS;
    if (c->affinity.ttl / 10 < ms)
        ms = c->affinity.ttl / 10;
    if (c->affinity.cache_ttl / 10 < ms)
        ms = c->affinity.cache_ttl / 10;
    return ms > REPORT_MIN_MS ? ms : REPORT_MIN_MS;
}

static void add_record(struct binding_replica *g, struct buf *b, enum binding_table_op op,
                       const uint64_t key[2], uint32_t endpoint)
{
    struct binding_table_record r = {.key = {key[0], key[1]}, .endpoint = endpoint, .op = op};
    if (!buf_add(b, &r, sizeof r)) {
        send(g, b);
        (void)!buf_add(b, &r, sizeof r); /* out of memory: the next success reports it again */
    }
}

static void add_use(struct binding_replica *g, const uint64_t key[2])
{
    add_record(g, &g->uses, BINDING_USED, key, 0);
    if (!ev_is_active(&g->report)) {
        ev_timer_set(&g->report, (double)report_ms(g->conf) / 1000.0, 0.);
        ev_timer_start(g->loop, &g->report);
    }
}

/* ---- BINDINGS */

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The table that a key belongs to, made where it is not there yet. NULL: no memory. */
static struct binding_table *ready(struct binding_replica *g, const uint64_t key[2])
{
    bool talk = binding_kind(key) == BINDING_TALK;
    struct binding_table **b = talk ? &g->b : &g->ids;
    return binding_table_ready(b, talk ? g->max : 2 * BINDING_IDS_MAX + OWN, &mem_heap) ? *b : NULL;
}

static struct binding_table *table_of(const struct binding_replica *g, const uint64_t key[2])
{
    return binding_kind(key) == BINDING_TALK ? g->b : g->ids;
}

static void learn_bound(struct binding_replica *g, const struct binding_table_record *r)
{
    enum affinity_did did;
    uint16_t flags = 0;
    int64_t used = r->used_ms;
    struct binding_table *b = ready(g, r->key);
    if (!b)
        return;
    const struct affinity_binding *old = affinity_find(&b->table, r->key);
    if (old && binding_table_endpoint(b, old) == r->endpoint) {
        flags = old->flags;
        used = later(used, old->used_ms);
    }
    (void)!binding_table_bind(b, r->key, r->endpoint, flags, used, &did, NULL);
}

static void learn_used(struct binding_replica *g, const struct binding_table_record *r)
{
    struct binding_table *b = table_of(g, r->key);
    const struct affinity_binding *old = b ? affinity_find(&b->table, r->key) : NULL;
    if (old)
        affinity_use(&b->table, r->key, later(r->used_ms, old->used_ms));
}

static void learn_unbound(struct binding_replica *g, const struct binding_table_record *r)
{
    struct binding_table *b = table_of(g, r->key);
    if (b)
        binding_table_unbind(b, r->key, r->endpoint);
}

static void drop_if_empty(struct binding_table **b)
{
    if (*b && (*b)->table.count == 0)
        binding_table_drop(b);
}

bool binding_replica_learn(struct binding_replica *g, struct str records, struct err *e)
{
    size_t n;
    if (!binding_table_records(records, &n))
        return err_set(e, "BINDINGS of %zu bytes", records.n);
    if (!g->conf)
        return true;
    for (size_t i = 0; i < n; i++) {
        struct binding_table_record r = binding_table_record(records, i);
        if (!g->conf->affinity.enabled && binding_kind(r.key) == BINDING_TALK)
            continue;
        switch (r.op) {
        case BINDING_UNBOUND:
            learn_unbound(g, &r);
            break;
        case BINDING_BOUND:
            learn_bound(g, &r);
            break;
        case BINDING_USED:
            learn_used(g, &r);
            break;
        case BINDING_NONE:
            binding_table_drop(&g->b);
            break;
        default:
            return err_set(e, "BINDINGS with a record of kind %u", r.op);
        }
    }
    drop_if_empty(&g->b);
    drop_if_empty(&g->ids);
    return true;
}

/* ---- for requests */

static int index_of(const struct replica *r, uint32_t id)
{
    const struct ep *e = replica_by_hash(r, id);
    return e ? (int)e->index : -1;
}

static bool look(const struct binding_replica *g, const uint64_t key[2], struct binding_at *out)
{
    const struct affinity_binding *at = g->b ? affinity_find(&g->b->table, key) : NULL;
    if (!at)
        return false;
    out->id = binding_table_endpoint(g->b, at);
    out->idle_ms = clock_boot_ms() - at->used_ms;
    out->at = index_of(g->replica, out->id);
    return out->idle_ms < g->conf->affinity.ttl;
}

bool binding_replica_look(const struct binding_replica *g, const uint64_t key[2],
                          const uint64_t conversation[2], struct binding_at *out)
{
    return look(g, key, out) || look(g, conversation, out);
}

void binding_replica_served(struct binding_replica *g, const uint64_t key[2], uint32_t id,
                            enum sel_bound bound, uint32_t was)
{
    if (!g->conf->affinity.enabled || !binding_table_ready(&g->b, g->max, &mem_heap))
        return;
    int64_t now = clock_boot_ms();
    enum affinity_did did;
    const struct affinity_binding *at = affinity_find(&g->b->table, key);
    bool lives = at && now - at->used_ms < g->conf->affinity.ttl;
    uint32_t holds = lives ? binding_table_endpoint(g->b, at) : 0;
    if (lives && holds == id) {
        bool reported = at->flags == g->round;
        if (!reported)
            add_use(g, key);
        (void)!binding_table_bind(g->b, key, id, g->round, now, &did, NULL);
        return;
    }
    /* A binding that this request passed over, or that another request made meanwhile, stays. One
     * to an endpoint that has left the configuration does not: the supervisor accepts BINDING_BOUND
     * then. */
    if (lives && bound == SEL_BOUND_LEFT && holds == was)
        add_record(g, &g->moves, BINDING_UNBOUND, key, was);
    else if (lives ? index_of(g->replica, holds) >= 0 : bound == SEL_BOUND_SPARED)
        return;
    if (binding_table_bind(g->b, key, id, 0, now, &did, NULL))
        add_record(g, &g->moves, BINDING_BOUND, key, id);
}

/* ---- ids of files, batches and containers */

bool binding_replica_find_id(const struct binding_replica *g, const uint64_t key[2],
                             struct binding_at *out)
{
    const struct affinity_binding *at = g->ids ? affinity_find(&g->ids->table, key) : NULL;
    if (!at)
        return false;
    out->id = binding_table_endpoint(g->ids, at);
    out->idle_ms = clock_boot_ms() - at->used_ms;
    out->at = index_of(g->replica, out->id);
    return out->at >= 0 && out->idle_ms < BINDING_ID_TTL_MS;
}

void binding_replica_bind_id(struct binding_replica *g, const uint64_t key[2], uint32_t id)
{
    enum affinity_did did;
    struct binding_table *b = ready(g, key);
    if (!b)
        return;
    const struct affinity_binding *at = affinity_find(&b->table, key);
    bool known = at && binding_table_endpoint(b, at) == id;
    bool reported = known && at->flags == g->round;
    if (known && !reported)
        add_use(g, key);
    if (binding_table_bind(b, key, id, known ? g->round : 0, clock_boot_ms(), &did, NULL) && !known)
        add_record(g, &g->moves, BINDING_BOUND, key, id);
}

void binding_replica_drop_id(struct binding_replica *g, const uint64_t key[2], uint32_t id)
{
    if (g->ids && binding_table_unbind(g->ids, key, id))
        add_record(g, &g->moves, BINDING_UNBOUND, key, id);
}

/* ---- start and stop */

void binding_replica_start(struct binding_replica *g, struct ev_loop *loop, struct uplink *uplink,
                           const struct replica *replica)
{
    *g = (struct binding_replica){
        .loop = loop, .uplink = uplink, .replica = replica, .round = 1, .max = 1};
    buf_init(&g->moves, BUF_MAX);
    buf_init(&g->uses, BUF_MAX);
    ev_init(&g->report, on_report);
}

void binding_replica_stop(struct binding_replica *g)
{
    binding_replica_flush(g);
    report(g);
    binding_table_drop(&g->b);
    binding_table_drop(&g->ids);
    buf_free(&g->moves);
    buf_free(&g->uses);
}

void binding_replica_configure(struct binding_replica *g, const struct conf *c)
{
    uint32_t max = c->affinity.max_sessions + OWN;
    g->conf = c;
    if (!c->affinity.enabled)
        binding_table_drop(&g->b);
    if (!g->b || affinity_set_max(&g->b->table, max))
        g->max = max;
}
