/* endpoint_charge: what is known of an endpoint, and what a failure, a success or an operator does
 * to it and its cells. The functions are for the files of endpoint_state.h alone. Pure. */
#ifndef QCC_COMMON_POLICY_ENDPOINT_ENDPOINT_CHARGE_H
#define QCC_COMMON_POLICY_ENDPOINT_ENDPOINT_CHARGE_H

#include "common/base/base.h"
#include "common/policy/endpoint/breaker.h"
#include "common/policy/endpoint/cells.h"
#include "common/policy/endpoint/cooldown.h"
#include "common/policy/endpoint/endpoint_change.h"
#include "common/policy/endpoint/endpoint_names.h"
#include "common/policy/endpoint/failq.h"
#include "common/policy/endpoint/nameless.h"
#include "common/policy/outcome.h"
#include "common/policy/endpoint/rate.h"
#include "common/policy/select.h"

/* What a verification is for. */
enum ep_verifying {
    EP_VERIFY_NONE,
    EP_VERIFY_QUEUE, /* to leave the queue, or to be enabled again */
    EP_VERIFY_TRIAL, /* it is the trial of a breaker that is not closed */
    EP_VERIFY_ASKED, /* an operator has requested it, nothing else */
    EP_VERIFY_CELL,  /* it is the trial of a cell (verify_family) */
    EP_VERIFY_VOID /* an operator has reset the endpoint meanwhile: its verdict counts for nothing,
                      and nothing else is begun before it has ended */
};

struct ep_conf {
    struct breaker_conf breaker;
    struct cooldown_conf cooldown;
    struct failq_conf failq;
    int64_t degraded_for_ms;
    bool verifies;  /* probe: conversational, and the endpoint has a key: cells are verified */
    bool probe_set; /* a verification of the endpoint asks for a model of the configuration first */
    int64_t block_ms; /* how long what an endpoint lacks is not asked for again */
};

/* Models that a verification of the queue asks for at most, when each ends with a failure of scope
 * model. */
enum { EP_VERIFY_MODELS = 3 };

/* Bytes of the reason that an endpoint was queued for; beyond, it is cut. */
enum { EP_WHY_MAX = 200 };

/* The state of one endpoint, made by ep_init. Callers may read it; only the functions change it. A
 * copy shares its cells with the original: one of them alone is used further. */
struct ep_state {
    enum ep_health health;
    enum ep_disabled disabled;
    bool configured; /* `enabled` of the newest configuration */
    bool draining;
    bool in_reach;     /* queued, but requests may try it: the last one as of the last ep_tick */
    bool verify_asked; /* an operator has requested a verification that has not begun */
    enum ep_verifying verifying;
    struct breaker breaker;
    struct cooldown cooldown;
    struct failq failq;
    char queued_why[EP_WHY_MAX + 1]; /* "" when not queued */
    uint32_t refused_status;         /* HTTP status that last refused its key; 0: not known */
    int64_t refused_wall_ms;   /* when its key was last refused, CLOCK_REALTIME; 0: not known */
    int64_t degraded_until_ms; /* end of EP_DEGRADED after transient failures */
    int64_t recheck_ms;        /* unhealthy and in service, as it is the last one: when it is
                                  verified next; 0: not so */
    int64_t no_count_until_ms; /* cannot count tokens until then; 0: not known to lack it */
    int64_t counted_ms;        /* when the endpoint last counted tokens; 0: never */
    struct cells cells;
    bool by_cells;       /* the breaker was opened by failures of several cells */
    int64_t by_cells_ms; /* when it was */
    char verify_family[MODEL_NAME_MAX + 1]; /* with EP_VERIFY_CELL */
    uint32_t verify_ended; /* verifications of the queue that ended with scope model, in a row */
    struct nameless nameless;
    uint64_t counts[OUTCOME__COUNT]; /* attempts by enum outcome */
    struct rate_avg ttfb_us;
};

/* How one attempt ended, as a worker reports it. Each attempt is reported once, and a second time
 * if it was a refusal that a second opinion has overruled (`overruled`) or a success whose reply
 * had not come to its end (`part`). */
struct ep_report {
    enum outcome cls;
    enum fault fault;
    enum net_fault net;
    enum outcome_part part;
    int64_t retry_after_ms;
    const char *why;        /* for the log: the classifier's rule or the transport's failure; or
                               NULL */
    enum scope scope;       /* SCOPE_NONE, with a failure, counts as SCOPE_ENDPOINT */
    struct str sent;        /* the model's name as the endpoint got it; empty: none, a side path */
    const char *cell_trial; /* family of the cell whose trial the attempt was; NULL: of none */
    bool trial;             /* the attempt was the trial of the endpoint's breaker */
    bool left;              /* the request leaves the endpoint (false: it is repeated there) */
    bool overruled;         /* permanent: another endpoint has served the request */
    bool page;              /* overruled, and the refusal was a page or a redirect */
    bool nameless;          /* overruled, and the refusal names nothing of the request */
    bool own_key;           /* the credentials were the endpoint's, not the client's */
    bool no_count_tokens;   /* the endpoint cannot count tokens (SIDE_CANNOT_COUNT); no charge */
    bool counted;           /* the endpoint has counted tokens; nothing else is reported */
    bool unasked;           /* a success on another path than /v1/messages: verifications do not
                               ask for its model */
    bool poisoned;          /* a failure on a message that no endpoint serves: not charged */
    uint64_t conversation, client; /* with nameless: as for nameless_add */
    uint64_t message;              /* poison_hash of the request's body; 0: not known */
    int64_t began_ms;
    uint64_t ttfb_us; /* 0: not measured */
    uint32_t status;  /* HTTP status of the reply; 0: none */
    int64_t wall_ms;  /* CLOCK_REALTIME of the report */
};

/* What decisions depend on besides the endpoint itself. */
struct ep_ctx {
    bool last; /* it offers something that no other usable one does (offers_last) */
};

/* Whether neither the configuration, a refused key nor an operator has disabled the endpoint. */
static inline bool ep_enabled(const struct ep_state *s)
{
    return s->disabled == EP_ENABLED;
}
/* Whether the endpoint is in the failure queue. */
static inline bool ep_queued(const struct ep_state *s)
{
    return s->failq.kind == FAILQ_QUEUED;
}

/* Each of these makes one change, if it is one, and notes it. */
void ep_set_health(struct ep_state *s, enum ep_health to, const char *why, struct ep_changes *ch);
void ep_set_disabled(struct ep_state *s, enum ep_disabled to, const char *why,
                     struct ep_changes *ch);
/* Ends the cooldown of the endpoint, not those of its cells. */
void ep_end_cooldown(struct ep_state *s, const char *why, int64_t now_ms, struct ep_changes *ch);
void ep_leave_queue(struct ep_state *s, const struct ep_conf *c, const char *why, int64_t now_ms,
                    struct ep_changes *ch);
/* Makes the endpoint unhealthy, and queues it unless it is the last one. */
void ep_enqueue(struct ep_state *s, const struct ep_conf *c, const char *why,
                const struct ep_ctx *ctx, int64_t now_ms, struct ep_changes *ch);
/* The endpoint has refused its key. */
void ep_disable_by_auth(struct ep_state *s, const struct ep_conf *c, const struct ep_report *r,
                        const char *why, int64_t now_ms, struct ep_changes *ch);
/* Its key was refused again, or for the first time. */
void ep_refused(struct ep_state *s, const struct ep_report *r);

/* Charges a failed attempt by its class, to the cell of the model sent if the failure is of scope
 * model, else to the endpoint. */
void ep_charge(struct ep_state *s, const struct ep_conf *c, const struct ep_report *r,
               const struct ep_ctx *ctx, int64_t now_ms, struct ep_changes *ch);
/* Credits a success to the endpoint and to the cell of the model sent. */
void ep_credit(struct ep_state *s, const struct ep_conf *c, const struct ep_report *r,
               int64_t now_ms, struct ep_changes *ch);

/* Whether a failure concerns the model sent alone. */
bool ep_scope_model(const struct ep_report *r);

/* It can count tokens, or is asked again whether it can. */
void ep_can_count(struct ep_state *s, const char *why, struct ep_changes *ch);

/* What the cells need of c. */
struct cell_conf ep_cell_conf(const struct ep_conf *c);

/* Clears what stands against the endpoint itself: breaker closed, no cooldown, out of the queue. */
void ep_clear(struct ep_state *s, const struct ep_conf *c, enum ep_health health, const char *why,
              int64_t now_ms, struct ep_changes *ch);

#endif
