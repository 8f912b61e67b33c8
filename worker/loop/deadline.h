/* deadline: a point in time that is moved with every piece of traffic. Moving it later costs an
 * assignment: the libev timer fires at the old time, sees the new one and sleeps on. */
#ifndef QCC_WORKER_LOOP_DEADLINE_H
#define QCC_WORKER_LOOP_DEADLINE_H

#include "common/base/base.h"

#include <ev.h>

struct deadline {
    ev_timer timer;
    double deadline; /* in ev_now() time; HUGE_VAL: none */
    double armed;    /* when the libev timer fires, in ev_now() time; valid while it is active */
    /* called when the deadline has passed; it is cleared then */
    void (*expired)(struct deadline *t);
    struct ev_loop *loop;
};

/* Initializes t, without a deadline. `expired` is called from the loop. */
void deadline_init(struct deadline *t, struct ev_loop *loop, void (*expired)(struct deadline *));

/* Sets the deadline to ms milliseconds after ev_now(); it replaces any earlier one. */
void deadline_set(struct deadline *t, int64_t ms);

/* Removes the deadline; the libev timer may still run. */
void deadline_clear(struct deadline *t);

/* Removes the deadline and stops the libev timer; required before t's memory is freed. */
void deadline_fini(struct deadline *t);

/* Whether a deadline is set. */
bool deadline_active(const struct deadline *t);

#endif
