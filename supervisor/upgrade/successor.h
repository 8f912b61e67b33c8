/* successor: another supervisor replaces this one without a pause. The program on disk is started
 * with the same options and gets, over a socket pair, the listening sockets, the lock of state_dir
 * and a copy of what lasts. It starts its workers, which do not accept yet. The messages, without
 * their UP_:
 *
 *      this one                                   the successor (predecessor.h)
 *      NONE
 *      STARTING ── HELLO SOCKET… READ ──────────►
 *               ── SAID (bindings meanwhile) ───►  starts
 *               ◄────────────────────────── TAKE   all workers have a configuration
 *      GIVEN    ── ENDPOINT… COUNTERS… GO ──────►  they accept
 *               ◄──────────────────── TELL SERVES
 *      DONE     ── DONE ────────────────────────►  main process from here on
 *               ── HISTORY ─────────────────────►  the recorder here has ended: its own may start
 *               ── SAID, PLACES, LOST, WANT ────►  reports of the workers here while they drain
 *               ── RECENT ──────────────────────►  requests that have ended here
 *               ◄───────────── TELL, LEND, TRIAL   endpoints' states, places, trials for them
 *
 * From UP_GO on nothing is decided here. If the successor fails before UP_SERVES, this supervisor
 * goes on as before. The successor may be of a later or an earlier build: the UP_ messages never
 * change. The TELL before SERVES holds no state: by its IPC_VERSION this supervisor learns whether
 * the successor knows HISTORY, and an earlier build passes it over. */
#ifndef QCC_SUPERVISOR_UPGRADE_SUCCESSOR_H
#define QCC_SUPERVISOR_UPGRADE_SUCCESSOR_H

#include "common/base/base.h"
#include "common/base/err.h"
#include "common/ipc/chan.h"
#include "common/ipc/doc.h"
#include "supervisor/children/plan.h"
#include "supervisor/process/listen.h"
#include "supervisor/shared/marks/marked.h"
#include "supervisor/shared/health/health.h"
#include "supervisor/shared/recent_kept.h"
#include "supervisor/shared/totals.h"
#include "supervisor/store/store.h"
#include "supervisor/upgrade/handover.h"

#include <ev.h>
#include <sys/types.h>

enum successor_phase { SUCCESSOR_NONE, SUCCESSOR_STARTING, SUCCESSOR_GIVEN, SUCCESSOR_DONE };

struct successor_ops {
    /* The successor has been given the state: the recorder must end, then successor_send_history be
     * called. */
    void (*given)(void *arg);
    /* The successor has failed after that: the recorder may run again. */
    void (*failed)(void *arg);
    /* The successor has sent an endpoint's state (UP_TELL) for the workers here. */
    void (*endpoint)(void *arg, const struct ipc_endpoint *m);
    /* Whether there is a worker in that slot. */
    bool (*alive)(void *arg, unsigned slot);
    /* Who this host is among others. False: it is alone. */
    bool (*cluster)(void *arg, struct handover_cluster *c);
    /* The successor serves: this supervisor must drain its workers and end. */
    void (*serves)(void *arg);
};

/* What is copied and handed over; borrowed. */
struct successor_env {
    struct ev_loop *loop;
    const struct plan_intent *intent;
    const unsigned *stops; /* SIGTERM and SIGINT so far, also those not yet acted on */
    struct health *health;
    struct marked *marks;
    struct model_lists *lists;
    struct recent_kept *recent;
    struct totals *totals;
    struct store *store;
    struct events *events; /* gets an upgrade that is refused */
    const struct successor_ops *ops;
    void *arg; /* argument of ops */
};

/* The program to start, and what it gets at once; borrowed for the call. */
struct successor_order {
    const char *program, *conf_path, *by; /* by: who has ordered the upgrade */
    const struct listen_set *listen;
    struct handover handover; /* without `state`, which successor_begin makes */
};

struct successor {
    struct successor_env env;
    enum successor_phase phase;
    pid_t pid; /* of the successor, which is no child of this process; 0: none, or it has ended */
    struct chan chan;
    ev_io rd, wr;
    ev_child child;
    ev_timer late;
    struct asker asker;
    char by[ASKER_BY]; /* who has ordered the upgrade */
    uint32_t ipc;      /* IPC_VERSION of the successor; 0: not known yet */
    bool history_free; /* the recorder here has ended */
    unsigned stops;    /* orders to stop sent to the successor; a signal may have come to both */
    int code;          /* exit code of the successor when it has ended, 128 + N for signal N */
    bool asked;        /* `asker` waits for the end of the upgrade */
    bool peer_slow;    /* TX_MAX bytes wait for the successor: nothing more is sent */
    char why[513];     /* why the successor cannot start (UP_FAILS.why) */
};

/* Makes SUCCESSOR_NONE. env is copied. */
void successor_init(struct successor *u, const struct successor_env *env);

/* Starts an upgrade, while this supervisor serves. `from`, if not NULL, is copied and answered when
 * the upgrade is done or refused. False: *e says why no upgrade can begin now. */
bool successor_begin(struct successor *u, const struct successor_order *o, const struct asker *from,
                     struct err *e) MUST_CHECK;

/* Passes records of requests that have ended on to a successor that serves, if it can read them. */
void successor_recent(struct successor *u, struct str records);

/* Whether an upgrade is under way, or done. */
bool successor_going(const struct successor *u);

/* Whether the successor owns the state: nothing is decided here. */
bool successor_given(const struct successor *u);

/* Passes a frame of the worker in that slot on, after it was handled here, if the successor needs
 * it. */
void successor_relay(struct successor *u, unsigned slot, const struct ipc_frame *f);

/* Sends UP_LOST for the trial and verification of a worker that has ended. Called before
 * health_slot_gone. */
void successor_slot_gone(struct successor *u, unsigned slot);

/* The recorder here has ended: sends UP_HISTORY, as soon as it is known that the successor knows
 * it. */
void successor_send_history(struct successor *u);

/* Whether the successor keeps the history from now on: it is of a build that has one. */
bool successor_records(const struct successor *u);

/* Passes an UP_LOST of this supervisor's own predecessor on. */
void successor_send_lost(struct successor *u, const struct ipc_up_lost *m);

/* Called once a turn: sends UP_PLACES and UP_WANT for places that are held and waited for here. */
void successor_turn(struct successor *u);

/* Sends SIGHUP to the successor, which serves. */
void successor_pass_reload(const struct successor *u);

/* Called when this supervisor is ordered to stop: a successor that is starting is killed, one that
 * has the state is sent SIGTERM. */
void successor_stop(struct successor *u);

/* Called at the end of this process: a successor that does not serve yet is killed; to one that
 * serves the last frames are written. */
void successor_fini(struct successor *u);

#endif
