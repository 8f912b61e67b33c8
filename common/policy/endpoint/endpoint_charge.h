/* endpoint_charge: what a failure, a success or an operator does to an endpoint and its cells. For
 * the files of endpoint_state.h alone. Pure. */
#ifndef QCC_COMMON_POLICY_ENDPOINT_ENDPOINT_CHARGE_H
#define QCC_COMMON_POLICY_ENDPOINT_ENDPOINT_CHARGE_H

#include "common/policy/endpoint/endpoint_state.h"

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
