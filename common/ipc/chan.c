#include "common/ipc/chan.h"

#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

enum {
    LEN_BYTES = 4,
    WITH_FD = 0x80, /* in the first byte of the length */
    READ_STEP = 65536,
    READ_TURNS = 16,
    KEEP_CAP = 262144 /* bytes; an empty buffer with more capacity is freed: it has held a CONF */
};
_Static_assert(IPC_FRAME_MAX < 1 << 24, "the top byte of the length is free for the flag");

/* A descriptor that goes out with the byte at tx[at]. */
struct chan_pass {
    struct chan_pass *next;
    size_t at;
    int fd;
};

void chan_init(struct chan *c, int fd, enum ipc_direction in, size_t tx_max, const char *peer)
{
    *c = (struct chan){.fd = fd, .in = in, .peer = peer};
    c->pass_end = &c->pass;
    buf_init(&c->rx, LEN_BYTES + IPC_FRAME_MAX);
    buf_init(&c->tx, tx_max);
}

void chan_bound(struct chan *c, size_t frame_max)
{
    buf_bound(&c->rx, LEN_BYTES + min_size(frame_max, IPC_FRAME_MAX));
}

static void pass_pop(struct chan *c)
{
    struct chan_pass *p = c->pass;
    c->pass = p->next;
    if (!c->pass)
        c->pass_end = &c->pass;
    fd_close(&p->fd);
    mem_free(p);
}

void chan_fini(struct chan *c)
{
    fd_close(&c->fd);
    while (c->pass)
        pass_pop(c);
    for (size_t i = 0; i < c->nfds; i++)
        fd_close(&c->fds[i]);
    c->nfds = 0;
    buf_free(&c->rx);
    buf_free(&c->tx);
}

bool chan_pending(const struct chan *c)
{
    return c->tx.len > 0;
}

static void trace(const struct chan *c, const char *way, const struct ipc_frame *f, size_t size)
{
    log_debug("%s %s %s, %zu bytes, generation %llu", way, c->peer, ipc_name(f->id), size,
              (unsigned long long)f->gen);
}

static void trace_sent(const struct chan *c, size_t at, size_t size)
{
    struct ipc_frame f;
    if (log_enabled(LOG_L_DEBUG) &&
        ipc_open(str_make(buf_data(&c->tx) + at, size), ipc_opposite(c->in), &f))
        trace(c, "to", &f, size);
}

static bool pass_push(struct chan *c, int fd, size_t at)
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (own == -1)
        return false;
    struct chan_pass *p = mem_zalloc(1, sizeof *p);
    *p = (struct chan_pass){.at = at, .fd = own};
    *c->pass_end = p;
    c->pass_end = &p->next;
    return true;
}

bool chan_send(struct chan *c, int pass, chan_put_fn *put, uint64_t gen, const void *m)
{
    static const uint8_t room[LEN_BYTES];
    size_t at = c->tx.len;
    if (c->fd == -1)
        return false;
    if (!buf_add(&c->tx, room, sizeof room) || !put(&c->tx, gen, m))
        goto undo;
    size_t size = c->tx.len - at - LEN_BYTES;
    if (size > IPC_FRAME_MAX || (pass != -1 && !pass_push(c, pass, at)))
        goto undo;
    uint8_t *len = (uint8_t *)buf_data(&c->tx) + at;
    len[0] = pass == -1 ? 0 : WITH_FD;
    len[1] = (uint8_t)(size >> 16);
    len[2] = (uint8_t)(size >> 8);
    len[3] = (uint8_t)size;
    trace_sent(c, at + LEN_BYTES, size);
    struct err e;
    /* The end of the peer is found by chan_read, after the last frames that the peer sent. */
    (void)!chan_write(c, &e);
    return true;
undo:
    buf_cut(&c->tx, at);
    return false;
}

enum chan_result chan_write(struct chan *c, struct err *e)
{
    while (c->fd != -1 && c->tx.len) {
        struct chan_pass *p = c->pass;
        bool now = p && p->at == 0;
        struct chan_pass *ahead = now ? p->next : p; /* its frame must begin a sendmsg of its own */
        ptrdiff_t n =
            fd_send(c->fd, buf_data(&c->tx), ahead ? ahead->at : c->tx.len, now ? p->fd : -1);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return CHAN_OK;
        if (n == -1 && (errno == EPIPE || errno == ECONNRESET))
            return CHAN_CLOSED;
        if (n == -1) {
            err_sys(e, "sending to %s", c->peer);
            return CHAN_BROKEN;
        }
        if (now)
            pass_pop(c);
        for (p = c->pass; p; p = p->next)
            p->at -= (size_t)n;
        buf_drop(&c->tx, (size_t)n);
        if (c->tx.len == 0 && c->tx.cap > KEEP_CAP)
            buf_free(&c->tx);
    }
    return c->fd == -1 ? CHAN_CLOSED : CHAN_OK;
}

/* Takes the first descriptor that waits for its frame. */
static int take_fd(struct chan *c)
{
    int fd = c->fds[0];
    c->nfds--;
    for (size_t i = 0; i < c->nfds; i++)
        c->fds[i] = c->fds[i + 1];
    return fd;
}

/* Gives the frame at the front of rx to the handler. *whole: a complete frame was there. */
static bool take_frame(struct chan *c, chan_handler *on, void *arg, bool *whole, struct err *e)
{
    *whole = false;
    if (c->rx.len < LEN_BYTES)
        return true;
    const uint8_t *p = (const uint8_t *)buf_data(&c->rx);
    bool with_fd = p[0] & WITH_FD;
    size_t size = (size_t)(p[0] & ~WITH_FD) << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (size > IPC_FRAME_MAX)
        return err_set(e, "%s sent a frame of %zu bytes", c->peer, size);
    if (c->rx.len < LEN_BYTES + size)
        return buf_reserve(&c->rx, LEN_BYTES + size - c->rx.len) ||
               err_set(e, "no memory for a frame of %zu bytes from %s", size, c->peer);
    *whole = true;
    struct ipc_frame f;
    if (!ipc_open(str_make((const char *)p + LEN_BYTES, size), c->in, &f))
        return err_set(e, "%s sent an unknown frame of %zu bytes", c->peer, size);
    if (with_fd && c->nfds == 0)
        return err_set(e, "%s sent %s without its descriptor", c->peer, ipc_name(f.id));
    if (with_fd)
        f.fd = take_fd(c);
    trace(c, "from", &f, size);
    bool ok = on(arg, &f, e);
    fd_close(&f.fd);
    buf_drop(&c->rx, LEN_BYTES + size);
    return ok;
}

enum chan_result chan_read(struct chan *c, chan_handler *on, void *arg, struct err *e)
{
    for (int turn = 0; turn < READ_TURNS; turn++) {
        size_t room = min_size(READ_STEP, c->rx.max - c->rx.len);
        if (c->fd == -1)
            return CHAN_CLOSED;
        if (!buf_reserve(&c->rx, room)) {
            err_set(e, "no memory to read from %s", c->peer);
            return CHAN_BROKEN;
        }
        if (c->nfds == CHAN_FDS) {
            err_set(e, "%s sent descriptors that belong to no frame", c->peer);
            return CHAN_BROKEN;
        }
        size_t got;
        room = buf_room(&c->rx);
        room = min_size(room, READ_STEP);
        ptrdiff_t n =
            fd_recv(c->fd, buf_tail(&c->rx), room, c->fds + c->nfds, CHAN_FDS - c->nfds, &got);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n == 0 || (n == -1 && errno == ECONNRESET))
            return CHAN_CLOSED;
        if (n == -1) {
            err_sys(e, "reading from %s", c->peer);
            return CHAN_BROKEN;
        }
        buf_added(&c->rx, (size_t)n);
        c->nfds += got;
        for (bool whole = true; whole;)
            if (!take_frame(c, on, arg, &whole, e))
                return CHAN_BROKEN;
        if (c->rx.len == 0 && c->rx.cap > KEEP_CAP)
            buf_free(&c->rx);
        /* Nothing more is there now: reading again would cost a system call for each report of a
         * worker. */
        if ((size_t)n < room && got == 0)
            break;
    }
    return CHAN_OK;
}
