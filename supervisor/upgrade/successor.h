/* upgrade: another supervisor takes this one's place without a pause. The program on disk is started
 * with the same options and gets, over a socket pair, the listening sockets, the lock of state_dir
 * and a copy of what lasts. It starts its workers, which do not accept yet. Then:
 *
 *      this one                                   the new one (inherit.h)
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
#ifndef QCC_SUPERVISOR_UPGRADE_H
#define QCC_SUPERVISOR_UPGRADE_H

#include "common/base/base.h"
#include "common/base/err.h"
#include "common/ipc/chan.h"
#include "common/ipc/doc.h"
#include "supervisor/children/plan.h"
#include "supervisor/process/listen.h"
#include "supervisor/shared/health.h"
#include "supervisor/shared/totals.h"
#include "supervisor/store/store.h"
#include "supervisor/upgrade/handed.h"

#include <ev.h>
#include <sys/types.h>

/* Of the messages UP_…: a reader that knows less refuses. */
enum { UPGRADE_VERSION = 1 };

/* The new one's descriptors, and the environment variable that says so. */
enum { UPGRADE_FD = 3, UPGRADE_STATE_FD = 4 };
#define UPGRADE_ENV "QCC_UPGRADE"

/* What UP_SOCKET carries. */
enum upgrade_kind {
    UPGRADE_LISTENER,
    UPGRADE_FOREIGN, /* a listener that systemd opened */
    UPGRADE_CONTROL, /* the control socket's */
    UPGRADE_LOCK,    /* of state_dir */
    UPGRADE_RING,    /* the log ring, to be written and to be read */
    UPGRADE_RING_READER
};

enum upgrade_phase { UPGRADE_NONE, UPGRADE_STARTING, UPGRADE_GIVEN, UPGRADE_DONE };

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
    struct state *store;
    const struct successor_ops *ops;
    void *arg; /* of ops */
};

/* What is started, and what it is given at once; borrowed for the call. */
struct successor_order {
    const char *program, *conf_path;
    const struct listen_set *listen;
    struct handed handed; /* without `state`, which is made for it */
};

struct upgrade {
    struct successor_env env;
    enum upgrade_phase phase;
    pid_t pid; /* the new one, no child of ours; 0: none, or gone */
    struct chan chan;
    ev_io rd, wr;
    ev_child child;
    ev_timer late;
    struct asker asker;
    unsigned stops; /* how often it was told to stop; who told it may have told us too */
    int code;      /* of the new one when it has ended, as container_outlive has it */
    bool asked;    /* asker waits for the end of it */
    bool deaf;     /* the new one reads too little */
    char why[513]; /* as the new one says: it cannot start */
};

void upgrade_init(struct upgrade *u, const struct successor_env *env);

/* Starts the program, while this supervisor serves. `from`, if not NULL, is answered when the upgrade is done or
 * refused. False: *e says why none can begin now. */
bool upgrade_begin(struct upgrade *u, const struct successor_order *o, const struct asker *from,
                   struct err *e) MUST_CHECK;

/* Whether one is under way, or done. */
bool upgrade_going(const struct upgrade *u);

/* Whether another supervisor decides now. */
bool upgrade_given(const struct upgrade *u);

/* A worker's frame was understood; the new one may want to know of it. */
void upgrade_relay(struct upgrade *u, unsigned slot, const struct ipc_frame *f);

/* The worker in that slot is gone; health does not know it yet. */
void upgrade_slot_gone(struct upgrade *u, unsigned slot);

/* A worker of the supervisor before this one is gone, with what it had; the same for the one after it. */
void upgrade_lost(struct upgrade *u, const struct ipc_up_lost *m);

/* Once a turn: how many places are still held here, and whether one more is wanted. */
void upgrade_turn(struct upgrade *u);

/* A SIGHUP meant for the one that serves. */
void upgrade_pass_reload(const struct upgrade *u);

/* This one is told to stop: a new one that only starts is ended, one that has the state stops too. */
void upgrade_stop(struct upgrade *u);

/* Everything stops: a new one that does not serve yet is ended. */
void upgrade_fini(struct upgrade *u);

#endif
