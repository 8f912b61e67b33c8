/* due: deadlines in microseconds for thousands of streams, on one timerfd. libev rounds its timers
 * to the milliseconds of epoll, which would make the events of many streams coincide. */
#ifndef QCC_TESTS_FAKE_UPSTREAM_DUE_H
#define QCC_TESTS_FAKE_UPSTREAM_DUE_H

#include "common/base/base.h"

#include <ev.h>

struct due {
    int64_t at_us;             /* CLOCK_MONOTONIC */
    size_t pos;                /* 1 + place in the heap; 0: not set */
    void (*fn)(struct due *d); /* called when the deadline has passed */
};

struct due_heap {
    struct ev_loop *loop;
    ev_io io;
    int fd;
    int64_t armed;  /* the time to which the timerfd is set; 0: none */
    struct due **v; /* owned; the earliest deadline first */
    size_t n, cap;
};

/* Makes the timerfd and watches it; dies when the kernel has none. */
void due_start(struct due_heap *h, struct ev_loop *loop);
/* Closes the timerfd and frees the heap; no deadline fires any more. */
void due_stop(struct due_heap *h);

/* Sets the deadline: d->fn is called once, not before at_us. Moves one that is set already. */
void due_set(struct due_heap *h, struct due *d, int64_t at_us);

/* Removes the deadline; harmless when it is not set. */
void due_clear(struct due_heap *h, struct due *d);

#endif
