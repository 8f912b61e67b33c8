/* deadline: a point in time that is moved with every piece of traffic. Moving it later costs an
 * assignment: the libev timer fires at the old time, sees the new one and sleeps on.
 *
 * Only time in which the process ran counts (turn.h), and what lies in the sockets is read first:
 * what a deadline waits for has had all of its time when the deadline has passed. */
#ifndef QCC_WORKER_LOOP_DEADLINE_H
#define QCC_WORKER_LOOP_DEADLINE_H

#include "common/base/base.h"

#include <ev.h>

struct turn;

struct deadline {
    ev_timer timer;
    double deadline; /* in turn.time; HUGE_VAL: none */
    double armed;    /* in turn.time: when the libev timer fires at the latest; valid while it is
                        active */
    bool looked;     /* the deadline has passed, and the sockets are looked at once more */
    bool extended;   /* it was moved by the time in which the process stood still; once */
    /* called when the deadline has passed; it is cleared then */
    void (*expired)(struct deadline *t);
    struct turn *turn;
};

/* Initializes t, without a deadline, for a loop that has a turn (turn_of). `expired` is called from
 * the loop. */
void deadline_init(struct deadline *t, struct ev_loop *loop, void (*expired)(struct deadline *));

/* Sets the deadline to ms milliseconds after the begin of this turn; it replaces any earlier one.
 */
void deadline_set(struct deadline *t, int64_t ms);

/* Removes the deadline; the libev timer may still run. */
void deadline_clear(struct deadline *t);

/* Removes the deadline and stops the libev timer; required before t's memory is freed. */
void deadline_fini(struct deadline *t);

/* Whether a deadline is set. */
bool deadline_active(const struct deadline *t);

#endif
