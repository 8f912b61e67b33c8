/* successor: another supervisor takes this one's place without a pause. The program on disk is started
 * with the same options and gets, over a socket pair, the listening sockets, the lock of state_dir
 * and a copy of what lasts. It starts its workers, which do not accept yet. Then:
 *
 *      this one                                   the new one (predecessor.h)
 *      NONE
 *      STARTING ── HELLO SOCKET… READ ──────────►
 *               ── SAID (bindings meanwhile) ───►  starts
 *               ◄────────────────────────── TAKE   all workers have a configuration
 *      GIVEN    ── ENDPOINT… COUNTERS… GO ──────►  they accept
 *               ◄──────────────────────── SERVES
 *      DONE     ── DONE ────────────────────────►  main process from here on
 *               ── SAID, PLACES, LOST, WANT ────►  what our workers still report while they drain
 *               ◄──────────────────── TELL, LEND   and what they are to know and to have
 *
 * From GO on nothing is decided here. Should the new one fail before SERVES, all goes on as before.
 * It may be of a later or an earlier build: the messages between the two (UP_… in messages.def)
 * never change. */
#ifndef QCC_SUPERVISOR_UPGRADE_SUCCESSOR_H
#define QCC_SUPERVISOR_UPGRADE_SUCCESSOR_H

#include "common/base/base.h"
#include "common/base/err.h"
#include "common/ipc/chan.h"
#include "common/ipc/doc.h"
#include "supervisor/children/plan.h"
#include "supervisor/process/listen.h"
#include "supervisor/shared/health.h"
#include "supervisor/shared/totals.h"
#include "supervisor/store/store.h"
#include "supervisor/upgrade/handover.h"

#include <ev.h>
#include <sys/types.h>

enum successor_phase { SUCCESSOR_NONE, SUCCESSOR_STARTING, SUCCESSOR_GIVEN, SUCCESSOR_DONE };

struct successor_ops {
    /* An endpoint's state as the new one decides it, for the workers here. */
    void (*endpoint)(void *arg, const struct ipc_endpoint *m);
    /* The new one serves: what is in flight here is finished, and then all ends. */
    void (*serves)(void *arg);
};

/* What is copied and handed over; borrowed. */
struct successor_env {
    struct ev_loop *loop;
    const struct plan_intent *intent;
    const unsigned *stops; /* orders to stop so far, also those that are not yet obeyed */
    struct health *health;
    struct totals *totals;
    struct store *store;
    const struct successor_ops *ops;
    void *arg; /* of ops */
};

/* What is started, and what it is given at once; borrowed for the call. */
struct successor_order {
    const char *program, *conf_path;
    const struct listen_set *listen;
    struct handover handover; /* without `state`, which is made for it */
};

struct successor {
    struct successor_env env;
    enum successor_phase phase;
    pid_t pid; /* of the new one, which is no child of ours; 0: there is none, or it is gone */
    struct chan chan;
    ev_io rd, wr;
    ev_child child;
    ev_timer late;
    struct asker asker;
    unsigned stops; /* orders to stop that the new one was given; the same order may have come here too */
    int code;       /* exit code of the new one when it has ended, 128 + N for signal N */
    bool asked;     /* asker waits for the end of the upgrade */
    bool peer_slow; /* TX_MAX bytes wait for the new one: nothing more is sent */
    char why[513];  /* why the new one cannot start, in its words (UP_FAILS) */
};

/* None yet. env is copied. */
void successor_init(struct successor *u, const struct successor_env *env);

/* Starts the program, while this supervisor serves. `from`, if not NULL, is answered when the upgrade is
 * done or refused. False: *e says why none can begin now. */
bool successor_begin(struct successor *u, const struct successor_order *o, const struct asker *from,
                   struct err *e) MUST_CHECK;

/* Whether an upgrade is under way, or done. */
bool successor_going(const struct successor *u);

/* Whether another supervisor decides now. */
bool successor_given(const struct successor *u);

/* Passes a frame of the worker in that slot on, once it was handled here, if the new one needs it. */
void successor_relay(struct successor *u, unsigned slot, const struct ipc_frame *f);

/* Reports what the worker in that slot had, which is gone. Called before health_slot_gone. */
void successor_slot_gone(struct successor *u, unsigned slot);

/* Passes on that a worker of the supervisor before this one is gone, with a trial or a verification. */
void successor_send_lost(struct successor *u, const struct ipc_up_lost *m);

/* Once a turn: how many places are still held here, and whether one more is wanted. */
void successor_turn(struct successor *u);

/* Sends SIGHUP on to the new one, which serves. */
void successor_pass_reload(const struct successor *u);

/* This supervisor is ordered to stop: a new one that only starts is ended, one that has the state is sent
 * SIGTERM. */
void successor_stop(struct successor *u);

/* At the end of this process: a new one that does not serve yet is ended; to another the last frames are
 * written. */
void successor_fini(struct successor *u);

#endif
