/* sup: the root object of the supervisor. Signals and timers only note what is wanted; once a turn
 * of the loop sup.c acts on it, in one fixed order, by the plan of plan.h. */
#ifndef QCC_SUPERVISOR_SUP_H
#define QCC_SUPERVISOR_SUP_H

#include "common/base/base.h"
#include "common/conf/conf.h"
#include "common/ipc/ipc.h"
#include "supervisor/operate/control.h"
#include "supervisor/shared/health.h"
#include "supervisor/upgrade/predecessor.h"
#include "supervisor/process/listen.h"
#include "supervisor/children/plan.h"
#include "supervisor/operate/query.h"
#include "supervisor/reload.h"
#include "supervisor/shared/bindings.h"
#include "supervisor/children/slot.h"
#include "supervisor/shared/totals.h"
#include "supervisor/store/store.h"
#include "supervisor/upgrade/successor.h"

#include <ev.h>

/* Exit codes of the supervisor. */
enum { SUP_EXIT_OK = 0, SUP_EXIT_FAULT = 1, SUP_EXIT_USAGE = 2 };

struct sup {
    struct ev_loop *loop;
    const char *conf_path;
    char *program; /* this one's path, by the name that it was started by */
    char *worker_path;
    uint64_t boot_ms; /* wall clock */

    struct conf *conf;        /* in use */
    struct listen_set listen; /* likewise */
    struct reload next;       /* what will be in use when all workers have taken it */
    int log_fd;               /* log.file; -1: stderr */
    int ring_fd, ring_reader; /* the log ring (logring.h): to write, to read; -1: none */
    struct health health;
    struct totals totals;
    struct control control;   /* qccctl's socket */
    struct operate_env operate; /* what operators may see */
    struct query query;
    struct sessions sessions;
    struct state state;
    struct inherit inherit; /* the supervisor before this one */
    struct upgrade upgrade; /* the one after it */

    struct plan_intent intent;
    struct slot_env slot_env;
    struct slots slots;
    bool serving; /* once, all workers were ready */
    int exit_code;

    unsigned stops, stops_obeyed;  /* SIGTERM and SIGINT so far */
    bool want_reload, want_reopen, want_upgrade; /* SIGHUP, SIGUSR1, SIGUSR2 not yet obeyed */
    ev_signal on_term, on_int, on_hup, on_usr1, on_usr2;
    ev_timer tick, later, watchdog, sweep, health_due;
    ev_prepare turn;
};

/* Runs until told to stop; returns the exit code. Whatever keeps it from starting is said in one
 * line each on stderr. */
int sup_run(const char *conf_path);

/* Ends the start: what was wrong is logged, everything is stopped, the exit code is 1. */
void sup_fail(struct sup *s, const char *why);

/* c is the configuration in use from now on, for all who look at it. Takes the reference over; the old one stays
 * the caller's. */
void sup_take_conf(struct sup *s, struct conf *c);

/* Takes over from conf and log_fd what concerns the supervisor itself: log, number of workers,
 * endpoints. */
void sup_use_conf(struct sup *s);

/* Begins an upgrade; `from`, if not NULL, is answered at its end. False: *e says why none can begin now. */
bool sup_begin_upgrade(struct sup *s, const struct asker *from, struct err *e) MUST_CHECK;

/* ---- supervisor_ipc.c: what supervisor and workers send each other */

/* slot_ops.frame: one frame of a worker. */
bool sup_on_frame(void *sup, struct slot *slot, struct ipc_frame *f, struct err *e);

/* slot_ops.room: the next piece of the bindings for a new worker; after the last one START. */
void sup_feed(void *sup, struct slot *slot);

/* All that a new worker must know. */
void sup_welcome(struct sup *s, struct slot *slot);

/* A health_tell; endpoints' states and places go to the workers of the supervisor before us too. */
void sup_send(void *sup, int to, chan_put_fn *put, const void *m);

/* A sessions_tell: changed bindings for all workers. */
void sup_send_bindings(void *sup, struct str records);

#endif
