/* loan: what the supervisor lends to one worker at a time: the trial of an endpoint whose breaker
 * is not closed, or of one of its cells (TRIAL), and places of its max_concurrent (LEND).
 *
 * A trial is lent before it is needed: the next request that suits takes it. A request that has no
 * other endpoint asks for one (TRIAL_ASK) and waits. Places are asked for (PLACES) when a request
 * finds none; idle ones stay here until the supervisor recalls them, because other workers wait, or
 * until they have been unused for a second. */
#ifndef QCC_WORKER_SHARED_LOAN_H
#define QCC_WORKER_SHARED_LOAN_H

#include "common/base/base.h"
#include "common/ipc/ipc.h"
#include "common/policy/select.h"
#include "worker/shared/replica.h"

struct conf;
struct turn;
struct uplink;

/* All loans of this worker. The owner sets the pointers once, before any call. */
struct loans {
    struct replica *replica;
    struct uplink *uplink;
    struct turn *turn;
    bool unsettled; /* TRIAL or LEND came this turn: loan_settle returns what no request took */
    bool draining;  /* loan_drain was called: trials go back at once */
};

/* How many milliseconds a request waits for the answer to PLACES before it passes an endpoint over:
 * a supervisor that hangs must not block requests. */
enum { LOAN_WAIT_MS = 20 };

/* ---- trials. `cell`: hash of the family whose cell's trial is meant (cell_view.hash); 0: the
 * endpoint's own. */

/* Whose the trial is, for sel_ep.trial. mine: the seq of the trial that the request has, or 0. */
enum sel_trial loan_trial_state(const struct ep_live *l, uint64_t cell, uint64_t mine);

/* Hands the trial that this worker has to a request and sends TRIAL_BEGUN; returns its seq. The
 * request ends it with loan_trial_over or loan_trial_back. */
uint64_t loan_trial_begin(struct loans *s, struct ep_live *l, uint64_t cell);

/* Ends a trial that has a verdict; the caller then sends OUTCOME with its seq. */
void loan_trial_over(struct ep_live *l, uint64_t cell);

/* Ends a trial that has no verdict: sends TRIAL_BACK. */
void loan_trial_back(struct loans *s, struct ep_live *l, uint64_t cell, uint64_t seq);

/* Sends TRIAL_ASK, unless one is unanswered: a request has no other endpoint. */
void loan_trial_ask(struct loans *s, struct ep_live *l, uint64_t cell);

/* ---- places */

/* Whether max_concurrent allows a request to begin at the endpoint now. */
bool loan_place_free(const struct ep_live *l);

/* Whether there is no place and none can be expected within LOAN_WAIT_MS, for sel_ep.full. now_ms:
 * CLOCK_BOOTTIME. */
bool loan_place_none(const struct loans *s, const struct ep_live *l, int64_t now_ms);

/* Asks for a place at an endpoint, full or not, for a request that waits since since_ms, unless one
 * is asked for already that has waited as long. Returns how many milliseconds (at least 1) to wait
 * for it. Times: CLOCK_BOOTTIME. */
int64_t loan_place_want(struct loans *s, struct ep_live *l, int64_t since_ms, int64_t now_ms);

/* Records that a request begins; l->open counts it already. */
void loan_place_taken(struct loans *s, struct ep_live *l);
/* Records that a request has ended, which l->open no longer counts; its place goes back if
 * recalled. */
void loan_place_left(struct loans *s, struct ep_live *l);

/* ---- for the worker's root */

/* Returns the loans of endpoints that the coming configuration c does not have. */
void loan_before_conf(struct loans *s, const struct conf *c);

/* Adapts the places to the max_concurrent of the configuration that is now in force. */
void loan_after_conf(struct loans *s);

/* TRIAL: one was lent. */
void loan_on_trial(struct loans *s, const struct ipc_trial *m);

/* TRIAL_RECALL: returns the trial unless it has begun. */
void loan_on_recall(struct loans *s, const struct ipc_trial_recall *m);

/* LEND: places were lent or recalled, none is unused anywhere, or there are unused ones again. */
void loan_on_lend(struct loans *s, const struct ipc_lend *m);
/* ENDPOINT: l->view has changed. */
void loan_on_endpoint(struct loans *s, struct ep_live *l);

/* CELL: the state of a cell has changed. gone: seq of a trial that it no longer needs; 0: none. */
void loan_on_cell(struct loans *s, struct ep_live *l, struct str family, uint64_t gone);

/* Returns what was lent in this turn and no request took. Called at the end of a turn, after
 * waiting requests were examined. */
void loan_settle(struct loans *s);

/* Returns the places that were not needed since the last call, and asks again for those that are
 * waited for. Called once a second. */
void loan_sweep(struct loans *s);

/* The supervisor is gone, and nobody lends places any more: what is in flight goes on with this
 * worker's share of each limit, one place at least. workers: how many there were; 0: not known. */
void loan_orphaned(struct loans *s, uint32_t workers);

/* The worker drains: returns the trials that have not begun, now and as they come, and counts its
 * requests at endpoints without a limit, too. */
void loan_drain(struct loans *s);

#endif
