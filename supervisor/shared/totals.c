#include "supervisor/shared/totals.h"

#include "common/base/mem.h"
#include "supervisor/shared/saved.h"

#include <stdio.h>
#include <string.h>

enum { PERIOD_MS = 5 * 60 * 1000 };

const char *const totals_status_name[STATS_STATUSES] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
const char *const totals_tokens_name[TOKENS__COUNT] = {
    [TOKENS_INPUT] = "input",
    [TOKENS_OUTPUT] = "output",
    [TOKENS_CACHE_READ] = "cache_read",
    [TOKENS_CACHE_WRITE] = "cache_write",
};

_Static_assert((int)TOTALS_LASTING <= (int)STATE_COUNTERS &&
                   (int)TOTALS_LASTING_ENDPOINT <= (int)SAVED_COUNTS,
               "the file has room for what lasts");

/* ---- endpoints */

/* Finds an endpoint, starting behind the one found last: callers mostly ask in the order of the
 * configuration. */
static struct totals_endpoint *next_one(struct totals *t, struct str id)
{
    for (size_t i = 0; i < t->n; i++) {
        size_t at = (t->hint + i) % t->n;
        if (str_eq(str_c(t->v[at].id), id)) {
            t->hint = at + 1;
            return &t->v[at];
        }
    }
    return NULL;
}

static void drop(struct totals *t)
{
    for (size_t i = 0; i < t->n; i++)
        mem_free(t->v[i].now);
    mem_free(t->v);
    t->v = NULL;
    t->n = t->hint = 0;
}

/* Takes the series of that name out of the old ones, starting at *hint; NULL: there is none. */
static struct totals_series *take_series(struct totals *t, const char *name, size_t *hint)
{
    for (size_t i = 0; i < t->nseries; i++) {
        size_t at = (*hint + i) % t->nseries;
        struct totals_series *s = t->series[at];
        if (s && strcmp(s->name, name) == 0) {
            t->series[at] = NULL;
            *hint = at + 1;
            return s;
        }
    }
    return NULL;
}

static void conf_series(struct totals *t, const struct conf *c)
{
    struct totals_series **v = mem_zalloc(c->nendpoints + t->nseries + 1, sizeof(*v));
    size_t n = 0, hint = 0;
    for (size_t i = 0; i < c->nendpoints; i++) {
        const struct conf_endpoint *e = &c->endpoints[i];
        const char *name = e->name ? e->name : e->id;
        v[n] = take_series(t, name, &hint);
        if (!v[n])
            v[n] = mem_zalloc(1, sizeof(**v));
        snprintf(v[n]->name, sizeof v[n]->name, "%s", name);
        n++;
    }
    for (size_t i = 0; i < t->nseries; i++) {
        if (t->series[i] && n < c->nendpoints + TOTALS_LEFT_MAX)
            v[n++] = t->series[i];
        else
            mem_free(t->series[i]);
    }
    mem_free(t->series);
    t->series = v;
    t->nseries = n;
}

void totals_conf(struct totals *t, const struct conf *c)
{
    struct totals_endpoint *v = mem_zalloc(c->nendpoints + 1, sizeof *v);
    for (size_t i = 0; i < c->nendpoints; i++) {
        struct totals_endpoint *known = next_one(t, str_c(c->endpoints[i].id));
        if (known) {
            v[i] = *known;
            known->now = NULL; /* the new endpoint owns it now */
        }
        memcpy(v[i].id, c->endpoints[i].id, sizeof v[i].id);
    }
    drop(t);
    t->v = v;
    t->n = c->nendpoints;
    conf_series(t, c);
}

void totals_fini(struct totals *t)
{
    drop(t);
    for (size_t i = 0; i < t->nseries; i++)
        mem_free(t->series[i]);
    mem_free(t->series);
    mem_free(t->streams);
    *t = (struct totals){0};
}

/* ---- adding up */

static void set_streams(struct totals *t, unsigned slot, uint32_t value)
{
    if (slot >= t->nstreams) {
        if (value == 0)
            return;
        t->streams = mem_realloc(t->streams, slot + 1, sizeof *t->streams);
        memset(t->streams + t->nstreams, 0, (slot + 1 - t->nstreams) * sizeof *t->streams);
        t->nstreams = slot + 1;
    }
    t->streams[slot] = value;
}

static void set_now(struct totals_endpoint *e, unsigned slot, struct totals_now now)
{
    if (slot >= e->nnow) {
        if (now.open == 0 && now.idle == 0 && now.in_use == 0)
            return;
        e->now = mem_realloc(e->now, slot + 1, sizeof *e->now);
        memset(e->now + e->nnow, 0, (slot + 1 - e->nnow) * sizeof *e->now);
        e->nnow = slot + 1;
    }
    e->now[slot] = now;
}

static void add_to_series(struct totals_series *s, const struct stats_record *r)
{
    s->charged += r->charged;
    s->first_byte_us += r->first_byte_us;
    s->dialled += r->dialled;
    s->reused += r->reused;
    for (unsigned i = 0; i < OUTCOME__COUNT; i++)
        s->attempts[i] += r->attempts[i];
    for (unsigned i = 0; i < HIST_BUCKETS; i++)
        s->first_byte[i] += r->first_byte[i];
    for (unsigned i = 0; i < TOKENS__COUNT; i++)
        s->tokens[i] += r->tokens[i];
}

static void add_record(struct totals *t, unsigned slot, const struct stats_record *r)
{
    for (unsigned i = 0; i < TOKENS__COUNT; i++)
        t->tokens[i] += r->tokens[i];
    struct totals_endpoint *e = next_one(t, str_make(r->id, sizeof r->id));
    if (!e)
        return; /* the endpoint has left the configuration */
    set_now(e, slot, (struct totals_now){.open = r->open, .idle = r->idle, .in_use = r->in_use});
    add_to_series(t->series[e - t->v], r);
    e->charged += r->charged;
    e->first_byte_us += r->first_byte_us;
    for (unsigned i = 0; i < OUTCOME__COUNT; i++)
        e->attempts[i] += r->attempts[i];
    for (unsigned i = 0; i < HIST_BUCKETS; i++) {
        e->first_byte[i] += r->first_byte[i];
        e->lately[0][i] += r->first_byte[i];
    }
    for (unsigned i = 0; i < TOKENS__COUNT; i++)
        e->tokens[i] += r->tokens[i];
}

static void turn(struct totals *t, int64_t now_ms)
{
    if (now_ms - t->turned_ms < PERIOD_MS)
        return;
    bool stale = now_ms - t->turned_ms >= 2 * PERIOD_MS;
    t->turned_ms = now_ms;
    for (size_t i = 0; i < t->n; i++) {
        struct totals_endpoint *e = &t->v[i];
        memcpy(e->lately[1], e->lately[0], sizeof e->lately[1]);
        memset(e->lately[0], 0, sizeof e->lately[0]);
        if (stale)
            memset(e->lately[1], 0, sizeof e->lately[1]);
    }
}

bool totals_add(struct totals *t, unsigned slot, struct str total, struct str records,
                int64_t now_ms)
{
    struct stats_total all;
    struct stats_record r;
    if (slot >= TOTALS_SLOTS || total.n != sizeof all || records.n % sizeof r)
        return false;
    turn(t, now_ms);
    memcpy(&all, total.p, sizeof all); /* copied, since a blob in a frame is not aligned */
    set_streams(t, slot, all.streams_open);
    t->connections += all.connections;
    t->history_dropped += all.history_dropped;
    for (unsigned i = 0; i < STATS_STATUSES; i++)
        t->requests[i] += all.requests[i];
    for (unsigned k = 0; k < STATS_REPLIES; k++) {
        for (unsigned i = 0; i < HIST_BUCKETS; i++)
            t->duration[k][i] += all.duration[k][i];
        t->duration_us[k] += all.duration_us[k];
    }
    t->bytes_in += all.bytes_in;
    t->bytes_out += all.bytes_out;
    for (size_t at = 0; at < records.n; at += sizeof r) {
        memcpy(&r, records.p + at, sizeof r);
        add_record(t, slot, &r);
    }
    return true;
}

size_t totals_open(const struct totals *t, unsigned slot, size_t *at, struct stats_total *all,
                   struct stats_record *v, size_t max)
{
    size_t n = 0;
    *all = (struct stats_total){.streams_open = slot < t->nstreams ? t->streams[slot] : 0};
    for (; *at < t->n && n < max; ++*at) {
        const struct totals_endpoint *e = &t->v[*at];
        struct totals_now now = slot < e->nnow ? e->now[slot] : (struct totals_now){0};
        if (now.open == 0 && now.idle == 0 && now.in_use == 0)
            continue;
        v[n] = (struct stats_record){.open = now.open, .idle = now.idle, .in_use = now.in_use};
        memcpy(v[n++].id, e->id, sizeof v->id);
    }
    return n;
}

void totals_verified(struct totals *t, struct str id, bool ok)
{
    struct totals_endpoint *e = next_one(t, id);
    if (!e)
        return;
    struct totals_series *s = t->series[e - t->v];
    s->verified += ok;
    s->verify_failed += !ok;
}

void totals_tripped(struct totals *t, struct str id)
{
    struct totals_endpoint *e = next_one(t, id);
    if (e)
        t->series[e - t->v]->tripped++;
}

void totals_gone(struct totals *t, unsigned slot)
{
    set_streams(t, slot, 0);
    for (size_t i = 0; i < t->n; i++)
        set_now(&t->v[i], slot, (struct totals_now){0});
}

/* ---- saving and restoring */

static size_t put(uint64_t *v, size_t at, const uint64_t *from, size_t n)
{
    memcpy(v + at, from, n * sizeof *v);
    return at + n;
}

static size_t get(const uint64_t *v, size_t at, uint64_t *to, size_t n)
{
    memcpy(to, v + at, n * sizeof *v);
    return at + n;
}

void totals_save(const struct totals *t, uint64_t *v)
{
    size_t at = put(v, 0, t->requests, STATS_STATUSES);
    at = put(v, at, &t->bytes_in, 1);
    at = put(v, at, &t->bytes_out, 1);
    put(v, at, t->tokens, TOKENS__COUNT);
}

void totals_restore(struct totals *t, const uint64_t *v)
{
    size_t at = get(v, 0, t->requests, STATS_STATUSES);
    at = get(v, at, &t->bytes_in, 1);
    at = get(v, at, &t->bytes_out, 1);
    get(v, at, t->tokens, TOKENS__COUNT);
    memcpy(t->restored_requests, t->requests, sizeof t->restored_requests);
    t->restored_in = t->bytes_in;
    t->restored_out = t->bytes_out;
}

void totals_save_endpoint(struct totals *t, struct str id, uint64_t *v)
{
    const struct totals_endpoint *e = next_one(t, id);
    if (!e)
        return;
    size_t at = put(v, 0, e->attempts, OUTCOME__COUNT);
    at = put(v, at, &e->charged, 1);
    put(v, at, e->tokens, TOKENS__COUNT);
}

void totals_restore_endpoint(struct totals *t, struct str id, const uint64_t *v)
{
    struct totals_endpoint *e = next_one(t, id);
    if (!e)
        return;
    size_t at = get(v, 0, e->attempts, OUTCOME__COUNT);
    at = get(v, at, &e->charged, 1);
    get(v, at, e->tokens, TOKENS__COUNT);
}

/* ---- derived figures */

struct totals_now totals_now(const struct totals_endpoint *e)
{
    struct totals_now sum = {0};
    for (unsigned i = 0; i < e->nnow; i++) {
        sum.open += e->now[i].open;
        sum.idle += e->now[i].idle;
        sum.in_use += e->now[i].in_use;
    }
    return sum;
}

uint32_t totals_streams(const struct totals *t)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < t->nstreams; i++)
        sum += t->streams[i];
    return sum;
}

uint64_t totals_requests(const struct totals *t)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < STATS_STATUSES; i++)
        sum += t->requests[i];
    return sum;
}

int totals_success(const struct totals_endpoint *e)
{
    uint64_t ok = e->attempts[OUTCOME_OK], all = ok + e->charged;
    return all ? (int)((double)ok * 1000 / (double)all) : -1;
}

static int64_t first_byte(const struct totals_endpoint *e, size_t n, unsigned permille)
{
    uint64_t both[HIST_BUCKETS] = {0}, ever[HIST_BUCKETS] = {0};
    for (size_t k = 0; k < n; k++)
        for (unsigned i = 0; i < HIST_BUCKETS; i++) {
            both[i] += e[k].lately[0][i] + e[k].lately[1][i];
            ever[i] += e[k].first_byte[i];
        }
    int64_t us = hist_quantile(both, permille);
    return us >= 0 ? us : hist_quantile(ever, permille);
}

int64_t totals_first_byte(const struct totals_endpoint *e, unsigned permille)
{
    return first_byte(e, 1, permille);
}

int64_t totals_first_byte_all(const struct totals *t, unsigned permille)
{
    return first_byte(t->v, t->n, permille);
}
