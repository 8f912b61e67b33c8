/* select: which endpoint gets a request. Works on a compact array that the caller fills from its
 * replica for this one request, so that what the request itself has learned (which endpoints failed
 * it) counts at once. Pure: chance comes in as numbers, nothing is kept but round robin's turns.
 *
 * The order of preference, best first:
 *   an endpoint whose half-open trial this worker was lent, for a request that suits;
 *   the endpoint that the conversation is bound to;
 *   candidates by: not circuit_open, not yet tried by this request, not marked for something that
 *   it carries, tier, not cooling, weight above 0, priority group. Within what is equal the
 *   strategy decides, and for conversations weighted rendezvous hashing wherever the strategy
 *   leaves it to chance or turn, or sees a tie.
 *
 * Candidates that are full are passed over, whatever their tier and priority; circuit_open ones
 * come in when nothing else is left that has a place.
 *
 * Tier, cooldown and trial are those of the endpoint or of the request's cell there
 * (cell_replica.h), whichever is worse.
 *
 * A second opinion is asked of endpoints only that the request has not tried and that are not
 * circuit_open. */
#ifndef QCC_COMMON_POLICY_SELECT_H
#define QCC_COMMON_POLICY_SELECT_H

#include "common/base/base.h"
#include "common/policy/marks.h"
#include "common/base/str.h"
#include "common/policy/model_name.h"

enum sel_tier { SEL_HEALTHY, SEL_DEGRADED, SEL_UNHEALTHY, SEL_CIRCUIT_OPEN, SEL_TIER__COUNT };

/* Order and meaning of the configuration's balance.strategy. */
enum sel_strategy {
    SEL_WEIGHTED,
    SEL_ROUND_ROBIN, /* in rotation, by weight */
    SEL_RANDOM,      /* with equal chance, whatever their weight (weight 0 stays the last) */
    SEL_LEAST_CONNECTIONS,
    SEL_PRIORITY_FAILOVER,
    SEL_LEAST_LATENCY,
    SEL_STRATEGY__COUNT
};

/* The permission to let one request through to an endpoint whose breaker is not closed. */
enum sel_trial {
    SEL_TRIAL_NONE, /* no trial is running, and this worker has no permission */
    SEL_TRIAL_MINE, /* the supervisor lent the trial to this worker, and no request uses it */
    SEL_TRIAL_BUSY  /* a trial is running, here or in another worker */
};

struct sel_ep {
    uint64_t id_hash;   /* a hash of the endpoint's id, the same in all workers */
    int64_t *turn;      /* round robin's state, kept by the caller, 0 at first; else NULL */
    int64_t cooling_ms; /* cooldown that is left; 0: not cooling */
    uint32_t weight, priority;
    uint32_t open;    /* requests open there now */
    uint32_t ttfb_us; /* moving average of time to first byte; 0: not known */
    uint8_t tier;     /* enum sel_tier */
    uint8_t trial;    /* enum sel_trial; looked at when tier is SEL_CIRCUIT_OPEN */
    uint8_t marked;   /* 1 + enum mark_kind of a mark that the request carries; 0: none */
    bool enabled, queued, draining;
    bool own_word;   /* its replies named how long it cools */
    bool cell_tier;  /* the tier is that of the request's cell, the endpoint's own is better */
    bool cell_cools; /* only the request's cell cools, or only that by its own word */
    bool full;       /* max_concurrent reached */
    bool model_ok;   /* offers the model, and no_path is not set */
    bool no_path;    /* the path is not allowed there; kept apart for the reason in logs */
    bool tried;      /* this request has failed there, but may be repeated there */
    bool refused;    /* the last attempt there was a permanent refusal: used_up, but no failure */
    bool used_up;    /* this request may not go there again (retry_uses_up) */
};

struct sel_conf {
    enum sel_strategy strategy;
    bool use_priority;
    int64_t
        cache_ttl_ms; /* after so long idle a bound conversation may return to a higher priority */
};

struct sel_req {
    bool conversation;     /* the request belongs to a conversation: key is its hash */
    bool may_try;          /* suits as a trial: first attempt, repeatable */
    bool opinion;          /* a second opinion is wanted */
    int bound;             /* index of the endpoint it is bound to, or -1 */
    int64_t bound_idle_ms; /* since the binding to `bound` was last used */
    uint64_t key[2];
    uint64_t rnd[2]; /* two fresh random numbers */
};

enum sel_end {
    SEL_CHOSEN,      /* send to `at` */
    SEL_NEED_TRIAL,  /* only circuit_open ones are left: `at`, once its trial is lent */
    SEL_WAIT_TRIAL,  /* only circuit_open ones with running trials are left: wait for a verdict */
    SEL_ALL_FULL,    /* candidates are left, but all are full */
    SEL_ALL_COOLING, /* all that could serve cool by their own word, for `wait_ms` at least */
    SEL_NONE,
    SEL_END__COUNT
};

/* What becomes of the conversation's binding. */
enum sel_bound {
    SEL_BOUND_NO,     /* there is none */
    SEL_BOUND_USED,   /* `at` is the bound endpoint */
    SEL_BOUND_SPARED, /* this request goes elsewhere (full, refused), the binding stays: a success
                         elsewhere does not bind anew */
    SEL_BOUND_LEFT    /* its endpoint is out for this request, or failed it: a success elsewhere
                         binds anew */
};

struct sel_result {
    enum sel_end end;
    enum sel_bound bound;
    int at;          /* index; -1 unless SEL_CHOSEN or SEL_NEED_TRIAL */
    bool trial;      /* the request is the trial that this worker was lent for `at` */
    bool full;       /* an endpoint of tier 1 to 3 was passed over for want of a place alone */
    int64_t wait_ms; /* shortest cooldown left among those that cool by their own word; -1: none */
};

/* Why an endpoint was not taken, for logs and qccctl. */
enum sel_skip {
    SEL_SKIP_NO, /* the endpoint was taken; with select_check: it could be */
    SEL_SKIP_DISABLED,
    SEL_SKIP_QUEUED,
    SEL_SKIP_MODEL,
    SEL_SKIP_PATH,
    SEL_SKIP_USED_UP,
    SEL_SKIP_DRAINING,
    SEL_SKIP_COOLING, /* cools by its own word */
    SEL_SKIP_FULL,
    SEL_SKIP_TRIAL_BUSY,
    /* The reasons from here on: a candidate, but another was better. */
    SEL_SKIP_BOUND, /* the conversation is bound to another */
    SEL_SKIP_TRIAL, /* another endpoint has a trial for this request */
    SEL_SKIP_CIRCUIT,
    SEL_SKIP_TRIED,
    SEL_SKIP_TIER,
    SEL_SKIP_COOLING_TOLD_NOTHING,
    SEL_SKIP_WEIGHT,
    SEL_SKIP_PRIORITY,
    SEL_SKIP_STRATEGY,
    SEL_SKIP_TRIAL_NEEDED, /* the best that is left: SEL_NEED_TRIAL */
    /* The same of the request's cell there; numbers stand in files, so they come last. */
    SEL_SKIP_CELL_COOLING,
    SEL_SKIP_CELL_TRIAL_BUSY,
    SEL_SKIP_CELL_CIRCUIT,
    SEL_SKIP_CELL_COOLING_TOLD_NOTHING,
    SEL_SKIP_CELL_TRIAL_NEEDED,
    SEL_SKIP_MARKED, /* with the mark's kind: SEL_SKIP_MARKED + enum mark_kind */
    SEL_SKIP_MARKED_LAST = SEL_SKIP_MARKED + MARK__COUNT - 1,
    SEL_SKIP__COUNT
};

/* Bytes of a reason with a family. */
enum { SEL_SKIP_TEXT = MODEL_NAME_MAX + 48 };

/* What is left for a request beside the endpoint that just failed, for retry_next. */
struct sel_others {
    uint32_t untried;         /* tier 1 to 3, not yet tried, with a place */
    uint32_t again;           /* tried by this request, not used up, with a place */
    uint32_t circuit;         /* circuit_open, not yet tried, with a place */
    uint32_t busy;            /* circuit_open, not used up, a trial is running there */
    uint32_t full;            /* tier 1 to 3, not yet tried, without a place */
    uint32_t again_full;      /* tried, not used up, without a place, the failed one included */
    bool self;                /* the failed one itself may be asked again, and has a place */
    int64_t cool_ms;          /* shortest cooldown left among those that cool by their own word, the
                                 failed one included; -1: none */
    int64_t cool_unmarked_ms; /* the same of those alone that are not marked for the request */
};

/* The order of preference as one number, the smallest first; among equal ones the strategy decides.
 * Bits of it: weight 0; a cooldown; a tier behind healthy; from SEL_RANK_BEHIND on a mark, or an
 * attempt of this request; from SEL_RANK_CIRCUIT on circuit_open. Its lowest 32 bits are the
 * priority, where priorities group endpoints. */
#define SEL_RANK_WEIGHT 0x100000000u
#define SEL_RANK_COOLING 0x200000000u
#define SEL_RANK_DEGRADED 0x400000000u
#define SEL_RANK_BEHIND 0x1000000000u
#define SEL_RANK_CIRCUIT 0x8000000000u
uint64_t select_rank(const struct sel_conf *c, const struct sel_ep *e);

/* How a conversation gets its endpoint in a group of equals. Of up to SELECT_RENDEZVOUS_MAX
 * endpoints that might be in the group (they offer the model, are of its priority, and have a
 * weight as it has), each has a cost for it, and the cheapest takes it. Of more, SELECT_DRAWS are
 * drawn by weight, and the first that is in the group takes it; if none is, the cheapest of the
 * group. Both make an order of all endpoints that only the conversation and the configuration
 * decide: workers agree, and an endpoint that goes takes only its own conversations along. */
enum { SELECT_RENDEZVOUS_MAX = 16, SELECT_DRAWS = 32 };

/* The cost of an endpoint for a conversation. weight above 0. */
double select_cost(const uint64_t key[2], uint64_t id_hash, uint32_t weight);
/* The k-th draw for a key: a number below total, the sum of the shares. */
uint64_t select_draw(const uint64_t key[2], unsigned k, uint64_t total);

/* Whether a bound conversation has been idle for so long that it returns to a higher priority. */
bool select_idle(const struct sel_conf *c, const struct sel_req *r);
/* What becomes of the binding to `home`. returns: an endpoint of a higher priority waits for the
 * conversation, which is idle (select_idle). */
enum sel_bound select_home(const struct sel_ep *home, bool returns);
/* Why e was not taken: what keeps it from being a candidate, else `instead`, else (SEL_SKIP_NO) why
 * it is behind the rank `best`. r->bound is 0 if e is the bound endpoint. */
enum sel_skip select_why(const struct sel_conf *c, const struct sel_ep *e, const struct sel_req *r,
                         uint64_t best, enum sel_skip instead);

/* Chooses an endpoint for a request. `why` is NULL, or room for n values of enum sel_skip. O(n),
 * allocates nothing. */
void select_pick(const struct sel_conf *c, const struct sel_ep *eps, size_t n,
                 const struct sel_req *r, struct sel_result *out, uint8_t *why);

/* Whether eps[i] could be given this request at all: SEL_SKIP_NO, or the reason (up to
 * SEL_SKIP_TRIAL_BUSY, as of the endpoint where it is the cell's). Also for a look before a repeat
 * at the same endpoint. */
enum sel_skip select_check(const struct sel_ep *eps, size_t i, const struct sel_req *r);

/* What is left beside eps[at] (-1: beside none). The caller has entered what it has just learned
 * (tried, used_up, cooling) into eps[at]. */
struct sel_others select_others(const struct sel_ep *eps, size_t n, const struct sel_req *r,
                                int at);

/* The reason as of the request's cell there, where it is the cell's (cell_tier, cell_cools); else s
 * itself. */
enum sel_skip select_skip_cell(enum sel_skip s, const struct sel_ep *e);

/* A reason in words for people: "disabled", "full", …; of a cell with its family: "opus: cooling".
 * model: the one asked for; empty: not known. May borrow from out. */
const char *select_skip_put(enum sel_skip s, struct str model, char out[static SEL_SKIP_TEXT]);
/* An end in words for people: "chosen", "all full", …. */
const char *select_end_text(enum sel_end e);

#endif
