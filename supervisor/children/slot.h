/* slot: a place for one worker, and the life of the process in it: started, watched, told to
 * retire, killed, reaped. Whether and when is decided by plan.h; what a worker is sent is in slot_send.h,
 * what it sends is handled by slot_ops. Slots live as long as the supervisor. */
#ifndef QCC_SUPERVISOR_CHILDREN_SLOT_H
#define QCC_SUPERVISOR_CHILDREN_SLOT_H

#include "common/base/base.h"
#include "common/base/err.h"
#include "common/ipc/chan.h"
#include "common/ipc/ipc.h"
#include "common/policy/endpoint/backoff.h"
#include "supervisor/children/plan.h"

#include <ev.h>
#include <sys/types.h>

struct health;
struct slot;

/* What a slot calls above it. */
struct slot_ops {
    /* One frame of the worker, as a chan_handler has it. */
    bool (*frame)(void *arg, struct slot *s, struct ipc_frame *f, struct err *e);
    /* The slot is `feeding`, and everything that was queued for it is written. */
    void (*room)(void *arg, struct slot *s);
    /* The process is gone; the slot is EMPTY. */
    void (*ended)(void *arg, struct slot *s);
};

struct slot_env {
    struct ev_loop *loop;
    struct health *health;            /* is told which workers serve */
    const struct plan_intent *intent; /* what is wanted decides how an end is logged */
    const struct slot_ops *ops;
    void *arg; /* of ops */
};

struct slot {
    const struct slot_env *env;
    unsigned number;
    char name[16];       /* "worker 0" */
    struct plan_slot st; /* what plan.h looks at; state is changed by slot.c alone */
    pid_t pid;
    struct chan chan;
    ev_io rd, wr;
    ev_child child;
    struct backoff backoff;
    int64_t started_ms, started_wall_ms;
    uint64_t gen_sent;   /* newest configuration it was sent */
    uint64_t listen_gen; /* whose listeners it was told */
    uint64_t ping_seq;
    bool ready;             /* said READY */
    bool feeding;           /* bindings are on their way: START comes behind them */
    uint32_t fed;           /* how far they are (bindings_piece) */
    uint64_t acked;         /* configuration it took meanwhile; 0: none */
    unsigned failures;      /* processes in it that ended unasked */
    const char *cannot_start; /* why the last one could not; NULL: it could, or was not tried */
    uint64_t requests_before; /* of the processes before */
    struct ipc_pong gauges;   /* as last told */
};

/* All slots, by number. */
struct slots {
    struct slot *v[SLOTS_MAX]; /* made when first needed */
    size_t n;
};

/* The slot of that number, with all below it; made if there is none. env is borrowed. */
struct slot *slots_at(struct slots *all, const struct slot_env *env, size_t i);

/* Queues one message for the worker in that slot; -1: for all workers. */
void slots_send(struct slots *all, int slot, chan_put_fn *put, const void *m);

/* Frees all; processes in them are killed. */
void slots_free(struct slots *all);

/* Forks and executes the worker program. The worker is to be sent a slot_welcome then. False: it failed,
 * which was logged, and the slot waits before the next try. */
bool slot_start(struct slot *s, const char *program) MUST_CHECK;

/* Taking part: STARTING or SERVING. */
bool slot_active(const struct slot *s);

/* Whether there is a process that may be spoken to. */
bool slot_alive(const struct slot *s);

/* Queues one message, as of the configuration that the worker was sent last; see chan_send for `pass`. A
 * worker that does not read its channel is killed. */
void slot_send(struct slot *s, int pass, chan_put_fn *put, const void *m);

/* It took a configuration: now, or still, SERVING. */
void slot_serves(struct slot *s, uint64_t gen);

/* Tells it to drain. It is killed when it is not gone shortly after timeout_ms. Again is fine: a
 * quick end may follow a slow one. */
void slot_retire(struct slot *s, bool quick, int64_t timeout_ms);

/* SIGKILL, and one line that says why. */
void slot_kill(struct slot *s, const char *why);

/* A second has passed: counts what was not answered, asks again. */
void slot_tick(struct slot *s);

#endif
