/* tmo: a deadline that is moved with every piece of traffic. Moving it later costs an assignment:
 * the libev timer fires at the old time, sees the new one and sleeps on. */
#ifndef QCC_WORKER_TMO_H
#define QCC_WORKER_TMO_H

#include "common/base/base.h"

#include <ev.h>

struct tmo {
    ev_timer timer;
    double deadline; /* in ev_now() time; HUGE_VAL: none */
    double armed;    /* when the libev timer fires, if active */
    void (*expired)(struct tmo *t);
    struct ev_loop *loop;
};

/* No deadline yet. */
void tmo_init(struct tmo *t, struct ev_loop *loop, void (*expired)(struct tmo *));

/* The deadline is ms milliseconds from now, whatever it was. */
void tmo_set(struct tmo *t, int64_t ms);

/* No deadline any more. */
void tmo_clear(struct tmo *t);

/* Before the memory goes away. */
void tmo_fini(struct tmo *t);

/* Whether a deadline is set. */
bool tmo_active(const struct tmo *t);

#endif
