#include "worker/shared/feed.h"

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/ipc/feed_head.h"
#include "worker/shared/counters.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* Seconds that a record waits for others, as a STATS does. */
#define FEED_S 0.1

enum { FIRST_CAP = FEED_BYTES / 2, FINISH_MS = 1000 };

static void dropped(struct feed *f, size_t n)
{
    f->counters->total.history_dropped += (uint32_t)n;
    f->counters->stats_changed = true;
}

/* Sends the first records as one message. False: the socket takes none now. */
static bool send_batch(struct feed *f)
{
    size_t n = min_size(f->n, FEED_BATCH), bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += recent_packed_size(f->v + f->first + bytes, f->end - f->first - bytes);
    struct feed_head head = {.version = FEED_VERSION, .n = (uint16_t)n, .slot = f->slot};
    struct iovec iov[2] = {{&head, sizeof head}, {f->v + f->first, bytes}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    ssize_t sent;
    do
        sent = sendmsg(f->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent == -1 && errno == EINTR);
    if (sent == -1 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS))
        return false;
    if (sent == -1) {
        /* The supervisor holds the other end as long as there is a history. */
        log_debug("feed: %s", strerror(errno));
        dropped(f, n);
    }
    f->first += bytes;
    f->n -= n;
    return true;
}

static void send_all(struct feed *f)
{
    f->blocked = false;
    while (f->n && !f->blocked)
        f->blocked = !send_batch(f);
    if (f->n)
        return;
    f->first = f->end = 0;
    ev_timer_stop(f->loop, &f->due);
    if (f->cap > FIRST_CAP) {
        mem_free(f->v);
        f->v = NULL;
        f->cap = 0;
    }
}

static void on_due(struct ev_loop *loop, ev_timer *t, int events)
{
    (void)loop, (void)events;
    send_all(CONTAINER_OF(t, struct feed, due));
}

void feed_init(struct feed *f, struct ev_loop *loop, uint32_t slot, struct counters *counters)
{
    *f = (struct feed){.loop = loop, .counters = counters, .fd = -1, .slot = slot};
    ev_timer_init(&f->due, on_due, FEED_S, FEED_S);
}

void feed_use(struct feed *f, int fd)
{
    if (f->fd != -1 && fd == -1)
        feed_free(f);
    fd_close(&f->fd);
    f->fd = fd;
}

/* Makes room for one more record. False: as many wait as may, or there is no memory. */
static bool make_room(struct feed *f)
{
    if (f->cap - f->end >= RECENT_PACKED_MAX)
        return true;
    /* Moved seldom enough to cost little a record. */
    if (f->first && f->first >= (f->cap < FEED_MAX ? f->cap / 2 : FEED_MAX / 16)) {
        memmove(f->v, f->v + f->first, f->end - f->first);
        f->end -= f->first;
        f->first = 0;
        return f->cap - f->end >= RECENT_PACKED_MAX || make_room(f);
    }
    size_t cap = f->cap ? min_size(2 * f->cap, FEED_MAX) : FIRST_CAP;
    uint8_t *v = cap > f->cap ? mem_try_realloc(f->v, cap) : NULL;
    if (!v)
        return false;
    f->v = v;
    f->cap = cap;
    return true;
}

void feed_add(struct feed *f, const struct recent_record *r)
{
    if (f->fd == -1)
        return;
    if (!make_room(f)) {
        dropped(f, 1);
        return;
    }
    f->end += recent_pack(r, f->v + f->end);
    f->n++;
    if (f->n >= FEED_BATCH && !f->blocked)
        send_all(f);
    if (f->n && !ev_is_active(&f->due)) {
        ev_timer_set(&f->due, FEED_S, FEED_S);
        ev_timer_start(f->loop, &f->due);
    }
}

void feed_finish(struct feed *f)
{
    int64_t now, end = clock_mono_ms() + FINISH_MS;
    if (f->fd == -1)
        return;
    send_all(f);
    while (f->n && (now = clock_mono_ms()) < end) {
        struct pollfd p = {.fd = f->fd, .events = POLLOUT};
        (void)poll(&p, 1, (int)(end - now));
        send_all(f);
    }
    dropped(f, f->n);
}

void feed_free(struct feed *f)
{
    ev_timer_stop(f->loop, &f->due);
    mem_free(f->v);
    f->v = NULL;
    f->first = f->end = f->n = f->cap = 0;
    f->blocked = false;
    fd_close(&f->fd);
}
