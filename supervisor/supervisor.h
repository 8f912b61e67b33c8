/* supervisor: the root object, and what the files of the root have in common. supervisor_ipc.c handles the
 * messages of workers, reload.h a new configuration, loop.h the rest of a turn; run.h makes and frees it. */
#ifndef QCC_SUPERVISOR_SUPERVISOR_H
#define QCC_SUPERVISOR_SUPERVISOR_H

#include "common/base/base.h"
#include "common/conf/conf.h"
#include "common/ipc/ipc.h"
#include "supervisor/operate/control.h"
#include "supervisor/shared/health.h"
#include "supervisor/upgrade/predecessor.h"
#include "supervisor/process/listen.h"
#include "supervisor/children/plan.h"
#include "supervisor/operate/query.h"
#include "supervisor/shared/bindings.h"
#include "supervisor/children/slot.h"
#include "supervisor/shared/totals.h"
#include "supervisor/store/store.h"
#include "supervisor/upgrade/successor.h"

#include <ev.h>

/* Exit codes of the supervisor. */
enum { SUPERVISOR_EXIT_OK = 0, SUPERVISOR_EXIT_FAULT = 1, SUPERVISOR_EXIT_USAGE = 2 };

/* A configuration that all workers are asked to take (reload.h); conf NULL: none. */
struct supervisor_next {
    struct conf *conf;
    struct listen_set listen;
    int log_fd;      /* the new log.file; -1: stderr */
    unsigned deaths; /* workers that ended before they had taken it */
};

struct supervisor {
    struct ev_loop *loop;
    const char *conf_path;
    char *program; /* this one's path, by the name that it was started by */
    char *worker_path;
    uint64_t boot_ms; /* wall clock */

    struct conf *conf;        /* in use */
    struct listen_set listen; /* sockets of conf */
    struct supervisor_next next;
    int log_fd;               /* log.file; -1: stderr */
    int ring_fd, ring_reader; /* the log ring (logring.h): to write, to read; -1: none */
    struct health health;
    struct totals totals;
    struct control control;   /* qccctl's socket */
    struct operate_env operate; /* what operators may see */
    struct query query;
    struct bindings bindings;
    struct store state;
    struct predecessor predecessor; /* the supervisor before this one */
    struct successor successor; /* the one after it */

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

/* What is wanted from now on: PLAN_DRAIN or PLAN_STOP. */
void supervisor_stop(struct supervisor *s, enum plan_want want);

/* Ends the start: what was wrong is logged, everything is stopped, the exit code is 1. */
void supervisor_fail(struct supervisor *s, const char *why);

/* c is the configuration in use from now on, for all who look at it. Takes the reference over; that of the
 * old one stays the caller's. */
void supervisor_take_conf(struct supervisor *s, struct conf *c);

/* Takes over from conf and log_fd what concerns the supervisor itself: log, number of workers,
 * endpoints. */
void supervisor_use_conf(struct supervisor *s);

/* Forgets a configuration that is not in use yet, with its sockets. */
void supervisor_drop_next(struct supervisor *s);

/* The log goes to log_fd from now on. */
void supervisor_use_log(const struct supervisor *s);

/* A health_counted: into the totals. */
void supervisor_count(void *supervisor, const char *id, enum health_count what);

/* Begins an upgrade; `from`, if not NULL, is answered at its end. False: *e says why none can begin now. */
bool supervisor_begin_upgrade(struct supervisor *s, const struct asker *from, struct err *e) MUST_CHECK;

/* ---- supervisor_ipc.c: what supervisor and workers send each other */

/* slot_ops.frame: one frame of a worker. */
bool supervisor_on_frame(void *supervisor, struct slot *slot, struct ipc_frame *f, struct err *e);

/* slot_ops.room: the next piece of the bindings for a new worker; after the last one START. */
void supervisor_feed(void *supervisor, struct slot *slot);

/* All that a new worker must know. */
void supervisor_welcome(struct supervisor *s, struct slot *slot);

/* A health_send; endpoints' states and places go to the workers of the supervisor before us too. */
void supervisor_send(void *supervisor, int to, chan_put_fn *put, const void *m);

/* A bindings_send: changed bindings for all workers. */
void supervisor_send_bindings(void *supervisor, struct str records);

#endif
