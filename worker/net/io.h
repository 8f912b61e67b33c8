/* io: a connected byte stream: a socket, with or without TLS on top. Non-blocking. */
#ifndef QCC_WORKER_NET_IO_H
#define QCC_WORKER_NET_IO_H

#include "common/base/base.h"

#include <openssl/ssl.h>
#include <sys/uio.h>

struct io {
    int fd;          /* owned; -1: closed */
    SSL *ssl;        /* owned; NULL: plain */
    bool want_write; /* a TLS read waits for the socket to take bytes (a key update) */
};

/* Results of io_read and io_writev that are not a count of bytes. */
enum { IO_EOF = 0, IO_AGAIN = -1, IO_RESET = -2, IO_CUT = -3 };

/* Reads at most n bytes. IO_EOF: the peer ended the stream (TLS: with close_notify). IO_CUT: a TLS
 * stream ended without close_notify, so that it may have been cut. IO_RESET: broken.
 * IO_AGAIN: nothing to read now. */
ptrdiff_t io_read(struct io *io, void *p, size_t n) MUST_CHECK;

/* What io_read would return for one byte; reads none. A plain socket tells IO_RESET once: io_read
 * would take it for IO_EOF then. */
ptrdiff_t io_peek(struct io *io) MUST_CHECK;

/* Writes as much as the socket takes; returns bytes written, IO_AGAIN or IO_RESET. With TLS, the
 * next call must begin with the bytes that were not written (SSL_write(3)). */
ptrdiff_t io_writev(struct io *io, const struct iovec *iov, int n) MUST_CHECK;

/* Whether TLS holds decrypted bytes that no readiness event will announce. */
bool io_pending(const struct io *io);

/* Closes the stream. TLS sends close_notify first if that does not block. `hard`: the connection is
 * reset instead, so that a peer that reads until the end does not take this for a proper one. */
void io_close(struct io *io, bool hard);

#endif
