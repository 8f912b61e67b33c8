/* plan: what the supervisor does next, as data: from what is wanted and how the workers are, the
 * list of actions. Pure: no clock, no process is touched; the root performs what it says. */
#ifndef QCC_SUPERVISOR_CHILDREN_PLAN_H
#define QCC_SUPERVISOR_CHILDREN_PLAN_H

#include "common/base/base.h"
#include "common/ipc/ipc.h"

/* A worker that has answered nothing for so many ticks of the supervisor is stuck: 5 s as a rule.
 * Ticks are counted and not time, so that a pause of the supervisor itself is nobody's fault. */
enum { PLAN_MISSED = 5 };

/* A worker that lives but does not answer a configuration in so many ticks is of no use. */
enum { PLAN_UNACKED = 30 };

/* One worker's process.
 *
 *   EMPTY ──start──► STARTING ──READY, CONF_ACK──► SERVING
 *     ▲                 │ └──────────┐ ┌──────────────┤
 *     │                 │            ▼ ▼              │
 *     │                 │         RETIRING            │
 *     │                 ▼            ▼                ▼
 *     └──reaped── (any of them) ◄── KILLED ◄──────────┘
 */
enum slot_state {
    SLOT_EMPTY,    /* no process */
    SLOT_STARTING, /* forked, has not yet taken a configuration */
    SLOT_SERVING,
    SLOT_RETIRING, /* told to drain */
    SLOT_KILLED,   /* SIGKILL sent, not yet reaped */
    SLOT__COUNT
};

struct plan_slot {
    enum slot_state state;
    int64_t start_at;  /* EMPTY: no start before (backoff) */
    int64_t retire_by; /* RETIRING: killed when not gone by then */
    uint64_t gen;      /* configuration it has in use; 0: none */
    unsigned missed;   /* ticks since its last sign of life */
    unsigned unacked;  /* ticks since it was sent a configuration that it did not answer yet */
};

enum plan_want {
    PLAN_SERVE, /* `workers` of them */
    PLAN_DRAIN, /* all finish what they have */
    PLAN_STOP   /* all end now */
};

struct plan_intent {
    enum plan_want want;
    size_t workers;
    uint64_t gen;       /* the newest configuration that was sent */
    uint64_t announced; /* the newest that all were told to have */
};

enum plan_verb {
    PLAN_START,    /* fork a worker into the slot */
    PLAN_RETIRE,   /* tell it to drain */
    PLAN_KILL,     /* SIGKILL */
    PLAN_ANNOUNCE, /* all workers wanted are there and use intent.gen */
    PLAN_EXIT      /* nothing is left */
};

enum plan_why {
    PLAN_WHY_WANTED,
    PLAN_WHY_SURPLUS,  /* more workers than wanted */
    PLAN_WHY_STUCK,    /* PLAN_MISSED */
    PLAN_WHY_UNACKED,  /* PLAN_UNACKED */
    PLAN_WHY_OVERTIME, /* retire_by is past */
    PLAN_WHY_STOP      /* everything ends */
};

struct plan_action {
    enum plan_verb verb;
    enum plan_why why;
    size_t slot; /* of START, RETIRE, KILL */
};

struct plan {
    size_t n;
    struct plan_action v[SLOTS_MAX + 1]; /* at most one for each slot, and one for all */
    int64_t next; /* when to ask again though nothing happened; -1: no such time */
};

/* Fills p for n <= SLOTS_MAX slots. Asked again after its actions were performed it has nothing
 * more to say, until time passes or a worker does something. */
void plan_make(const struct plan_intent *in, const struct plan_slot *s, size_t n, int64_t now,
               struct plan *p);

/* "does not answer", …: for the log. */
const char *plan_why_text(enum plan_why why);

#endif
