/* grant: what only one worker may have at a time, as far as this one has it: the trial of an
 * endpoint whose breaker is not closed, and the places of max_concurrent. The supervisor lends both.
 *
 * A trial is lent before it is needed: the next request that suits takes it. Where nothing else is
 * left a request asks for it, and waits. Places are asked for when a request finds none; idle ones
 * stay here until the supervisor says that others wait, or nobody has used them for a second. */
#ifndef QCC_WORKER_SHARED_LOAN_H
#define QCC_WORKER_SHARED_LOAN_H

#include "common/base/base.h"
#include "common/ipc/ipc.h"
#include "common/policy/select.h"
#include "worker/shared/replica.h"

struct conf;
struct turn;
struct uplink;

/* All loans of this worker. The pointers are set once, by who owns it. */
struct loans {
    struct replica *replica;
    struct uplink *uplink;
    struct turn *turn;
    bool unsettled; /* TRIAL or LEND came this turn: loan_settle returns what no request took */
    bool draining;
};

/* How long a request waits for the supervisor's answer to PLACES before it passes an endpoint over:
 * a process that hangs must not hold it up. */
enum { LOAN_WAIT_MS = 20 };

/* ---- trials */

/* For sel_ep.trial. mine: the seq that the request itself has, or 0. */
enum sel_trial loan_trial_state(const struct ep_live *l, uint64_t mine);

/* A request takes the trial that this worker has; returns its seq. The verdict is an OUTCOME with
 * that seq, after loan_trial_over. */
uint64_t loan_trial_begin(struct loans *s, struct ep_live *l);
void loan_trial_over(struct ep_live *l);

/* It ended without a verdict. */
void loan_trial_back(struct loans *s, struct ep_live *l, uint64_t seq);

/* A request has nowhere else to go. */
void loan_trial_ask(struct loans *s, struct ep_live *l);

/* ---- places */

/* Whether a request may begin now. */
bool loan_place_free(const struct ep_live *l);

/* Whether there is no place, and none to be expected within LOAN_WAIT_MS of asking: for
 * sel_ep.full. */
bool loan_place_none(const struct loans *s, const struct ep_live *l, int64_t now_ms);

/* Asks for one. Returns how long to wait for it, in milliseconds (at least 1). */
int64_t loan_place_want(struct loans *s, struct ep_live *l, int64_t now_ms);

/* A request begins (live->open counts it already); one has ended (it does no longer). */
void loan_place_taken(struct ep_live *l);
void loan_place_left(struct loans *s, struct ep_live *l);

/* ---- for wkr */

/* A configuration comes: what belongs to endpoints that go is given back (before), limits change
 * (after). */
void loan_before_conf(struct loans *s, const struct conf *c);
void loan_after_conf(struct loans *s);

/* What the supervisor says. */
void loan_on_trial(struct loans *s, const struct ipc_trial *m);
void loan_on_recall(struct loans *s, const struct ipc_trial_recall *m);
void loan_on_lend(struct loans *s, const struct ipc_lend *m);
/* The endpoint's state has changed. */
void loan_on_endpoint(struct ep_live *l);

/* At the end of a turn, after those who wait were looked at: what was lent in vain goes back. */
void loan_settle(struct loans *s);

/* Once a second: idle places go back. */
void loan_sweep(struct loans *s);

/* The worker drains: trials go back. */
void loan_drain(struct loans *s);

#endif
