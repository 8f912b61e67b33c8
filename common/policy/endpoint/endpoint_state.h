/* endpoint_state: everything the supervisor knows and decides about one endpoint: health, breaker,
 * cooldown, failure queue, blocked models, what an operator said. Facts go in (an attempt's
 * outcome, a verification's, time, an operator's word), changes come out as notes, one log line
 * each. Pure: the caller broadcasts the state and orders what ep_wants says.
 *
 * Health:
 *   unknown ──success──► healthy ◄──────success, or its time is over────── degraded
 *                          │ ▲ └─────transient (request left), rate limit──────▲
 *                  unknown │ └── verification, or a success when not queued
 *                    class ▼
 *                       unhealthy (queued, unless it is the last one)
 *
 * An endpoint is the last one while it offers something that no other usable one (ep_usable) offers
 * (offers.h). It is not queued then; one that is in the queue already is in reach: requests may try
 * it, beside its verifications. */
#ifndef QCC_POLICY_ENDPOINT_STATE_H
#define QCC_POLICY_ENDPOINT_STATE_H

#include "common/base/base.h"
#include "common/policy/endpoint/breaker.h"
#include "common/policy/endpoint/cooldown.h"
#include "common/policy/endpoint/endpoint_names.h"
#include "common/policy/endpoint/failq.h"
#include "common/policy/outcome.h"
#include "common/policy/endpoint/rate.h"
#include "common/policy/select.h"

/* Models blocked on one endpoint at a time; one more takes the place of the one that ends first. */
enum { EP_BLOCKS = 16, EP_NOTES = 12 };

/* What a verification is for. */
enum ep_verifying {
    EP_VERIFY_NONE,
    EP_VERIFY_QUEUE, /* to leave the queue, or to be enabled again */
    EP_VERIFY_TRIAL, /* as the half-open breaker's trial */
    EP_VERIFY_ASKED  /* an operator's wish alone */
};

struct ep_conf {
    struct breaker_conf breaker;
    struct cooldown_conf cooldown;
    struct failq_conf failq;
    int64_t degraded_for_ms;
    int64_t block_ms; /* how long a refused model stays blocked, and count_tokens unasked */
};

struct ep_block {
    uint64_t model; /* hash of its name */
    int64_t until_ms;
};

/* Filled by ep_init; read it, change it through the functions only. */
struct ep_state {
    enum ep_health health;
    enum ep_disabled disabled;
    bool configured; /* `enabled` of the configuration, as last told */
    bool draining;
    bool in_reach;     /* queued, and may be tried: it is the last one (as of the last ep_tick) */
    bool verify_asked; /* by an operator */
    enum ep_verifying verifying;
    struct breaker breaker;
    struct cooldown cooldown;
    struct failq failq;
    char queued_why[64];       /* "" when not queued */
    uint32_t refused_status;   /* of the reply that last refused its key; 0: not known */
    int64_t refused_wall_ms;   /* and when, CLOCK_REALTIME; 0: not known */
    int64_t degraded_until_ms; /* after transient failures */
    int64_t no_count_until_ms; /* it cannot count tokens until then; 0: as far as is known it can */
    int64_t counted_ms;        /* when it last has; 0: never */
    struct ep_block blocks[EP_BLOCKS];
    uint32_t nblocks;
    uint64_t counts[OUTCOME__COUNT]; /* attempts by how they ended */
    struct rate_avg ttfb_us;
};

/* How one attempt ended, as a worker reports it. Each attempt is reported once; once more, a
 * refusal that a second opinion has overruled (`overruled`), and a success whose reply had not
 * come to its end (`part`). */
struct ep_report {
    enum outcome cls;
    enum fault fault;
    enum net_fault net;
    enum outcome_part part;
    int64_t retry_after_ms;
    const char *why;      /* for the log: the classifier's rule, what the transport saw; or NULL */
    bool trial;           /* it was the breaker's trial */
    bool left;            /* the request leaves the endpoint (false: it is repeated there) */
    bool overruled;       /* permanent: another endpoint has served the request */
    bool about_model;     /* permanent: the refusal was about the model */
    bool own_key;         /* the credentials were the endpoint's, not the client's */
    bool no_count_tokens; /* it cannot count tokens (side_path.h): charges nothing */
    bool counted;         /* OK, and no more than that: it has counted tokens */
    uint64_t model;       /* hash of the model's name */
    int64_t began_ms;
    uint64_t ttfb_us; /* 0: not measured */
    uint32_t status;  /* of its HTTP reply; 0: none */
    int64_t wall_ms;  /* CLOCK_REALTIME of the report */
};

/* What the decision hangs on besides the endpoint itself. */
struct ep_ctx {
    bool last; /* it offers something that no other usable one does (offers_last) */
};

/* One change, for one line: "endpoint X: breaker closed -> open: failures in a row". */
struct ep_note {
    enum ep_what what;
    const char *from, *to; /* static */
    const char *why;       /* static, or the report's */
    int64_t ms;            /* 0 unless said above */
};

struct ep_changes {
    struct ep_note note[EP_NOTES];
    uint32_t n;
    bool dirty; /* the workers' replica is to be told (also without a note) */
};

enum ep_want {
    EP_WANT_NOTHING,
    EP_WANT_LEND, /* the breaker is half open and its trial free: lend it to one worker (ep_lend) */
    EP_WANT_VERIFY /* a verification; if the trial is lent, take it back first (ep_verify_begin) */
};

/* An endpoint nobody has asked yet. `enabled`: as configured. */
void ep_init(struct ep_state *s, bool enabled);

/* What was saved: queued ones are verified first thing. Right after ep_init. */
void ep_restore(struct ep_state *s, const struct ep_conf *c, bool queued, enum ep_disabled disabled,
                bool draining, int64_t now_ms);

/* With one that was disabled by auth: how and when its key was refused. Right after ep_restore. */
void ep_restore_refusal(struct ep_state *s, uint32_t status, int64_t wall_ms);

/* A configuration came in. A changed `enabled` counts as its word; else what an operator said
 * stays. */
void ep_reconf(struct ep_state *s, const struct ep_conf *c, bool enabled, int64_t now_ms,
               struct ep_changes *ch);

/* All of these add to *ch, which the caller has zeroed. */
void ep_outcome(struct ep_state *s, const struct ep_conf *c, const struct ep_report *r,
                const struct ep_ctx *ctx, int64_t now_ms, struct ep_changes *ch);
/* Also for every other endpoint when one becomes usable or no longer is: who was unhealthy and
 * spared as the last one is queued as soon as it is not, and who is queued comes in reach as soon
 * as it is. */
void ep_tick(struct ep_state *s, const struct ep_conf *c, const struct ep_ctx *ctx, int64_t now_ms,
             struct ep_changes *ch);
void ep_operator(struct ep_state *s, const struct ep_conf *c, enum ep_action a, int64_t now_ms,
                 struct ep_changes *ch);

/* The breaker's trial: lent to a worker, begun by it, given back or taken back without a verdict
 * (the worker died, the client left). The first two are false when it is not to be had. */
bool ep_lend(struct ep_state *s, struct ep_changes *ch) MUST_CHECK;
bool ep_trial_begin(struct ep_state *s, struct ep_changes *ch) MUST_CHECK;
void ep_trial_back(struct ep_state *s, struct ep_changes *ch);

/* A verification begins (false: one is under way, or the trial is running); ended: ok, or failed
 * with the report of its class (NULL: none); lost without a verdict (its worker died, or gave it
 * back): charges nothing, is no step of the queue's schedule, and is made up for after a pause,
 * unless it was an operator's wish alone. */
bool ep_verify_begin(struct ep_state *s, struct ep_changes *ch) MUST_CHECK;
void ep_verified(struct ep_state *s, const struct ep_conf *c, bool ok, const struct ep_report *r,
                 const struct ep_ctx *ctx, int64_t now_ms, struct ep_changes *ch);
void ep_verify_lost(struct ep_state *s, const struct ep_conf *c, int64_t now_ms,
                    struct ep_changes *ch);

/* What the supervisor is to order now. */
enum ep_want ep_wants(const struct ep_state *s, const struct ep_conf *c, int64_t now_ms);

/* When ep_tick or ep_wants will have something new; INT64_MAX: never by itself. In the past as long
 * as something that ep_wants asks for has not been begun. */
int64_t ep_next_event_ms(const struct ep_state *s, const struct ep_conf *c, int64_t now_ms);

/* For the replica. */
enum sel_tier ep_tier(const struct ep_state *s);
static inline bool ep_enabled(const struct ep_state *s)
{
    return s->disabled == EP_ENABLED;
}
static inline bool ep_queued(const struct ep_state *s)
{
    return s->failq.kind == FAILQ_QUEUED;
}

/* Requests may go there, if only as a last resort: enabled, and out of the queue or in reach. */
static inline bool ep_open_to_requests(const struct ep_state *s)
{
    return ep_enabled(s) && (!ep_queued(s) || s->in_reach);
}

/* Any request may go there now: beside it no other is the last one. Changes with time alone, where
 * a cooldown by its own word ends (ep_next_event_ms). */
bool ep_usable(const struct ep_state *s, int64_t now_ms);

bool ep_model_blocked(const struct ep_state *s, uint64_t model, int64_t now_ms);

#endif
