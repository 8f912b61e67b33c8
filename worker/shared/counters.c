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

void gauge_attempt(struct ep_live *l, enum outcome how)
{
    l->stats.attempts[how]++;
    l->news = true;
}

void gauge_charged(struct ep_live *l)
{
    l->stats.charged++;
    l->news = true;
}

void gauge_first_byte(struct ep_live *l, double seconds)
{
    uint64_t us = us_of(seconds);
    l->stats.first_byte[hist_bucket(us)]++;
    l->stats.first_byte_us += us;
    l->news = true;
}

void gauge_tokens(struct ep_live *l, const struct sse_usage *u)
{
    /* An upstream may tell anything: a number that cannot be is no reason to spoil a sum. */
    enum { MOST = 1 << 30 };
    const int64_t told[TOKENS__COUNT] = {
        [TOKENS_INPUT] = u->input,
        [TOKENS_OUTPUT] = u->output,
        [TOKENS_CACHE_READ] = u->cache_read,
        [TOKENS_CACHE_WRITE] = u->cache_write,
    };
    for (unsigned i = 0; i < TOKENS__COUNT; i++)
        if (told[i] > 0 && told[i] <= MOST) {
            l->stats.tokens[i] += (uint64_t)told[i];
            l->news = true;
        }
}

void gauge_stream(struct gauge *g, bool begun)
{
    g->total.streams_open += begun ? 1u : -1u;
    g->news = true;
}

void gauge_accepted(struct gauge *g)
{
    g->total.connections++;
    g->news = true;
}

void gauge_request(struct gauge *g, unsigned status, enum stats_reply how, double seconds, uint64_t in,
                   uint64_t out)
{
    uint64_t us = us_of(seconds);
    unsigned first = status / 100;
    g->total.requests[first < STATS_STATUSES ? first : 0]++;
    g->total.duration[how][hist_bucket(us)]++;
    g->total.duration_us[how] += us;
    g->total.bytes_in += in;
    g->total.bytes_out += out;
    g->news = true;
}

static void send(struct gauge *g, const struct stats_record *v, size_t n)
{
    struct stats_total *t = &g->total;
    uplink_stats(g->uplink, str_make((const char *)t, sizeof *t), str_make((const char *)v, n * sizeof *v));
    *t = (struct stats_total){.streams_open = t->streams_open};
    g->news = false;
}

/* What the pool has counted since it was last looked at; whether that is news. */
static bool look_at_pool(struct ep_live *l)
{
    struct stats_record *r = &l->stats;
    struct pool_stats now;
    pool_stats(l->pool, &now);
    uint32_t in_use = now.total - now.idle;
    bool news = now.idle != r->idle || in_use != r->in_use || now.dialled != l->pool_told.dialled ||
                now.reused != l->pool_told.reused;
    r->idle = now.idle;
    r->in_use = in_use;
    r->dialled = (uint32_t)(now.dialled - l->pool_told.dialled);
    r->reused = (uint32_t)(now.reused - l->pool_told.reused);
    l->pool_told = now;
    return news;
}

void gauge_tell(struct gauge *g)
{
    struct stats_record v[STATS_RECORDS];
    size_t n = 0;
    for (size_t i = 0; i < g->replica->n; i++) {
        struct ep *e = g->replica->eps[i];
        struct ep_live *l = e->live;
        if (!look_at_pool(l) && !l->news && l->open == l->stats.open)
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
        l->news = false;
    }
    if (n || g->news)
        send(g, v, n);
}
