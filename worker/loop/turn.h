/* turn: one turn of the event loop. Objects that ended in it are freed after its callbacks have
 * returned; waiting requests are examined once per turn, however many resources were released for
 * them.
 *
 * It also has the time in which this process ran. A process that is stopped by a signal, or whose
 * machine is suspended or paused, finds all its timeouts over when it goes on, and in its sockets
 * what came meanwhile: with this time nothing has timed out, as the time in which the process stood
 * still does not count. */
#ifndef QCC_WORKER_LOOP_TURN_H
#define QCC_WORKER_LOOP_TURN_H

#include "common/base/base.h"
#include "common/base/list.h"

#include <ev.h>

/* Bytes that one event takes from a socket: the size of the read buffer that a worker's connections
 * share. */
enum { TURN_READ = 65536 };

/* Lanes of what is ready in one turn, the first is served first: replies of endpoints end requests
 * and free connections, which the requests of clients can use. What all of them have to send comes
 * last, in one row: a write wakes the process that waits for it, and writes that follow each other
 * find it awake, where one between two pieces of work finds it asleep again. */
enum turn_lane { TURN_REPLIES, TURN_CLIENTS, TURN_SENDS, TURN_LANES };

/* Member of an object that waits in a lane for its turn. The user sets run. */
struct ready {
    struct list node; /* in turn.lanes, or in none */
    void (*run)(struct ready *r);
};

/* Member of an object that may end within a callback of its own: it is freed at the end of the
 * turn. */
struct dead {
    struct list node;
    void (*free)(struct dead *d);
};

/* TURN_GAP_S: seconds between two turns; when there are more the process stood still. It never
 * waits so long for events (TURN_BEAT_S). TURN_GRACE_S: seconds that a timeout has at least after
 * the process stood still: what came meanwhile may need many turns to be read, and the network of a
 * machine that was suspended may need some time. */
#define TURN_BEAT_S 1.5
#define TURN_GAP_S 2.0
#define TURN_GRACE_S 1.0

struct turn {
    struct ev_loop *loop;
    struct list dead;
    struct list lanes[TURN_LANES]; /* ready.node, in the order in which they are run */
    ev_prepare serve;              /* fed when a lane has something; never started */
    bool wake;                     /* a resource was released that a waiting request may need */
    double time;                   /* seconds in which the process ran, as of this turn's begin */
    uint32_t stalls;               /* how often the process stood still */
    double mono;                   /* turn_mono() at this turn's begin */
    double beat_at;                /* turn_mono() when `beat` was set */
    double late_at;                /* `mono` of the turn in which turn_late was last called */
    double gap;           /* seconds between this turn's begin and that of the one before */
    int64_t suspended_ms; /* clock_suspended_ms() as last seen */
    ev_check begin;       /* at the begin of each turn, before all other callbacks */
    ev_timer beat;        /* wakes the loop within TURN_BEAT_S */
    ev_timer anchor;      /* never fires: what remains of it is libev's monotonic time */
};

/* Initializes t and starts its watchers, which do not keep the loop alive. `loop`: the worker's
 * event loop, in which turn_of finds t from then on; not owned. */
void turn_init(struct turn *t, struct ev_loop *loop);

/* Stops the watchers; required before the memory of t or the loop is freed. */
void turn_fini(struct turn *t);

/* The turn of a loop that was given to turn_init. */
static inline struct turn *turn_of(struct ev_loop *loop)
{
    return ev_userdata(loop);
}

/* Looks whether the machine was suspended, which CLOCK_MONOTONIC does not show. Called before a
 * timeout is believed. */
void turn_look(struct turn *t);

/* A timer fired so many seconds too late: the process stood still for a shorter time than
 * TURN_GAP_S. Returns how many seconds at most, which the timeout is to have in addition. */
double turn_late(struct turn *t, double seconds);

/* Has `free` called with d at the end of this turn; until then d stays valid. */
void turn_bury(struct turn *t, struct dead *d, void (*free)(struct dead *));

/* Has r->run called in this turn, when libev's other callbacks have been, but for deadlines. To be
 * called from a callback of libev, which calls first what became ready last: within a lane of
 * readers that order is reversed. Nothing happens if r waits already. */
void turn_queue(struct turn *t, enum turn_lane lane, struct ready *r);

/* Whether more readers wait for their turn: what is sent now is not the last of this turn. */
static inline bool turn_has_more(const struct turn *t)
{
    return !list_empty(&t->lanes[TURN_REPLIES]) || !list_empty(&t->lanes[TURN_CLIENTS]);
}

/* Announces that a resource was released which a waiting request may need: at the end of the turn
 * the waiting requests are examined. */
void turn_wake(struct turn *t);

/* Whether turn_wake was called since the last call of this function. */
bool turn_woken(struct turn *t) MUST_CHECK;

/* Frees what was given to turn_bury. Called at the end of each turn. */
void turn_free_dead(struct turn *t);

#endif
