#include "tests/fake_upstream/due.h"

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

static void put(struct due_heap *h, size_t i, struct due *d)
{
    h->v[i] = d;
    d->pos = i + 1;
}

static void up(struct due_heap *h, size_t i)
{
    struct due *d = h->v[i];
    for (; i > 0 && h->v[(i - 1) / 2]->at_us > d->at_us; i = (i - 1) / 2)
        put(h, i, h->v[(i - 1) / 2]);
    put(h, i, d);
}

static void down(struct due_heap *h, size_t i)
{
    struct due *d = h->v[i];
    for (;;) {
        size_t kid = 2 * i + 1;
        if (kid >= h->n)
            break;
        if (kid + 1 < h->n && h->v[kid + 1]->at_us < h->v[kid]->at_us)
            kid++;
        if (h->v[kid]->at_us >= d->at_us)
            break;
        put(h, i, h->v[kid]);
        i = kid;
    }
    put(h, i, d);
}

static void arm(struct due_heap *h)
{
    int64_t at = h->n ? h->v[0]->at_us : 0;
    /* An alarm that is too early costs one idle turn: less than a system call for each change. */
    if (at == 0 || (h->armed && h->armed <= at))
        return;
    struct itimerspec ts = {.it_value = {at / 1000000, at % 1000000 * 1000}};
    if (timerfd_settime(h->fd, TFD_TIMER_ABSTIME, &ts, NULL) == -1)
        die("timerfd_settime: %s", strerror(errno));
    h->armed = at;
}

void due_clear(struct due_heap *h, struct due *d)
{
    if (!d->pos)
        return;
    size_t i = d->pos - 1;
    d->pos = 0;
    struct due *last = h->v[--h->n];
    if (last == d)
        return;
    put(h, i, last);
    up(h, i);
    down(h, last->pos - 1);
}

void due_set(struct due_heap *h, struct due *d, int64_t at_us)
{
    due_clear(h, d);
    if (h->n == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 64;
        h->v = mem_realloc(h->v, h->cap, sizeof *h->v);
    }
    d->at_us = at_us > 0 ? at_us : 1;
    h->v[h->n++] = d;
    up(h, h->n - 1);
    arm(h);
}

static void on_timer(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop;
    (void)events;
    struct due_heap *h = CONTAINER_OF(w, struct due_heap, io);
    uint64_t n;
    if (read(h->fd, &n, sizeof n) == -1 && errno != EAGAIN)
        die("timerfd: %s", strerror(errno));
    h->armed = 0;
    int64_t now = clock_mono_us();
    while (h->n && h->v[0]->at_us <= now) {
        struct due *d = h->v[0];
        due_clear(h, d);
        d->fn(d);
    }
    arm(h);
}

void due_start(struct due_heap *h, struct ev_loop *loop)
{
    *h = (struct due_heap){.loop = loop};
    h->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (h->fd == -1)
        die("timerfd_create: %s", strerror(errno));
    ev_io_init(&h->io, on_timer, h->fd, EV_READ);
    ev_io_start(loop, &h->io);
}

void due_stop(struct due_heap *h)
{
    ev_io_stop(h->loop, &h->io);
    fd_close(&h->fd);
    mem_free(h->v);
}
