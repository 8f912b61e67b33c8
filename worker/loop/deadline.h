/* tmo: a deadline that is moved with every piece of traffic. Moving it later costs an assignment:
 * the libev timer fires at the old time, sees the new one and sleeps on. */
#ifndef QCC_WORKER_TMO_H
#define QCC_WORKER_TMO_H

#include "common/base/base.h"

#include <ev.h>

struct deadline {
    ev_timer timer;
    double deadline; /* in ev_now() time; HUGE_VAL: none */
    double armed;    /* when the libev timer fires, if active */
    void (*expired)(struct deadline *t);
    struct ev_loop *loop;
};

/* No deadline yet. */
void deadline_init(struct deadline *t, struct ev_loop *loop, void (*expired)(struct deadline *));

/* The deadline is ms milliseconds from now, whatever it was. */
void deadline_set(struct deadline *t, int64_t ms);

/* No deadline any more. */
void deadline_clear(struct deadline *t);

/* Before the memory goes away. */
void deadline_fini(struct deadline *t);

/* Whether a deadline is set. */
bool deadline_active(const struct deadline *t);

#endif
