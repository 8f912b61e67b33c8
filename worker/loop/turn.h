/* turn: one turn of the event loop. Objects that ended in it are freed after its callbacks have
 * returned; waiting requests are examined once per turn, however many resources were released for
 * them. */
#ifndef QCC_WORKER_LOOP_TURN_H
#define QCC_WORKER_LOOP_TURN_H

#include "common/base/base.h"
#include "common/base/list.h"

#include <ev.h>

/* Bytes that one event takes from a socket: the size of the read buffer that a worker's connections
 * share. */
enum { TURN_READ = 65536 };

/* Member of an object that may end within a callback of its own: it is freed at the end of the
 * turn. */
struct dead {
    struct list node;
    void (*free)(struct dead *d);
};

struct turn {
    struct ev_loop *loop;
    struct list dead;
    bool wake; /* a resource was released that a waiting request may need */
};

/* Initializes t. `loop`: the worker's event loop; not owned. */
void turn_init(struct turn *t, struct ev_loop *loop);

/* Has `free` called with d at the end of this turn; until then d stays valid. */
void turn_bury(struct turn *t, struct dead *d, void (*free)(struct dead *));

/* Announces that a resource was released which a waiting request may need: at the end of the turn
 * the waiting requests are examined. */
void turn_wake(struct turn *t);

/* Whether turn_wake was called since the last call of this function. */
bool turn_woken(struct turn *t) MUST_CHECK;

/* Frees what was given to turn_bury. Called at the end of each turn. */
void turn_free_dead(struct turn *t);

#endif
