/* health_trials: the trials of an endpoint's breaker and of its cells' are lent to workers,
 * recalled, or verifications. For the files of health.h, and those of an upgrade. */
#ifndef QCC_SUPERVISOR_SHARED_HEALTH_HEALTH_TRIALS_H
#define QCC_SUPERVISOR_SHARED_HEALTH_HEALTH_TRIALS_H

#include "supervisor/shared/health/health_state.h"

/* ---- messages of workers, and of the other supervisor of an upgrade. Those about an endpoint that
 * has left are dropped. */

/* Handles TRIAL_ASK. In these three, family: whose cell's trial it is; empty: the endpoint's. */
void health_trial_ask(struct health *h, unsigned slot, struct str id, struct str family);
/* Handles TRIAL_BEGUN. seq tells the loan, whosever trial it is. */
void health_trial_begun(struct health *h, unsigned slot, struct str id, uint64_t seq,
                        int64_t now_ms);
/* Handles TRIAL_BACK. */
void health_trial_back(struct health *h, unsigned slot, struct str id, uint64_t seq,
                       int64_t now_ms);
/* Handles TRIAL_ASK of a worker of the predecessor, which has it in that slot. */
void health_trial_asked_elsewhere(struct health *h, unsigned slot, struct str id,
                                  struct str family);
/* Handles UP_TRIAL and UP_TRIAL_CELL: the successor has lent a trial to the worker in that slot,
 * which gets it. family: as in TRIAL_ASK. */
void health_trial_granted(struct health *h, unsigned slot, struct str id, uint64_t seq,
                          struct str family);

/* ---- loans */

/* The loan with that seq, if the worker in that slot has it; NULL: it has not. */
struct health_loan *health_loan_of(struct health_endpoint *e, unsigned slot, uint64_t seq);

/* The seq of the endpoint's own loan that the worker in that slot has; 0: it has not. */
uint64_t health_loan_seq(const struct health_endpoint *e, unsigned slot);

/* The holder of the trial has it no longer. Until then it stays known, also when the policy has
 * made the trial free, as the breaker was closed: it may still run there, and no other is lent. */
void health_loan_over(struct health_loan *l);

/* A worker has ended: its loans are over, its requests for trials forgotten. */
void health_loans_gone(struct health_endpoint *e, unsigned slot, struct ep_changes *ch);

/* The trial of the endpoint (family ""), or of a cell, has had time enough to find a request: it is
 * recalled unless it was begun. */
void health_trial_unused(struct health *h, struct health_endpoint *e, const char *family);

/* Lends and recalls trials and starts verifications, as the state of e wants it now. */
void health_trials_order(struct health *h, struct health_endpoint *e, int64_t now_ms);

/* When a loan's turn ends, so that health_trials_order must be called; INT64_MAX: none does. */
int64_t health_trials_next(const struct health *h, const struct health_endpoint *e);

/* The next worker in turn that may be given a trial, a verification or another task, or
 * HEALTH_NONE. */
int health_next_worker(struct health *h);

#endif
