#include "common/policy/choice/ranking.h"

#include <string.h>

/* The distance of two turns of an endpoint with share 1. */
#define STRIDE ((uint64_t)1 << 24)

enum { PLACES = 4 }; /* of a new bucket */

static void *zalloc(const struct ranking *r, size_t n, size_t size)
{
    return memset(r->mem->alloc(r->mem->ctx, n * size), 0, n * size);
}

static void release(const struct ranking *r, void *p)
{
    if (p)
        r->mem->release(r->mem->ctx, p);
}

/* n elements of `size` bytes in place of *p, which has `had`. */
static void grow(const struct ranking *r, void *p, size_t had, size_t n, size_t size)
{
    void *old, *to = zalloc(r, n, size);
    memcpy(&old, p, sizeof old);
    if (had)
        memcpy(to, old, had * size);
    release(r, old);
    memcpy(p, &to, sizeof to);
}

static bool is_heap(const struct ranking *r)
{
    return r->conf.strategy == SEL_ROUND_ROBIN || r->conf.strategy == SEL_LEAST_CONNECTIONS;
}

static bool grouped(const struct ranking *r)
{
    return r->conf.use_priority || r->conf.strategy == SEL_PRIORITY_FAILOVER;
}

/* How much an endpoint counts where chance or turn decides, among those of its bucket. */
static uint32_t share(const struct ranking *r, uint32_t i)
{
    uint32_t w = r->v[i].ep.weight;
    return w == 0 || r->conf.strategy == SEL_RANDOM ? 1 : w;
}

/* ---- heaps */

static bool before(const struct ranking *r, uint32_t a, uint32_t b)
{
    uint64_t x = r->v[a].key, y = r->v[b].key;
    return x != y ? x < y : a < b;
}

static void place(struct ranking *r, struct ranking_bucket *b, uint32_t at, uint32_t i)
{
    b->v[at] = i;
    r->v[i].at = at;
}

/* Puts i where it belongs in the heap, from the place `at`, which is free. */
static void sift(struct ranking *r, struct ranking_bucket *b, uint32_t at, uint32_t i)
{
    while (at > 0 && before(r, i, b->v[(at - 1) / 2])) {
        place(r, b, at, b->v[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        uint32_t k = 2 * at + 1;
        if (k + 1 < b->n && before(r, b->v[k + 1], b->v[k]))
            k++;
        if (k >= b->n || !before(r, b->v[k], i))
            break;
        place(r, b, at, b->v[k]);
        at = k;
    }
    place(r, b, at, i);
}

/* ---- buckets */

/* The place of the bucket of that rank, or where it would have to be. */
static uint32_t bucket_at(const struct ranking *r, uint64_t rank)
{
    uint32_t lo = 0, hi = r->nbuckets;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (r->buckets[mid].rank < rank)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static struct ranking_bucket *bucket_of(struct ranking *r, uint64_t rank)
{
    uint32_t at = bucket_at(r, rank);
    if (at < r->nbuckets && r->buckets[at].rank == rank)
        return &r->buckets[at];
    if (r->nbuckets == r->buckets_cap) {
        r->buckets_cap = r->buckets_cap ? 2 * r->buckets_cap : PLACES;
        grow(r, &r->buckets, r->nbuckets, r->buckets_cap, sizeof *r->buckets);
    }
    memmove(&r->buckets[at + 1], &r->buckets[at], (r->nbuckets - at) * sizeof *r->buckets);
    r->nbuckets++;
    r->buckets[at] = (struct ranking_bucket){.rank = rank};
    return &r->buckets[at];
}

static void enter(struct ranking *r, uint32_t i)
{
    struct ranking_bucket *b = bucket_of(r, r->v[i].rank);
    if (b->n == b->cap) {
        b->cap = b->cap ? 2 * b->cap : PLACES;
        grow(r, &b->v, b->n, b->cap, sizeof *b->v);
    }
    b->n++;
    if (is_heap(r))
        sift(r, b, b->n - 1, i);
    else
        place(r, b, b->n - 1, i);
}

static void leave(struct ranking *r, uint32_t i)
{
    uint32_t k = bucket_at(r, r->v[i].rank);
    struct ranking_bucket *b = &r->buckets[k];
    uint32_t at = r->v[i].at, last = b->v[--b->n];
    if (b->n == 0) {
        release(r, b->v);
        memmove(b, b + 1, (--r->nbuckets - k) * sizeof *b);
    } else if (last != i && is_heap(r)) {
        sift(r, b, at, last);
    } else if (last != i) {
        place(r, b, at, last);
    }
}

/* ---- what the configuration decides */

static uint64_t dealt_rank(const struct ranking *r, const struct ranking_ep *e)
{
    return (e->weight == 0 ? SEL_RANK_WEIGHT : 0) | (grouped(r) ? e->priority : 0);
}

/* The dealt of that rank, made if there is none yet. They are in the order of their ranks. */
static struct ranking_dealt *dealt_of(struct ranking *r, uint64_t rank)
{
    uint32_t at = r->ndealts;
    while (at > 0 && r->dealts[at - 1].rank >= rank)
        at--;
    struct ranking_dealt *d = &r->dealts[at];
    if (at < r->ndealts && d->rank == rank)
        return d;
    memmove(d + 1, d, (r->ndealts++ - at) * sizeof *d);
    *d = (struct ranking_dealt){.rank = rank};
    return d;
}

static void deal(struct ranking *r)
{
    uint32_t first = 0;
    for (uint32_t i = 0; i < r->n; i++)
        if (r->v[i].ep.offers)
            dealt_of(r, dealt_rank(r, &r->v[i].ep))->n++;
    for (uint32_t k = 0; k < r->ndealts; k++) {
        r->dealts[k].first = first;
        first += r->dealts[k].n;
        r->dealts[k].n = 0;
    }
    for (uint32_t i = 0; i < r->n; i++) {
        if (!r->v[i].ep.offers)
            continue;
        struct ranking_dealt *d = dealt_of(r, dealt_rank(r, &r->v[i].ep));
        uint32_t at = d->first + d->n++;
        d->total += share(r, i);
        r->dealt[at] = i;
        r->upto[at] = d->total;
        r->v[i].dealt = (uint32_t)(d - r->dealts);
    }
}

void ranking_begin(struct ranking *r, const struct mem_source *mem, const struct sel_conf *c,
                   const struct ranking_ep *eps, size_t n)
{
    *r = (struct ranking){.mem = mem, .conf = *c, .n = (uint32_t)n, .due_ms = INT64_MAX};
    r->v = zalloc(r, n + 1, sizeof *r->v);
    r->dealts = zalloc(r, n + 1, sizeof *r->dealts);
    r->dealt = zalloc(r, n + 1, sizeof *r->dealt);
    r->upto = zalloc(r, n + 1, sizeof *r->upto);
    r->timed = zalloc(r, n + 1, sizeof *r->timed);
    for (uint32_t i = 0; i < r->n; i++) {
        r->v[i] = (struct ranked){.rank = RANKED_OUT, .ends_ms = INT64_MAX, .ep = eps[i]};
        /* first turns in the middle of the distance: the weighty ones go in between the others */
        r->v[i].turn = STRIDE / share(r, i) / 2;
        enter(r, i);
    }
    deal(r);
}

void ranking_free(struct ranking *r)
{
    for (uint32_t i = 0; i < r->nbuckets; i++)
        release(r, r->buckets[i].v);
    release(r, r->buckets);
    release(r, r->v);
    release(r, r->dealts);
    release(r, r->dealt);
    release(r, r->upto);
    release(r, r->timed);
    *r = (struct ranking){0};
}

/* ---- states */

static void set_end(struct ranking *r, uint32_t i, int64_t ends_ms)
{
    struct ranked *x = &r->v[i];
    x->ends_ms = ends_ms;
    if (ends_ms < r->due_ms)
        r->due_ms = ends_ms;
    if (ends_ms != INT64_MAX && !x->timed) {
        r->timed[r->ntimed++] = i;
        x->timed = r->ntimed;
    } else if (ends_ms == INT64_MAX && x->timed) {
        uint32_t last = r->timed[--r->ntimed];
        r->timed[x->timed - 1] = last;
        r->v[last].timed = x->timed;
        x->timed = 0;
    }
}

/* The bits of a load as a number of the same order: that of a fraction above 0 grows with it, and
 * equal fractions have the same. */
static uint64_t load_of(const struct ranking *r, uint32_t i)
{
    double load = (double)r->v[i].open / share(r, i);
    uint64_t bits;
    memcpy(&bits, &load, sizeof bits);
    return bits;
}

static uint64_t key_of(const struct ranking *r, uint32_t i)
{
    if (r->conf.strategy == SEL_LEAST_CONNECTIONS)
        return load_of(r, i);
    return r->v[i].turn > r->turn ? r->v[i].turn : r->turn;
}

static uint64_t rank_of(const struct ranking *r, const struct sel_ep *e)
{
    static const struct sel_req nobody = {.bound = -1};
    bool other_trial = e->tier == SEL_CIRCUIT_OPEN && e->trial != SEL_TRIAL_MINE;
    return other_trial || select_check(e, 0, &nobody) != SEL_SKIP_NO ? RANKED_OUT
                                                                     : select_rank(&r->conf, e);
}

void ranking_put(struct ranking *r, size_t i, const struct sel_ep *e, int64_t ends_ms)
{
    uint32_t at = (uint32_t)i;
    struct ranked *x = &r->v[i];
    uint64_t rank = rank_of(r, e);
    bool moves = rank != x->rank;
    bool sifts = r->conf.strategy == SEL_LEAST_CONNECTIONS && x->open != e->open;
    if (moves)
        leave(r, at);
    x->rank = rank;
    x->open = e->open;
    x->ttfb_us = e->ttfb_us;
    if (moves || sifts)
        x->key = key_of(r, at);
    if (moves)
        enter(r, at);
    else if (sifts)
        sift(r, bucket_of(r, rank), x->at, at);
    set_end(r, at, ends_ms);
}

int ranking_due(struct ranking *r, int64_t now_ms, uint32_t *from)
{
    if (now_ms < r->due_ms)
        return -1;
    /* backwards: where ranking_put takes one out it moves the last one there, which was seen */
    for (uint32_t k = *from < r->ntimed ? *from : r->ntimed; k-- > 0;)
        if (r->v[r->timed[k]].ends_ms <= now_ms) {
            *from = k;
            return (int)r->timed[k];
        }
    r->due_ms = INT64_MAX;
    for (uint32_t k = 0; k < r->ntimed; k++)
        if (r->v[r->timed[k]].ends_ms < r->due_ms)
            r->due_ms = r->v[r->timed[k]].ends_ms;
    return -1;
}

bool ranking_has_trial(const struct ranking *r)
{
    /* the last bucket is that of RANKED_OUT, or none is out */
    for (uint32_t k = r->nbuckets; k-- > 0;)
        if (r->buckets[k].rank != RANKED_OUT)
            return r->buckets[k].rank >= SEL_RANK_CIRCUIT;
    return false;
}

bool ranking_above(const struct ranking *r, enum sel_tier tier, uint32_t priority)
{
    for (unsigned t = 0; t <= (unsigned)tier; t++) {
        uint32_t at = bucket_at(r, t * SEL_RANK_DEGRADED);
        if (at < r->nbuckets && r->buckets[at].rank < t * SEL_RANK_DEGRADED + SEL_RANK_WEIGHT &&
            (uint32_t)r->buckets[at].rank < priority)
            return true;
    }
    return false;
}

void ranking_taken(struct ranking *r, size_t i)
{
    struct ranked *x = &r->v[i];
    if (r->conf.strategy != SEL_ROUND_ROBIN)
        return;
    if (x->key > r->turn)
        r->turn = x->key;
    x->key = x->turn = x->key + STRIDE / share(r, (uint32_t)i);
    sift(r, bucket_of(r, x->rank), x->at, (uint32_t)i);
}
