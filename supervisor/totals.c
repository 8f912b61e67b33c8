#include "supervisor/totals.h"

#include "common/base/mem.h"
#include "supervisor/state_file.h"

#include <string.h>

enum { PERIOD_MS = 5 * 60 * 1000 };

_Static_assert((int)TOTALS_LASTING <= (int)STATE_COUNTERS && (int)TOTALS_LASTING_ENDPOINT <= (int)SAVED_COUNTS,
               "the file has room for what lasts");

/* ---- which endpoints */

/* Many are looked for one after the other, in the order of the configuration. */
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
        mem_free(t->v[i].open);
    mem_free(t->v);
    t->v = NULL;
    t->n = t->hint = 0;
}

void totals_conf(struct totals *t, const struct conf *c)
{
    struct totals_endpoint *v = mem_zalloc(c->nendpoints + 1, sizeof *v);
    for (size_t i = 0; i < c->nendpoints; i++) {
        struct totals_endpoint *known = next_one(t, str_c(c->endpoints[i].id));
        if (known) {
            v[i] = *known;
            known->open = NULL; /* moved */
        }
        memcpy(v[i].id, c->endpoints[i].id, sizeof v[i].id);
    }
    drop(t);
    t->v = v;
    t->n = c->nendpoints;
}

void totals_fini(struct totals *t)
{
    drop(t);
    mem_free(t->streams);
    *t = (struct totals){0};
}

/* ---- adding up */

static void set_gauge(uint32_t **v, unsigned *n, unsigned slot, uint32_t value)
{
    if (slot >= *n) {
        if (value == 0)
            return;
        *v = mem_realloc(*v, slot + 1, sizeof **v);
        memset(*v + *n, 0, (slot + 1 - *n) * sizeof **v);
        *n = slot + 1;
    }
    (*v)[slot] = value;
}

static uint32_t sum_gauge(const uint32_t *v, unsigned n)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < n; i++)
        sum += v[i];
    return sum;
}

static void add_record(struct totals *t, unsigned slot, const struct stats_record *r)
{
    for (unsigned i = 0; i < TOKENS__COUNT; i++)
        t->tokens[i] += r->tokens[i];
    struct totals_endpoint *e = next_one(t, str_make(r->id, sizeof r->id));
    if (!e)
        return; /* it left the configuration meanwhile */
    set_gauge(&e->open, &e->nopen, slot, r->open);
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
    memcpy(&all, total.p, sizeof all); /* a blob stands anywhere in its frame */
    set_gauge(&t->streams, &t->nstreams, slot, all.streams_open);
    for (unsigned i = 0; i < STATS_STATUSES; i++)
        t->requests[i] += all.requests[i];
    for (unsigned i = 0; i < HIST_BUCKETS; i++)
        t->duration[i] += all.duration[i];
    t->duration_us += all.duration_us;
    t->bytes_in += all.bytes_in;
    t->bytes_out += all.bytes_out;
    for (size_t at = 0; at < records.n; at += sizeof r) {
        memcpy(&r, records.p + at, sizeof r);
        add_record(t, slot, &r);
    }
    return true;
}

void totals_gone(struct totals *t, unsigned slot)
{
    set_gauge(&t->streams, &t->nstreams, slot, 0);
    for (size_t i = 0; i < t->n; i++)
        set_gauge(&t->v[i].open, &t->v[i].nopen, slot, 0);
}

/* ---- what lasts */

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

/* ---- what came of it */

uint32_t totals_open(const struct totals_endpoint *e)
{
    return sum_gauge(e->open, e->nopen);
}

uint32_t totals_streams(const struct totals *t)
{
    return sum_gauge(t->streams, t->nstreams);
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

int64_t totals_first_byte(const struct totals_endpoint *e, unsigned permille)
{
    uint64_t both[HIST_BUCKETS];
    for (unsigned i = 0; i < HIST_BUCKETS; i++)
        both[i] = e->lately[0][i] + e->lately[1][i];
    int64_t us = hist_quantile(both, permille);
    return us >= 0 ? us : hist_quantile(e->first_byte, permille);
}
