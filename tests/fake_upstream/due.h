/* due: deadlines of thousands of streams on one timerfd, in microseconds. libev's own timers are
 * rounded to epoll's milliseconds, which would bunch the events of many streams together. */
#ifndef QCC_TESTS_FAKE_UPSTREAM_DUE_H
#define QCC_TESTS_FAKE_UPSTREAM_DUE_H

#include "common/base/base.h"

#include <ev.h>

struct due {
    int64_t at_us; /* CLOCK_MONOTONIC */
    size_t pos;    /* 1 + place in the heap; 0: not set */
    void (*fn)(struct due *d);
};

struct due_heap {
    struct ev_loop *loop;
    ev_io io;
    int fd;
    int64_t armed; /* what the timerfd is set to, 0: nothing */
    struct due **v;
    size_t n, cap;
};

/* Makes the timerfd and watches it; dies when the kernel has none. */
void due_start(struct due_heap *h, struct ev_loop *loop);
void due_stop(struct due_heap *h);

/* d->fn is called once, not before at_us. A deadline that is set already is moved. */
void due_set(struct due_heap *h, struct due *d, int64_t at_us);

/* Harmless when not set. */
void due_clear(struct due_heap *h, struct due *d);

#endif
