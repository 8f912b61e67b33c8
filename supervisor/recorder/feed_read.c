#include "supervisor/recorder/feed_read.h"

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/mem.h"
#include "supervisor/recorder/tables/store_batch.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

bool feed_read_room(const struct feed_read *f)
{
    return f->n + FEED_BATCH <= FEED_KEPT;
}

static void make_room(struct feed_read *f)
{
    if (f->n + FEED_BATCH <= f->cap)
        return;
    f->cap = f->cap ? min_size(2 * f->cap, FEED_KEPT) : 2 * FEED_BATCH;
    f->v = mem_realloc(f->v, f->cap, sizeof *f->v);
}

/* Takes the n packed records out of the `size` bytes of raw; those that are none, or cannot be
 * stored, are dropped. */
static void keep(struct feed_read *f, size_t n, size_t size)
{
    const uint8_t *p = f->raw, *end = p + size;
    for (; n; n--) {
        size_t one = recent_packed_size(p, (size_t)(end - p));
        if (!one)
            break;
        if (recent_unpack(p, one, &f->v[f->n]) && store_batch_sound(&f->v[f->n]))
            f->n++;
        else
            f->dropped++;
        p += one;
    }
    f->dropped += n;
}

enum feed_end feed_read_one(struct feed_read *f)
{
    struct feed_head head;
    make_room(f);
    if (!f->raw)
        f->raw = mem_zalloc(FEED_BYTES, 1);
    struct iovec iov[2] = {{&head, sizeof head}, {f->raw, FEED_BYTES}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    ssize_t got;
    do
        got = recvmsg(f->fd, &m, MSG_DONTWAIT);
    while (got == -1 && errno == EINTR);
    if (got == -1)
        return errno == EAGAIN || errno == EWOULDBLOCK ? FEED_IDLE : FEED_CLOSED;
    if (got == 0)
        return FEED_CLOSED;
    size_t n = (size_t)got < sizeof head ? 0 : head.n;
    if (n == 0 || n > FEED_BATCH || m.msg_flags & MSG_TRUNC || head.version != FEED_VERSION) {
        f->dropped += n ? min_size(n, FEED_BATCH) : 1;
        return FEED_MORE;
    }
    if (f->n == 0)
        f->since_ms = clock_mono_ms();
    keep(f, n, (size_t)got - sizeof head);
    return FEED_MORE;
}

void feed_read_stored(struct feed_read *f, size_t n)
{
    f->n -= n;
    memmove(f->v, f->v + n, f->n * sizeof *f->v);
    f->since_ms = clock_mono_ms();
}

void feed_read_free(struct feed_read *f)
{
    mem_free(f->v);
    mem_free(f->raw);
    fd_close(&f->fd);
    f->v = NULL;
    f->raw = NULL;
    f->n = f->cap = 0;
}
