/* health: the authoritative state of all endpoints. Workers report how attempts ended; the
 * supervisor alone decides what that means for an endpoint (common/policy/endpoint/endpoint_state),
 * and sends the new state to all workers at once. It lends what only one worker may have, the trial
 * of a half-open breaker and the places of max_concurrent, and starts verifications. State lasts
 * over reloads: an endpoint is known by its id, whatever its place in the file.
 *
 * Knows no loop and no socket: messages go out through a callback, and health_run is called when
 * health_next says so. */
#ifndef QCC_SUPERVISOR_SHARED_HEALTH_HEALTH_H
#define QCC_SUPERVISOR_SHARED_HEALTH_HEALTH_H

#include "common/conf/conf.h"
#include "common/ipc/ipc.h"
#include "supervisor/shared/health/health_state.h"
#include "supervisor/shared/health/health_trials.h"
#include "supervisor/shared/saved.h"

/* Makes an empty state; send is called with arg. */
void health_init(struct health *h, health_send *send, void *arg);
/* Frees all. */
void health_fini(struct health *h);

/* Takes the endpoints of c into use. Endpoints known before keep their state; those not in c are
 * forgotten. The caller then calls health_send_all. */
void health_conf(struct health *h, const struct conf *c, int64_t now_ms);

/* Sends all endpoints' states and the models asked for, to one worker (before its START) or to
 * HEALTH_ALL. */
void health_send_all(struct health *h, int slot, int64_t now_ms);

/* Writes what lasts of each endpoint to `out`, which has room for h->n. Returns how many were
 * written. */
size_t health_save(const struct health *h, struct saved_endpoint *out);
/* Restores saved endpoints, directly after health_conf. Returns how many of them are configured. */
size_t health_restore(struct health *h, const struct saved_endpoint *in, size_t n, int64_t now_ms);

/* Gives what lasts of cooldowns by own word, open breakers, cells and names served lately, to be
 * freed with saved_cells_free. */
struct saved_cells health_save_cells(const struct health *h, int64_t now_ms);
/* Restores them, after health_restore. */
void health_restore_cells(struct health *h, const struct saved_cells *in, int64_t now_ms);

/* Makes the next health_run look at all endpoints, after their states were changed from outside. */
void health_again(struct health *h);

/* A worker serves: trials and verifications may be given to it. */
void health_slot_up(struct health *h, unsigned slot);
/* A worker retires: it gets no more trials and verifications. */
void health_slot_retires(struct health *h, unsigned slot);
/* A worker has ended: its trials, verifications and places are free. */
void health_slot_gone(struct health *h, unsigned slot, int64_t now_ms);

/* ---- messages of workers. Those about an endpoint that has left are dropped. False: the frame
 * violates the protocol (a class that does not exist, places that the worker did not have); the
 * caller kills the worker. */

/* Handles OUTCOME. */
bool health_outcome(struct health *h, unsigned slot, const struct ipc_outcome *m,
                    int64_t now_ms) MUST_CHECK;
/* Handles VERDICT. */
bool health_verdict(struct health *h, unsigned slot, const struct ipc_verdict *m,
                    int64_t now_ms) MUST_CHECK;
/* Handles UNSERVED: a message that no endpoint served is remembered as poison, one that an endpoint
 * served after all is forgotten. */
void health_unserved(struct health *h, const struct ipc_unserved *m, int64_t now_ms);
/* Handles ASKED_HERE. */
void health_asked(struct health *h, const struct ipc_asked_here *m, int64_t now_ms);
/* Handles PLACES. */
bool health_places(struct health *h, unsigned slot, const struct ipc_places *m) MUST_CHECK;
/* TRIAL_ASK, TRIAL_BEGUN and TRIAL_BACK: health_trials.h. */

/* ---- the other supervisor of an upgrade
 *
 * Handles UP_PLACES: the predecessor's workers, which drain, hold n places at the endpoint
 * (places_elsewhere). */
void health_places_elsewhere(struct health *h, struct str id, uint32_t n, uint32_t got);
/* Handles UP_WANT: a worker of the predecessor requests a place. */
void health_place_wanted_elsewhere(struct health *h, struct str id, int64_t now_ms);
/* Handles UP_LEND: the successor lends n places to the workers here. */
void health_places_granted(struct health *h, struct str id, uint32_t n);

/* The argument of health_send_places. */
struct health_places_line {
    struct health *h;
    const char *id; /* of the endpoint */
};
/* A places_send; arg is a struct health_places_line. */
void health_send_places(void *arg, unsigned slot, uint32_t n, bool recalled, bool none);

/* on: another supervisor decides from now on: no trial is lent and no verification started here,
 * and no change is logged. off: this one decides again. */
void health_freeze(struct health *h, bool on);

/* A worker has ended with the trial and the verification of these seqs (0: none): both are free. */
void health_lost(struct health *h, unsigned slot, struct str id, uint64_t trial, uint64_t verifies,
                 int64_t now_ms);

/* Sends the states to all workers after they were taken over from another supervisor. */
void health_taken(struct health *h, int64_t now_ms);

/* Clears one cell of an endpoint, for an operator. False: nothing is known of it. */
bool health_reset_cell(struct health *h, struct health_endpoint *e, struct str family,
                       int64_t now_ms);

/* Performs an operator's action on an endpoint that health_find gave. by: who that is, for the log;
 * NULL: not known. Returns whether that has changed anything, which is logged. */
bool health_operator(struct health *h, struct health_endpoint *e, enum ep_action a, const char *by,
                     int64_t now_ms);

/* Does what is due by time (breakers become half open, queues, ends of cooldowns), lends trials,
 * starts verifications. Cheap when there is nothing to do. */
void health_run(struct health *h, int64_t now_ms);

/* When health_run must be called at the latest; INT64_MAX: not before the next event. */
int64_t health_next(const struct health *h);

#endif
