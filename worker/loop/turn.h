/* turn: one turn of the event loop: what ended in it is freed when its callbacks have returned, and
 * requests that wait are looked at once, however many things were freed for them. */
#ifndef QCC_WORKER_LOOP_TURN_H
#define QCC_WORKER_LOOP_TURN_H

#include "common/base/base.h"
#include "common/base/list.h"

#include <ev.h>

/* Bytes that one event takes from a socket: the size of the read buffer that a worker's connections
 * share. */
enum { TURN_READ = 65536 };

/* Something that ended within a callback of its own and is freed at the end of the turn. */
struct dead {
    struct list node;
    void (*free)(struct dead *d);
};

struct turn {
    struct ev_loop *loop;
    struct list dead;
    bool wake; /* something was freed that a waiting request may need */
};

void turn_init(struct turn *t, struct ev_loop *loop);

/* Frees d, by `free`, at the end of this turn. */
void turn_bury(struct turn *t, struct dead *d, void (*free)(struct dead *));

/* Something was freed that a waiting request may need: they are looked at at the end of the turn. */
void turn_wake(struct turn *t);

/* Whether turn_wake was called since the last time this was asked. */
bool turn_woken(struct turn *t) MUST_CHECK;

/* The end of the turn: frees what was buried. */
void turn_free_dead(struct turn *t);

#endif
