/* io: a connected stream of bytes: a socket, with TLS over it or without. Non-blocking. */
#ifndef QCC_WORKER_IO_H
#define QCC_WORKER_IO_H

#include "common/base/base.h"

#include <openssl/ssl.h>
#include <sys/uio.h>

struct io {
    int fd;       /* owned; -1: closed */
    SSL *ssl;     /* owned; NULL: plain */
    bool want_write; /* a TLS read waits for the socket to take bytes (a key update) */
};

/* What io_read and io_writev return when it is no count of bytes. */
enum { IO_EOF = 0, IO_AGAIN = -1, IO_RESET = -2, IO_CUT = -3 };

/* Reads at most n bytes. IO_EOF: the peer ended the stream (TLS: with close_notify). IO_CUT: a TLS
 * stream ended without close_notify, so that it may have been cut. IO_RESET: broken. */
ptrdiff_t io_read(struct io *io, void *p, size_t n) MUST_CHECK;

/* Writes what goes; bytes written, IO_AGAIN or IO_RESET. With TLS, what was not written must be
 * offered again first (SSL_write(3)): callers keep it in order anyhow. */
ptrdiff_t io_writev(struct io *io, const struct iovec *iov, int n) MUST_CHECK;

/* Whether TLS holds decrypted bytes that no readiness event will announce. */
bool io_pending(const struct io *io);

/* Closes; TLS says close_notify first if it can without waiting. `hard`: with a reset, so that a
 * peer that reads until the end sees that this is none. */
void io_close(struct io *io, bool hard);

#endif
