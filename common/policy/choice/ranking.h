/* ranking: the endpoints in order of choice for requests that name one model. Kept up to date as
 * states change, so that a choice does not look at all endpoints: it costs O(1) in their number for
 * chance, O(log n) for draws, turns and loads. Chooses as select.h does among endpoints of tier 1
 * to 3 that the request has not tried and that are not marked for it; where there is none, or a
 * trial is on loan, select_pick has to choose. Pure.
 *
 * Each endpoint is in the bucket of its rank (select_rank); those that are no candidates are in the
 * last bucket. For round_robin and least_connections a bucket is a heap, by turn or by load. */
#ifndef QCC_COMMON_POLICY_CHOICE_RANKING_H
#define QCC_COMMON_POLICY_CHOICE_RANKING_H

#include "common/base/base.h"
#include "common/base/mem.h"
#include "common/policy/select.h"

/* What the configuration says of an endpoint. */
struct ranking_ep {
    uint64_t id_hash;
    uint32_t weight, priority;
    bool offers; /* offers the model */
};

/* The rank of an endpoint that is no candidate. */
#define RANKED_OUT UINT64_MAX

struct ranked {
    uint64_t rank;   /* select_rank; RANKED_OUT: no candidate */
    uint64_t key;    /* order within a heap: its turn, or its load */
    uint64_t turn;   /* round_robin: when it is due next */
    int64_t ends_ms; /* when the rank changes without a message; INT64_MAX: never */
    uint32_t at;     /* place in its bucket */
    uint32_t timed;  /* 1 + place in ranking.timed; 0: not there */
    uint32_t ttfb_us, open;
    uint32_t dealt; /* its struct ranking_dealt */
    struct ranking_ep ep;
};

/* Endpoints of one rank. */
struct ranking_bucket {
    uint64_t rank;
    uint32_t n, cap;
    uint32_t *v; /* owned */
};

/* Endpoints among which conversations are dealt by draws (select.h), whatever their state. */
struct ranking_dealt {
    uint64_t rank;     /* what of the rank the configuration decides: weight 0, priority */
    uint32_t first, n; /* places in ranking.dealt and ranking.upto */
    uint64_t total;    /* sum of their shares */
};

struct ranking {
    const struct mem_source *mem;
    struct sel_conf conf;
    uint32_t n, nbuckets, buckets_cap, ndealts, ntimed;
    struct ranked *v;               /* owned, by index in the configuration */
    struct ranking_bucket *buckets; /* owned, the best rank first, none empty */
    struct ranking_dealt *dealts;   /* owned */
    uint32_t *dealt;                /* owned: indices of endpoints */
    uint64_t *upto;                 /* owned: sum of the shares of a dealt's endpoints up to here */
    uint32_t *timed;                /* owned: endpoints with ends_ms */
    int64_t due_ms;                 /* no ends_ms is earlier */
    uint64_t turn;                  /* round_robin: the turn of the one last taken */
};

/* A request for ranking_pick. */
struct ranking_ask {
    const struct sel_req *r;
    bool rendezvous; /* whatever the strategy (SEL_BOUND_SPARED) */
    /* endpoints that it may not get: tried, marked */
    const uint32_t *except;
    size_t nexcept;
};

/* A ranking of n endpoints, at first all out. mem never fails: it ends the process instead. Freed
 * with ranking_free. */
void ranking_begin(struct ranking *r, const struct mem_source *mem, const struct sel_conf *c,
                   const struct ranking_ep *eps, size_t n);
/* Frees what ranking_begin allocated; zero bytes are left. */
void ranking_free(struct ranking *r);

/* Enters the state of endpoint i, which has nothing in it of one request, and until when it holds
 * if nobody changes it (INT64_MAX: for good). O(log n) in the size of its bucket. */
void ranking_put(struct ranking *r, size_t i, const struct sel_ep *e, int64_t ends_ms);

/* The next endpoint whose state has come to its end by now, to be entered anew: *from begins at
 * UINT32_MAX. -1: there is none. */
int ranking_due(struct ranking *r, int64_t now_ms, uint32_t *from);

/* Whether the trial of an endpoint is on loan here. */
bool ranking_has_trial(const struct ranking *r);
/* Whether an endpoint of that tier or a better one, that neither cools nor has weight 0, is of a
 * higher priority (a smaller number) than `priority`. */
bool ranking_above(const struct ranking *r, enum sel_tier tier, uint32_t priority);

/* Chooses an endpoint. -1: none of tier 1 to 3 is left that the request may get. */
int ranking_pick(const struct ranking *r, const struct ranking_ask *q) MUST_CHECK;
/* The endpoint was taken: it was its turn. */
void ranking_taken(struct ranking *r, size_t i);

#endif
