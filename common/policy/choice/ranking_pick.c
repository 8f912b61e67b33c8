#include "common/policy/choice/ranking.h"

/* A choice from one bucket. */
struct draw {
    const struct ranking *r;
    const struct ranking_ask *q;
    const struct ranking_bucket *b;
    uint64_t most;    /* largest key in a heap that may be taken; UINT64_MAX: any */
    uint32_t without; /* not this one; UINT32_MAX: any */
};

/* The random numbers of a request that no conversation has. */
static const uint64_t *key_of(const struct draw *d)
{
    return d->q->r->conversation ? d->q->r->key : d->q->r->rnd;
}

static uint32_t share(const struct draw *d, uint32_t i)
{
    uint32_t w = d->r->v[i].ep.weight;
    return w == 0 || d->r->conf.strategy == SEL_RANDOM ? 1 : w;
}

static bool excepted(const struct ranking_ask *q, uint32_t i)
{
    for (size_t k = 0; k < q->nexcept; k++)
        if (q->except[k] == i)
            return true;
    return false;
}

static bool may(const struct draw *d, uint32_t i)
{
    const struct ranked *x = &d->r->v[i];
    return x->rank == d->b->rank && x->key <= d->most && i != d->without && !excepted(d->q, i);
}

/* ---- the members of a bucket that may be taken, one after the other */

/* The place in a heap that follows `at` when all below `at` is to be seen (down) or not; n: none
 * is left. */
static uint32_t next_in_heap(uint32_t at, uint32_t n, bool down)
{
    if (down && 2 * at + 1 < n)
        return 2 * at + 1;
    while (at > 0 && (at % 2 == 0 || at + 1 >= n))
        at = (at - 1) / 2;
    return at == 0 ? n : at + 1;
}

/* Moves *at on to the next member that may be taken; *at begins at UINT32_MAX. Of a heap only those
 * are looked at whose parent has a key that may be taken. False: none is left. */
static bool next(const struct draw *d, uint32_t *at)
{
    uint32_t n = d->b->n;
    for (;;) {
        if (*at == UINT32_MAX)
            *at = 0;
        else if (d->most == UINT64_MAX)
            ++*at;
        else
            *at = next_in_heap(*at, n, d->r->v[d->b->v[*at]].key <= d->most);
        if (*at >= n)
            return false;
        if (may(d, d->b->v[*at]))
            return true;
    }
}

/* ---- chance */

static uint32_t dealt_at(const struct ranking *r, const struct ranking_dealt *dealt, uint64_t x)
{
    uint32_t lo = dealt->first, hi = dealt->first + dealt->n - 1;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (r->upto[mid] <= x)
            lo = mid + 1;
        else
            hi = mid;
    }
    return r->dealt[lo];
}

static int by_draws(const struct draw *d)
{
    const struct ranking_dealt *dealt = &d->r->dealts[d->r->v[d->b->v[0]].dealt];
    if (dealt->n <= SELECT_RENDEZVOUS_MAX)
        return -1;
    for (unsigned k = 0; k < SELECT_DRAWS; k++) {
        uint32_t i = dealt_at(d->r, dealt, select_draw(key_of(d), k, dealt->total));
        if (may(d, i))
            return (int)i;
    }
    return -1;
}

static int by_rendezvous(const struct draw *d)
{
    int best = -1;
    double least = 0;
    for (uint32_t at = UINT32_MAX; next(d, &at);) {
        uint32_t i = d->b->v[at];
        double cost = select_cost(d->q->r->key, d->r->v[i].ep.id_hash, share(d, i));
        if (best == -1 || cost < least || (cost == least && i < (uint32_t)best)) {
            best = (int)i;
            least = cost;
        }
    }
    return best;
}

static int by_share(const struct draw *d, uint64_t rnd)
{
    uint64_t total = 0;
    for (uint32_t at = UINT32_MAX; next(d, &at);)
        total += share(d, d->b->v[at]);
    uint64_t mark = (uint64_t)((unsigned __int128)rnd * total >> 64);
    for (uint32_t at = UINT32_MAX; next(d, &at);) {
        uint32_t s = share(d, d->b->v[at]);
        if (mark < s)
            return (int)d->b->v[at];
        mark -= s;
    }
    return -1;
}

static int by_chance(const struct draw *d, uint64_t rnd)
{
    int at = d->b->n == 1 && may(d, d->b->v[0]) ? (int)d->b->v[0] : by_draws(d);
    if (at != -1)
        return at;
    return d->q->r->conversation ? by_rendezvous(d) : by_share(d, rnd);
}

/* ---- strategies */

/* The first of the heap that may be taken: looks at no more than the excepted ones and what is
 * directly below them. */
static int first_of_heap(const struct draw *d)
{
    const struct ranked *v = d->r->v;
    int best = -1;
    bool down;
    for (uint32_t at = 0; at < d->b->n; at = next_in_heap(at, d->b->n, down)) {
        uint32_t i = d->b->v[at];
        bool is = may(d, i);
        down = !is;
        if (is && (best == -1 || v[i].key < v[best].key ||
                   (i < (uint32_t)best && v[i].key == v[best].key)))
            best = (int)i;
    }
    return best;
}

static int by_connections(struct draw *d)
{
    int least = first_of_heap(d);
    if (least == -1)
        return -1;
    d->most = d->r->v[least].key;
    return by_chance(d, d->q->r->rnd[0]);
}

static bool is_faster(const struct ranked *a, const struct ranked *b)
{
    uint64_t ta = a->ttfb_us ? a->ttfb_us : b->ttfb_us, tb = b->ttfb_us ? b->ttfb_us : a->ttfb_us;
    if (ta == 0)
        ta = tb = 1;
    return ta * ((uint64_t)a->open + 1) < tb * ((uint64_t)b->open + 1);
}

static int by_two_choices(struct draw *d)
{
    int a = by_chance(d, d->q->r->rnd[0]);
    if (a == -1)
        return -1;
    d->without = (uint32_t)a;
    int b = by_chance(d, d->q->r->rnd[1]);
    return b != -1 && is_faster(&d->r->v[b], &d->r->v[a]) ? b : a;
}

static int from_bucket(struct draw *d)
{
    enum sel_strategy s = d->r->conf.strategy;
    if (d->q->rendezvous || (s == SEL_ROUND_ROBIN && d->q->r->conversation))
        return by_chance(d, 0);
    if (s == SEL_ROUND_ROBIN)
        return first_of_heap(d);
    if (s == SEL_LEAST_CONNECTIONS)
        return by_connections(d);
    if (s == SEL_LEAST_LATENCY)
        return by_two_choices(d);
    return by_chance(d, d->q->r->rnd[0]);
}

/* Whether all members are excepted. */
static bool is_used_up(const struct ranking *r, const struct ranking_ask *q,
                       const struct ranking_bucket *b)
{
    uint32_t n = 0;
    for (size_t k = 0; b->n <= q->nexcept && k < q->nexcept; k++)
        n += r->v[q->except[k]].rank == b->rank;
    return n == b->n;
}

int ranking_pick(const struct ranking *r, const struct ranking_ask *q)
{
    for (uint32_t k = 0; k < r->nbuckets && r->buckets[k].rank < SEL_RANK_BEHIND; k++)
        if (!is_used_up(r, q, &r->buckets[k])) {
            struct draw d = {r, q, &r->buckets[k], UINT64_MAX, UINT32_MAX};
            return from_bucket(&d);
        }
    return -1;
}
