#include "worker/shared/counters.h"

#include "common/ipc/ipc.h"
#include "worker/http/sse.h"
#include "worker/loop/uplink.h"
#include "worker/shared/replica.h"

_Static_assert(sizeof(struct stats_total) <= 512 &&
                   STATS_RECORDS * sizeof(struct stats_record) <= IPC_STATS_MAX,
               "a STATS frame has room for what it carries");

static uint64_t us_of(double seconds)
{
    return seconds > 0 ? (uint64_t)(seconds * 1e6) : 0;
}

void counters_attempt(struct ep_live *l, enum outcome how)
{
    l->stats.attempts[how]++;
    l->stats_changed = true;
}

void counters_charged(struct ep_live *l)
{
    l->stats.charged++;
    l->stats_changed = true;
}

void counters_first_byte(struct ep_live *l, double seconds)
{
    uint64_t us = us_of(seconds);
    l->stats.first_byte[hist_bucket(us)]++;
    l->stats.first_byte_us += us;
    l->stats_changed = true;
}

void counters_tokens(struct ep_live *l, const struct sse_usage *u)
{
    /* Larger numbers cannot be true: an upstream's nonsense must not spoil the sums. */
    enum { MOST = 1 << 30 };
    const int64_t reported[TOKENS__COUNT] = {
        [TOKENS_INPUT] = u->input,
        [TOKENS_OUTPUT] = u->output,
        [TOKENS_CACHE_READ] = u->cache_read,
        [TOKENS_CACHE_WRITE] = u->cache_write,
    };
    for (unsigned i = 0; i < TOKENS__COUNT; i++)
        if (reported[i] > 0 && reported[i] <= MOST) {
            l->stats.tokens[i] += (uint64_t)reported[i];
            l->stats_changed = true;
        }
}

void counters_stream(struct counters *g, bool begun)
{
    g->total.streams_open += begun ? 1u : -1u;
    g->stats_changed = true;
}

void counters_accepted(struct counters *g)
{
    g->total.connections++;
    g->stats_changed = true;
}

void counters_request(struct counters *g, unsigned status, enum stats_reply how, double seconds,
                      uint64_t in, uint64_t out)
{
    uint64_t us = us_of(seconds);
    unsigned first = status / 100;
    g->total.requests[first < STATS_STATUSES ? first : 0]++;
    g->total.duration[how][hist_bucket(us)]++;
    g->total.duration_us[how] += us;
    g->total.bytes_in += in;
    g->total.bytes_out += out;
    g->stats_changed = true;
}

static void send(struct counters *g, const struct stats_record *v, size_t n)
{
    struct stats_total *t = &g->total;
    uplink_stats(g->uplink, str_make((const char *)t, sizeof *t),
                 str_make((const char *)v, n * sizeof *v));
    *t = (struct stats_total){.streams_open = t->streams_open};
    g->stats_changed = false;
}

/* Puts the pool's counts since the last call into l->stats. Returns whether any has changed. */
static bool look_at_pool(struct ep_live *l)
{
    struct stats_record *r = &l->stats;
    struct pool_stats now;
    pool_stats(l->pool, &now);
    uint32_t in_use = now.total - now.idle;
    bool changed = now.idle != r->idle || in_use != r->in_use ||
                   now.dialled != l->pool_reported.dialled || now.reused != l->pool_reported.reused;
    r->idle = now.idle;
    r->in_use = in_use;
    r->dialled = (uint32_t)(now.dialled - l->pool_reported.dialled);
    r->reused = (uint32_t)(now.reused - l->pool_reported.reused);
    l->pool_reported = now;
    return changed;
}

void counters_send(struct counters *g)
{
    struct stats_record v[STATS_RECORDS];
    size_t n = 0;
    for (size_t i = 0; i < g->replica->n; i++) {
        struct ep *e = g->replica->eps[i];
        struct ep_live *l = e->live;
        if (!look_at_pool(l) && !l->stats_changed && l->open == l->stats.open)
            continue;
        if (n == STATS_RECORDS) {
            send(g, v, n);
            n = 0;
        }
        l->stats.open = l->open;
        v[n] = l->stats;
        memcpy(v[n++].id, e->ce->id, sizeof v->id);
        l->stats = (struct stats_record){
            .open = l->open, .idle = v[n - 1].idle, .in_use = v[n - 1].in_use};
        l->stats_changed = false;
    }
    if (n || g->stats_changed)
        send(g, v, n);
}
