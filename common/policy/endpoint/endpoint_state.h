/* endpoint_state: everything the supervisor knows and decides about one endpoint: health, breaker,
 * cooldown, cells, failure queue, operators' actions. Facts go in (outcomes of attempts and of
 * verifications, time, operators' actions), changes come out as notes, one log line each. Pure: the
 * caller broadcasts the state and starts what ep_wants returns.
 *
 * Health:
 *   unknown ──success──► healthy ◄──────success, or its time is over────── degraded
 *                          │ ▲ └─────transient (request left), rate limit──────▲
 *                  unknown │ └── verification, or a success when not queued
 *                    class ▼
 *                       unhealthy (queued, unless it is the last one)
 *
 * An endpoint is the last one while it offers something that no other usable one (ep_usable) offers
 * (offers.h). The last one is not queued; if it is queued already it is in reach: requests may try
 * it, beside its verifications.
 *
 * A failure of scope model costs its cell alone (cells.h). When two cells that serve are down at
 * once and nothing else has succeeded meanwhile, the endpoint's breaker opens too. */
#ifndef QCC_COMMON_POLICY_ENDPOINT_ENDPOINT_STATE_H
#define QCC_COMMON_POLICY_ENDPOINT_ENDPOINT_STATE_H

#include "common/policy/endpoint/endpoint_charge.h"

enum ep_want {
    EP_WANT_NOTHING,
    EP_WANT_LEND, /* the breaker is half open and its trial free: lend it to one worker (ep_lend) */
    EP_WANT_VERIFY /* take back a trial that is lent, then start a verification (ep_verify_begin) */
};

/* The state of an endpoint without any request so far. `enabled`: as configured. */
void ep_init(struct ep_state *s, bool enabled);

/* Restores a saved state, directly after ep_init. A queued endpoint is verified at once. */
void ep_restore(struct ep_state *s, const struct ep_conf *c, bool queued, enum ep_disabled disabled,
                bool draining, int64_t now_ms);

/* Restores how and when the key of an EP_BY_AUTH endpoint was refused, directly after
 * ep_restore. */
void ep_restore_refusal(struct ep_state *s, uint32_t status, int64_t wall_ms);

/* Takes over a new configuration. A changed `enabled` replaces an operator's action; else the
 * action stays. Adds to *ch, which the caller has zeroed. */
void ep_reconf(struct ep_state *s, const struct ep_conf *c, bool enabled, int64_t now_ms,
               struct ep_changes *ch);

/* Takes in how an attempt ended. Adds to *ch, as all functions with it do; the caller has zeroed
 * it. */
void ep_outcome(struct ep_state *s, const struct ep_conf *c, const struct ep_report *r,
                const struct ep_ctx *ctx, int64_t now_ms, struct ep_changes *ch);
/* No endpoint serves this message (poison_hash): what it counted here is taken back, but for one
 * failure. */
void ep_take_back(struct ep_state *s, uint64_t message, struct ep_changes *ch);
/* Takes in the time and ctx. The caller also calls it for every other endpoint when one becomes
 * usable or no longer is: an unhealthy endpoint that was not queued because it was the last one is
 * queued as soon as it is not, and a queued one comes in reach as soon as it is. */
void ep_tick(struct ep_state *s, const struct ep_conf *c, const struct ep_ctx *ctx, int64_t now_ms,
             struct ep_changes *ch);
/* Performs an operator's action. */
void ep_operator(struct ep_state *s, const struct ep_conf *c, enum ep_action a, int64_t now_ms,
                 struct ep_changes *ch);

/* ---- trials: of the endpoint's breaker (family ""), or of a cell's. While the endpoint's breaker
 * is not closed no cell lends its trial: that of the endpoint is its request's cell's too. */

/* Lends a trial to a worker. False: it is not free, or nothing may be tried now (out of service,
 * cooling by its own word, an open breaker of the endpoint, or a verification that may have been a
 * trial has not ended). */
bool ep_lend(struct ep_state *s, const char *family, int64_t now_ms,
             struct ep_changes *ch) MUST_CHECK;
/* The worker begins the trial that it was lent. False: it is no longer lent. */
bool ep_trial_begin(struct ep_state *s, const char *family, struct ep_changes *ch) MUST_CHECK;
/* Makes a trial free without a verdict (the worker died, the client left). */
void ep_trial_back(struct ep_state *s, const char *family, struct ep_changes *ch);
/* How the trial stands; BREAKER_TRIAL_FREE also where there is no such cell. */
enum breaker_trial ep_trial(const struct ep_state *s, const char *family);
/* Whether that breaker needs a trial, that is, is not closed. */
bool ep_trial_needed(const struct ep_state *s, const char *family);
/* Whether a trial of that family must be recalled: nothing may be tried. */
bool ep_trial_barred(const struct ep_state *s, const char *family);

/* Begins a verification: of the endpoint (family ""), or of a cell. False: one is under way, or the
 * trial is not free. *model: what to ask for, valid until the state changes; "": not known, or what
 * the configuration says (ep_conf.probe_set). */
bool ep_verify_begin(struct ep_state *s, const struct ep_conf *c, const char *family,
                     int64_t now_ms, const char **model, struct ep_changes *ch) MUST_CHECK;
/* Ends a verification: ok, or failed with the report r (NULL: none). */
void ep_verified(struct ep_state *s, const struct ep_conf *c, bool ok, const struct ep_report *r,
                 const struct ep_ctx *ctx, int64_t now_ms, struct ep_changes *ch);
/* Ends a verification that was lost without a verdict (its worker died). */
void ep_verify_lost(struct ep_state *s, const struct ep_conf *c, int64_t now_ms,
                    struct ep_changes *ch);

/* What the caller must start now for the endpoint (family "") or a cell of it. */
enum ep_want ep_wants(const struct ep_state *s, const struct ep_conf *c, const char *family,
                      int64_t now_ms);

/* When ep_tick or ep_wants will have something new by time alone; INT64_MAX: never. In the past as
 * long as something that ep_wants returns has not been begun. */
int64_t ep_next_event_ms(const struct ep_state *s, const struct ep_conf *c, int64_t now_ms);

/* An operator clears one cell. False: nothing is known of it. */
bool ep_reset_cell(struct ep_state *s, struct str family, int64_t now_ms, struct ep_changes *ch);

/* The tier for the workers' replicas. */
enum sel_tier ep_tier(const struct ep_state *s);
/* Whether requests may go there, if only as a last resort: enabled, and out of the queue or in
 * reach. */
static inline bool ep_open_to_requests(const struct ep_state *s)
{
    return ep_enabled(s) && (!ep_queued(s) || s->in_reach);
}

/* Whether any request may go there now: while it is usable no other endpoint is the last one.
 * Changes with time alone where a cooldown that replies named ends (ep_next_event_ms). */
bool ep_usable(const struct ep_state *s, int64_t now_ms);

#endif
