/* slot: a place for one worker, and the life of the process in it: started, watched, retired,
 * killed, reaped. plan.h decides whether and when; slot_send.h has the messages to a worker,
 * slot_ops handles those from it. Slots live as long as the supervisor. */
#ifndef QCC_SUPERVISOR_CHILDREN_SLOT_H
#define QCC_SUPERVISOR_CHILDREN_SLOT_H

#include "common/base/base.h"
#include "common/base/err.h"
#include "common/ipc/chan.h"
#include "common/ipc/ipc.h"
#include "supervisor/children/backoff.h"
#include "supervisor/children/plan.h"

#include <ev.h>
#include <sys/types.h>

struct events;
struct health;
struct slot;

/* Callbacks of a slot. */
struct slot_ops {
    /* A frame of the worker came; as a chan_handler. */
    bool (*frame)(void *arg, struct slot *s, struct ipc_frame *f, struct err *e);
    /* The slot is `feeding`, and everything that was queued for it is written. */
    void (*room)(void *arg, struct slot *s);
    /* The process has ended; the slot is SLOT_EMPTY. */
    void (*ended)(void *arg, struct slot *s);
};

struct slot_env {
    struct ev_loop *loop;
    struct health *health;            /* gets health_slot_up, _retires and _gone */
    struct events *events;            /* gets ends that were not ordered */
    const struct plan_intent *intent; /* how an end is logged depends on it */
    const struct slot_ops *ops;
    void *arg; /* argument of ops */
};

struct slot {
    const struct slot_env *env;
    unsigned number;
    char name[16];       /* "worker 0" */
    struct plan_slot st; /* the part that plan_make reads; st.state is changed by slot.c alone */
    pid_t pid;
    struct chan chan;
    ev_io rd, wr;
    ev_child child;
    struct backoff backoff;
    int64_t started_ms, started_wall_ms;
    uint64_t gen_sent;   /* generation of the newest CONF sent to the worker */
    uint64_t listen_gen; /* generation of the configuration whose listeners were sent */
    uint64_t ping_seq;
    bool ready;                            /* READY was received */
    char libraries[IPC_LIBRARIES_MAX + 1]; /* what the worker is linked with; empty: not known */
    bool feeding;                          /* BINDINGS are being sent; START follows them */
    uint32_t fed;                          /* position of bindings_piece */
    uint64_t acked;                        /* generation acknowledged while `feeding`; 0: none */
    unsigned failures;        /* processes of this slot that ended without having been told to */
    const char *cannot_start; /* why another start would fail too; NULL: not known to */
    uint64_t requests_before; /* requests of this slot's earlier processes */
    struct ipc_pong gauges;   /* the last PONG */
};

/* All slots, by number. */
struct slots {
    struct slot *v[SLOTS_MAX]; /* allocated when first needed */
    size_t n;
};

/* The slot of that number; it and all below it are made if they do not exist. env is borrowed. */
struct slot *slots_at(struct slots *all, const struct slot_env *env, size_t i);

/* Queues one message for the worker in that slot; slot -1: for all workers. */
void slots_send(struct slots *all, int slot, chan_put_fn *put, const void *m);

/* The supervisor stood still for so long: workers that stood still along with it have time to
 * answer and to end. */
void slots_stood_still(struct slots *all, int64_t ms);

/* Kills all processes in slots and frees the slots. */
void slots_free(struct slots *all);

/* Forks and executes the worker program. The caller then sends slot_send_welcome. False: it failed,
 * which was logged, and the slot waits before the next try. */
bool slot_start(struct slot *s, const char *program) MUST_CHECK;

/* Whether the slot is SLOT_STARTING or SLOT_SERVING. */
bool slot_active(const struct slot *s);

/* Whether there is a process that messages may be sent to. */
bool slot_alive(const struct slot *s);

/* Queues one message with the generation of the CONF sent last; see chan_send for `pass`. A worker
 * that does not read its channel is killed. */
void slot_send(struct slot *s, int pass, chan_put_fn *put, const void *m);

/* The worker has acknowledged the configuration of generation gen: it becomes, or stays,
 * SLOT_SERVING. */
void slot_serves(struct slot *s, uint64_t gen);

/* Sends DRAIN. The worker is killed when it has not ended shortly after timeout_ms. May be called
 * again: a quick end may follow a slow one. */
void slot_retire(struct slot *s, bool quick, int64_t timeout_ms);

/* Sends SIGKILL and logs why. */
void slot_kill(struct slot *s, const char *why);

/* Called once a second: counts a tick without an answer, sends PING. */
void slot_tick(struct slot *s);

#endif
