/* supervisor: the root object, and what the files of the root have in common. supervisor_ipc.c
 * handles the messages of workers, reload.h a new configuration, loop.h the rest of a turn; run.h
 * makes and frees it. */
#ifndef QCC_SUPERVISOR_SUPERVISOR_H
#define QCC_SUPERVISOR_SUPERVISOR_H

#include "common/base/base.h"
#include "common/conf/conf.h"
#include "common/ipc/ipc.h"
#include "supervisor/operate/control.h"
#include "supervisor/shared/health/health.h"
#include "supervisor/shared/marks/marked.h"
#include "supervisor/upgrade/predecessor.h"
#include "supervisor/process/listen.h"
#include "supervisor/children/plan.h"
#include "supervisor/operate/query.h"
#include "supervisor/shared/bindings.h"
#include "supervisor/shared/events.h"
#include "supervisor/shared/model_lists.h"
#include "supervisor/shared/recent_kept.h"
#include "supervisor/children/link_slot.h"
#include "supervisor/children/recorder.h"
#include "supervisor/children/slot.h"
#include "supervisor/shared/peers/peers.h"
#include "supervisor/shared/totals.h"
#include "supervisor/store/store_host.h"
#include "supervisor/store/store.h"
#include "supervisor/upgrade/successor.h"

#include <ev.h>

/* Exit codes of the supervisor. */
enum { SUPERVISOR_EXIT_OK = 0, SUPERVISOR_EXIT_FAULT = 1, SUPERVISOR_EXIT_USAGE = 2 };

/* A configuration that was sent to the workers and is not in use yet (reload.h); conf NULL:
 * none. */
struct supervisor_next {
    struct conf *conf;
    struct listen_set listen;
    int log_fd;        /* the new log.file; -1: stderr */
    unsigned deaths;   /* workers that ended before their CONF_ACK */
    char by[ASKER_BY]; /* who has ordered the reload */
};

struct supervisor {
    struct ev_loop *loop;
    const char *conf_path;
    char *program; /* path of this program, as it was started */
    char *worker_path;
    uint64_t boot_ms; /* start of this process, CLOCK_REALTIME */
    /* random; never on disk: what was recorded of TLS 1.2 cannot be read with a copy of state_dir
     */
    uint8_t tickets[32];

    struct conf *conf;        /* the configuration in use */
    struct listen_set listen; /* sockets of conf */
    struct supervisor_next next;
    int log_fd;               /* log.file; -1: stderr */
    int ring_fd, ring_reader; /* the log ring (logring.h): to write, to read; -1: none */
    struct events events;
    struct health health;
    struct marked marks;
    struct model_lists lists;
    struct recent_kept recent; /* requests of workers that are gone */
    struct totals totals;
    struct control control;     /* qccctl's socket */
    struct operate_env operate; /* what operators' queries read */
    struct query query;
    struct bindings bindings;
    struct store state;
    struct predecessor predecessor; /* the previous supervisor */
    struct successor successor;     /* the supervisor after this one */

    struct plan_intent intent;
    struct slot_env slot_env;
    struct slots slots;
    struct recorder recorder;
    struct peers peers;
    struct link_slot link; /* the process that the peers speak through */
    int64_t join_until_ms; /* START waits for the states of other hosts until then, CLOCK_BOOTTIME;
                              0: it does not */
    char host[STORE_HOST + 1]; /* id of this host in its cluster; "": not read yet */
    uint32_t hosts_kept;       /* hosts last seen, as state_dir has it */
    bool serving;              /* the start is complete: all workers were ready once */
    int exit_code;

    unsigned stops, stops_done;                  /* SIGTERM and SIGINT received, acted on */
    bool want_reload, want_reopen, want_upgrade; /* SIGHUP, SIGUSR1, SIGUSR2 to be acted on */
    char reload_by[ASKER_BY], stop_by[ASKER_BY]; /* who has ordered that */
    ev_signal on_term, on_int, on_hup, on_usr1, on_usr2;
    ev_timer tick, later, watchdog, sweep, health_due;
    ev_prepare turn;
    int64_t turn_ms; /* when the last turn began to sleep, CLOCK_MONOTONIC */
};

/* Begins to stop: want is PLAN_DRAIN or PLAN_STOP. */
void supervisor_stop(struct supervisor *s, enum plan_want want);

/* Aborts the start: logs why, stops everything, makes the exit code 1. */
void supervisor_fail(struct supervisor *s, const char *why);

/* Makes c the configuration in use, for all that read it. Takes the reference over; the caller
 * keeps that of the old one. */
void supervisor_take_conf(struct supervisor *s, struct conf *c);

/* Puts into use what conf and log_fd set for the supervisor itself: log, number of workers,
 * endpoints. */
void supervisor_use_conf(struct supervisor *s);

/* Starts, stops or changes the link as the configuration says, unless the predecessor's runs. */
void supervisor_use_cluster(struct supervisor *s);
/* Keeps in state_dir how many hosts were seen last, where that has changed. */
void supervisor_keep_hosts(struct supervisor *s);
/* successor_ops.cluster and predecessor_ops.cluster: who this host is among others, told to the
 * successor and taken over from the predecessor. */
bool supervisor_give_cluster(void *supervisor, struct handover_cluster *c);
void supervisor_take_cluster(void *supervisor, const struct handover_cluster *c);

/* Drops the configuration that is not in use yet, with its sockets. */
void supervisor_drop_next(struct supervisor *s);

/* Writes the log to log_fd from now on. */
void supervisor_use_log(const struct supervisor *s);

/* A health_counted that counts in the totals. */
void supervisor_count(void *supervisor, const char *id, enum health_count what);

/* Begins an upgrade that `by` has ordered; `from`, if not NULL, is answered at its end. False: *e
 * says why no upgrade can begin now. */
bool supervisor_begin_upgrade(struct supervisor *s, const struct asker *from, const char *by,
                              struct err *e) MUST_CHECK;

/* ---- supervisor_ipc.c: messages between supervisor and workers */

/* slot_ops.frame: handles one frame of a worker. */
bool supervisor_on_frame(void *supervisor, struct slot *slot, struct ipc_frame *f, struct err *e);

/* slot_ops.room: sends a new worker the next piece of the bindings; after the last one START. */
void supervisor_feed(void *supervisor, struct slot *slot);

/* Sends a new worker all that it needs (slot_send_welcome). */
void supervisor_welcome(struct supervisor *s, struct slot *slot);

/* A health_send; ENDPOINT, LEND and TRIAL are sent for the predecessor's workers too. */
void supervisor_send(void *supervisor, int to, chan_put_fn *put, const void *m);

/* A bindings_send: sends changed bindings to all workers. */
void supervisor_send_bindings(void *supervisor, struct str records);

#endif
