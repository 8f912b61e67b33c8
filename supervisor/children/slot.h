/* slot: a place for one worker, and the life of the process in it: started, watched, told to
 * retire, killed, reaped. Whether and when is decided by plan.h; what the two say to each other is
 * in sup_ipc.c. Slots live as long as the supervisor. */
#ifndef QCC_SUPERVISOR_SLOT_H
#define QCC_SUPERVISOR_SLOT_H

#include "common/base/base.h"
#include "common/base/err.h"
#include "common/ipc/chan.h"
#include "common/policy/backoff.h"
#include "supervisor/children/plan.h"

#include <ev.h>
#include <sys/types.h>

struct sup;

/* Exit codes of a worker, beside 0 for one that has finished (wkr.h has the same). */
enum { SLOT_EXIT_NO_EXEC = 127 };

struct slot {
    struct sup *sup;
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
    uint32_t fed;           /* how far they are (sessions_piece) */
    uint64_t acked;         /* configuration it took meanwhile; 0: none */
    unsigned failures;      /* processes in it that ended unasked */
    uint64_t requests_before; /* of the processes before */
    struct ipc_pong gauges;   /* as last told */
};

/* An empty place. */
struct slot *slot_new(struct sup *sup, unsigned number);

/* Closes what is open and frees; a process in it is killed. NULL is fine. */
void slot_free(struct slot *s);

/* Forks and executes the worker program, and says all it must know. A failure is logged and makes
 * the slot wait before the next try. */
void slot_start(struct slot *s, const char *program);

/* Taking part: STARTING or SERVING. */
bool slot_active(const struct slot *s);

/* Whether there is a process that may be spoken to. */
bool slot_alive(const struct slot *s);

/* Queues one message; see chan_send for `pass`. One that does not read its channel is killed. */
void slot_send(struct slot *s, int pass, chan_put_fn *put, uint64_t gen, const void *m);

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
