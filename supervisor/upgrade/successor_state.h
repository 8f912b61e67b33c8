/* successor_state: what a supervisor sends to its successor (successor.h) of what it holds: the
 * descriptors, the state of endpoints, counters and marks, and what its workers report and hold
 * while they drain. When each is due, and who owns the state, is up to the caller. */
#ifndef QCC_SUPERVISOR_UPGRADE_SUCCESSOR_STATE_H
#define QCC_SUPERVISOR_UPGRADE_SUCCESSOR_STATE_H

#include "common/base/base.h"
#include "common/ipc/chan.h"
#include "supervisor/process/listen.h"
#include "supervisor/shared/health/health.h"
#include "supervisor/shared/marks/marked.h"
#include "supervisor/shared/model_lists.h"
#include "supervisor/shared/totals.h"
#include "supervisor/upgrade/handover.h"

/* What is handed over, and where it is sent to; borrowed. */
struct successor_state {
    struct health *health;
    struct marked *marks;
    struct model_lists *lists;
    struct totals *totals;
    uint32_t ipc; /* IPC_VERSION of the successor; 0: not known */
    /* Sends a message to the successor, with the descriptor `pass` or -1. */
    void (*send)(void *arg, int pass, chan_put_fn *put, const void *m);
    void *arg; /* argument of send */
};

/* Sends UP_SOCKET for each listener and each other descriptor that there is. */
void successor_state_sockets(const struct successor_state *s, const struct listen_set *listen,
                             const struct handover *h);

/* Sends all that comes between UP_TAKE and UP_GO: endpoints with their cells and counters, places
 * and what is open. Health must be frozen. */
void successor_state_give(const struct successor_state *s);

/* Sends UP_PAST of all endpoints, if the successor knows it. */
void successor_state_past(const struct successor_state *s);

/* Sends UP_MARK of all marks, if the successor knows it. */
void successor_state_marks(const struct successor_state *s);

/* Sends UP_LIST of all lists of models, if the successor knows it. */
void successor_state_lists(const struct successor_state *s);

/* Sends UP_SAID: a frame of the worker in that slot. */
void successor_state_said(const struct successor_state *s, unsigned slot,
                          const struct ipc_frame *f);

/* Sends UP_PLACES where the places that are held here have changed and, if the successor serves,
 * UP_WANT where they are waited for. */
void successor_state_places(const struct successor_state *s, bool serves);

#endif
