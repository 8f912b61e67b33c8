/* health_trials: the trials of an endpoint's breaker and of its cells' are lent to workers,
 * recalled, or verifications. For the files of health.h, and those of an upgrade. */
#ifndef QCC_SUPERVISOR_SHARED_HEALTH_HEALTH_TRIALS_H
#define QCC_SUPERVISOR_SHARED_HEALTH_HEALTH_TRIALS_H

#include "supervisor/shared/health/health_state.h"

/* The loan with that seq, if the worker in that slot has it; NULL: it has not. */
struct health_loan *health_loan_of(struct health_endpoint *e, unsigned slot, uint64_t seq);

/* The seq of the endpoint's own loan that the worker in that slot has; 0: it has not. */
uint64_t health_loan_seq(const struct health_endpoint *e, unsigned slot);

/* The holder of the trial has it no longer. */
void health_loan_over(struct health_loan *l);

/* A worker has ended: its loans are over, its requests for trials forgotten. */
void health_loans_gone(struct health_endpoint *e, unsigned slot, struct ep_changes *ch);

/* Forgets requests for trials that nobody needs. The holder of a trial stays known until it has
 * said how that ended (health_loan_over), also when the policy has made the trial free, as the
 * breaker was closed: until then it may run there, and no other is lent. */
void health_trials_forget(struct health_endpoint *e);

/* Lends and recalls trials and starts verifications, as the state of e wants it now. */
void health_trials_order(struct health *h, struct health_endpoint *e, int64_t now_ms);

/* When a loan's turn ends, so that health_trials_order must be called; INT64_MAX: none does. */
int64_t health_trials_next(const struct health *h, const struct health_endpoint *e);

#endif
