/* chan: a framed channel over one end of a stream socket pair: 4 bytes of length (big-endian), then
 * a frame body (ipc.h). The top bit of the length says that a descriptor came with the frame: the
 * kernel keeps descriptors in order, but may hand them out together with bytes of earlier frames.
 * Non-blocking, bounded both ways. Knows no event loop: the owner watches `fd` and calls
 * chan_read / chan_write. */
#ifndef QCC_COMMON_IPC_CHAN_H
#define QCC_COMMON_IPC_CHAN_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/ipc/ipc.h"

enum { CHAN_FDS = 64 };

struct chan_pass;

struct chan {
    int fd;                /* owned; -1 when closed */
    enum ipc_direction in; /* direction of the messages that may arrive here */
    struct buf rx, tx;
    int fds[CHAN_FDS]; /* arrived, while the frame that carries one has not been read */
    size_t nfds;
    struct chan_pass *pass, **pass_end; /* descriptors queued behind tx */
    const char *peer;                   /* for logs, borrowed */
};

enum chan_result {
    CHAN_OK,     /* nothing more can be done now */
    CHAN_CLOSED, /* the peer has closed its end */
    CHAN_BROKEN  /* the peer violated the protocol, or the channel is over its bound; see err */
};

/* A channel over fd, which it takes over. in: direction of the messages that may arrive. tx_max:
 * bytes that may wait for the peer. peer: its name in messages, borrowed. */
void chan_init(struct chan *c, int fd, enum ipc_direction in, size_t tx_max, const char *peer);

/* For a peer that is not trusted: a frame of more than frame_max bytes breaks the channel before it
 * is stored. Called before anything was read. */
void chan_bound(struct chan *c, size_t frame_max);

/* Closes the socket and every descriptor that still waits. */
void chan_fini(struct chan *c);

typedef bool chan_put_fn(struct buf *b, uint64_t gen, const void *m);

/* Queues one message and tries to write at once. `put` is an ipc_put_v_NAME of ipc.h.
 * pass: a descriptor that travels with the frame (duplicated: the caller keeps its own), or -1.
 * False: over tx_max, or m breaks a bound; the owner then replaces the peer, it never waits. */
bool chan_send(struct chan *c, int pass, chan_put_fn *put, uint64_t gen, const void *m) MUST_CHECK;

/* Writes queued frames as far as the socket takes them. */
enum chan_result chan_write(struct chan *c, struct err *e) MUST_CHECK;

/* Whether queued bytes wait for chan_write. */
bool chan_pending(const struct chan *c);

typedef bool chan_handler(void *arg, struct ipc_frame *f, struct err *e);

/* Reads what is there (of a flood, at most 1 MiB) and calls `on` for each whole frame. Call it as
 * long as the socket is readable (level-triggered): what is left, and the end of the peer, come
 * with the next call. A handler that returns false (with e set) ends the reading with
 * CHAN_BROKEN: the peer violated the protocol. A frame's descriptor that the handler did not take
 * (f->fd still set) is closed. The handler may send, and must not call chan_fini. */
enum chan_result chan_read(struct chan *c, chan_handler *on, void *arg, struct err *e) MUST_CHECK;

#endif
