/* plan: what the supervisor does next, as data: the list of actions, from what is wanted and the
 * workers' states. Pure: no clock, no process is touched; the root performs the actions. */
#ifndef QCC_SUPERVISOR_CHILDREN_PLAN_H
#define QCC_SUPERVISOR_CHILDREN_PLAN_H

#include "common/base/base.h"
#include "common/ipc/ipc.h"

/* A worker that has answered nothing for so many ticks of the supervisor (one a second) is stuck.
 * Ticks are counted instead of time, so that a pause of the supervisor itself kills no worker. */
enum { PLAN_MISSED = 5 };

/* A worker that answers PING, but not CONF within so many ticks, is killed. */
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
    SLOT_STARTING, /* forked, no CONF_ACK yet */
    SLOT_SERVING,
    SLOT_RETIRING, /* DRAIN sent */
    SLOT_KILLED,   /* SIGKILL sent, not yet reaped */
    SLOT__COUNT
};

struct plan_slot {
    enum slot_state state;
    int64_t start_at;  /* SLOT_EMPTY: no start before this time (backoff) */
    int64_t retire_by; /* SLOT_RETIRING: killed at this time */
    uint64_t gen;      /* generation of the configuration that the worker uses; 0: none */
    unsigned missed;   /* ticks since the worker's last frame */
    unsigned unacked;  /* ticks since a CONF that is not answered yet */
};

enum plan_want {
    PLAN_SERVE, /* keep `workers` workers running */
    PLAN_DRAIN, /* all workers finish their requests, then end */
    PLAN_STOP   /* all workers end now */
};

struct plan_intent {
    enum plan_want want;
    size_t workers;
    uint64_t gen;       /* generation of the newest configuration that was sent */
    uint64_t announced; /* generation of the newest configuration that was announced */
};

enum plan_verb {
    PLAN_START,    /* fork a worker into the slot */
    PLAN_RETIRE,   /* send DRAIN */
    PLAN_KILL,     /* SIGKILL */
    PLAN_ANNOUNCE, /* all wanted workers run and use intent.gen */
    PLAN_EXIT      /* no worker is left: the supervisor may end */
};

enum plan_why {
    PLAN_WHY_WANTED,
    PLAN_WHY_SURPLUS,  /* more workers than wanted */
    PLAN_WHY_STUCK,    /* missed reached PLAN_MISSED */
    PLAN_WHY_UNACKED,  /* unacked reached PLAN_UNACKED */
    PLAN_WHY_OVERTIME, /* retire_by is past */
    PLAN_WHY_STOP      /* PLAN_DRAIN or PLAN_STOP is wanted */
};

struct plan_action {
    enum plan_verb verb;
    enum plan_why why;
    size_t slot; /* with PLAN_START, PLAN_RETIRE, PLAN_KILL */
};

struct plan {
    size_t n;
    struct plan_action v[SLOTS_MAX + 1]; /* at most one for each slot, and one for all */
    int64_t next; /* when to make the next plan if nothing happens before; -1: no such time */
};

/* Fills p for n <= SLOTS_MAX slots. After its actions were performed the next plan is empty, until
 * time passes or a worker's state changes. */
void plan_make(const struct plan_intent *in, const struct plan_slot *s, size_t n, int64_t now,
               struct plan *p);

/* A reason in words for the log: "does not answer", …. */
const char *plan_why_text(enum plan_why why);

#endif
