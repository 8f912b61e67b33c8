/* cell: what is known of one family of models at one endpoint: breaker, cooldown, degraded. A fault
 * of scope model costs the cell alone. In the supervisor; pure.
 *
 * A cell is never unhealthy and never queued. With a fault of class unknown it is degraded until
 * its next success, at most breaker.open_duration. */
#ifndef QCC_COMMON_POLICY_ENDPOINT_CELL_H
#define QCC_COMMON_POLICY_ENDPOINT_CELL_H

#include "common/policy/endpoint/breaker.h"
#include "common/policy/endpoint/cooldown.h"
#include "common/policy/endpoint/endpoint_change.h"
#include "common/policy/model_name.h"
#include "common/policy/outcome.h"
#include "common/policy/select.h"

/* The cell of all families that have none of their own. */
#define CELL_OTHER "other"

/* "other", a cell by the policy or the configuration, or one as its family was served lately. */
enum cell_kind { CELL_REST, CELL_GIVEN, CELL_SERVED };

/* HOUR: how long a cell counts as one that serves. WORKS: how old its last success may be before a
 * further one is reported. */
enum { CELL_HOUR_MS = 3600 * 1000, CELL_WORKS_MS = CELL_HOUR_MS / 2 };

struct cell_conf {
    struct breaker_conf breaker;
    struct cooldown_conf cooldown;
    int64_t degraded_for_ms;
    bool verifies; /* probe: conversational, and the endpoint has a key */
};

struct cell {
    char family[MODEL_NAME_MAX + 1];
    char model[MODEL_NAME_MAX + 1]; /* exact name last served; "": not known */
    enum cell_kind kind;
    uint8_t served_n;     /* how often a success was reported, up to 255 */
    bool verified;        /* a verification of the endpoint that goes on has asked for its model */
    enum outcome verdict; /* how that ended, with scope model; OUTCOME_OK: not so */
    int64_t verdict_after_ms; /* its retry_after_ms */
    struct breaker breaker;
    struct cooldown cooldown;
    bool cools;                /* as of the last cell_tick: its end is still to be told */
    int64_t degraded_until_ms; /* 0: not degraded, but for its cooldown */
    int64_t row_ms;            /* first failure of the present row; 0: none */
    int64_t opened_ms;         /* when its breaker opened last */
    int64_t served_ms;         /* last success; 0: none */
    int64_t used_ms;           /* last success or failure, or when it was made */
    int64_t asked_ms;          /* when its family was last asked for, here or elsewhere; 0: never */
};

/* One failure or success with a model of the cell. */
struct cell_report {
    enum outcome cls; /* of a failure: transient, rate limit or unknown */
    enum outcome_part part;
    int64_t retry_after_ms;
    const char *why;  /* for the log; not NULL */
    bool trial;       /* the attempt was this cell's trial */
    bool left;        /* the request leaves the endpoint */
    uint64_t message; /* poison_hash of the request's body; 0: not known */
    int64_t began_ms;
};

/* Charges a failure of scope model. Adds to *ch, as all functions with it do. */
void cell_failed(struct cell *c, const struct cell_conf *conf, const struct cell_report *r,
                 int64_t now_ms, struct ep_changes *ch);

/* Credits a success. */
void cell_succeeded(struct cell *c, const struct cell_report *r, int64_t now_ms,
                    struct ep_changes *ch);

/* A reply that had counted as a success when it began is complete. */
void cell_ended(struct cell *c);

/* Clears what stands against it: by an operator, or by a verification that asked for its model. */
void cell_clear(struct cell *c, const char *why, int64_t now_ms, struct ep_changes *ch);

/* The time alone. */
void cell_tick(struct cell *c, const struct cell_conf *conf, int64_t now_ms, struct ep_changes *ch);

/* When cell_tick will have something new by time alone; INT64_MAX: never. */
int64_t cell_next_ms(const struct cell *c, const struct cell_conf *conf, int64_t now_ms);

/* Whether it has an open breaker, a cooldown or a trial: it must not be evicted. */
bool cell_in_force(const struct cell *c, int64_t now_ms);

/* Whether anything is counted against it that a success would end, or its last success is so old
 * that another is to be reported. */
bool cell_success_wanted(const struct cell *c, int64_t now_ms);

/* Whether a verification is to be its trial now: half open for 10 s without one, its family was
 * asked for since it opened, and it is known what to ask for. */
bool cell_wants_verification(const struct cell *c, const struct cell_conf *conf, int64_t now_ms);

/* The tier that the cell amounts to. */
enum sel_tier cell_tier(const struct cell *c, int64_t now_ms);

#endif
