#include "worker/net/io.h"

#include "common/base/fd.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>

/* Largest payload of a TLS record, in bytes (RFC 8446, 5.1): smaller pieces are joined up to it. */
enum { RECORD = 16384 };

static ptrdiff_t tls_result(struct io *io, int r)
{
    int why = SSL_get_error(io->ssl, r);
    switch (why) {
    case SSL_ERROR_WANT_WRITE:
        io->want_write = true;
        return IO_AGAIN;
    case SSL_ERROR_WANT_READ:
        return IO_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return IO_EOF;
    case SSL_ERROR_SSL:
        if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
            ERR_clear_error();
            return IO_CUT;
        }
        break;
    default:
        break;
    }
    ERR_clear_error();
    SSL_set_quiet_shutdown(io->ssl, 1); /* after a fatal error SSL_shutdown must not be called */
    return IO_RESET;
}

static ptrdiff_t plain_read(const struct io *io, void *p, size_t n, int flags)
{
    for (;;) {
        ssize_t r = recv(io->fd, p, n, flags);
        if (r >= 0)
            return r;
        if (errno == EINTR)
            continue;
        return errno == EAGAIN || errno == EWOULDBLOCK ? IO_AGAIN : IO_RESET;
    }
}

ptrdiff_t io_read(struct io *io, void *p, size_t n)
{
    if (!io->ssl)
        return plain_read(io, p, n, 0);
    io->want_write = false;
    int r = SSL_read(io->ssl, p, (int)min_size(n, INT32_MAX));
    return r > 0 ? r : tls_result(io, r);
}

ptrdiff_t io_peek(struct io *io)
{
    char c;
    if (!io->ssl)
        return plain_read(io, &c, 1, MSG_PEEK);
    int r = SSL_peek(io->ssl, &c, 1);
    return r > 0 ? r : tls_result(io, r);
}

static ptrdiff_t tls_writev(struct io *io, const struct iovec *iov, int n)
{
    static char gather[RECORD];
    ptrdiff_t total = 0;
    size_t at = 0; /* bytes of *iov that are written already */
    while (n > 0) {
        const char *p = (const char *)iov->iov_base + at;
        size_t len = iov->iov_len - at;
        if (len < RECORD && n > 1) {
            size_t fill = 0, skip = at;
            for (int i = 0; i < n && fill < RECORD; i++, skip = 0) {
                size_t take = min_size(iov[i].iov_len - skip, RECORD - fill);
                memcpy(gather + fill, (const char *)iov[i].iov_base + skip, take);
                fill += take;
            }
            p = gather;
            len = fill;
        }
        if (len == 0)
            break;
        int r = SSL_write(io->ssl, p, (int)min_size(len, RECORD));
        if (r <= 0) {
            ptrdiff_t why = tls_result(io, r);
            io->want_write = false;
            return total ? total : why == IO_AGAIN ? IO_AGAIN : IO_RESET;
        }
        total += r;
        size_t done = (size_t)r;
        while (n > 0 && done >= iov->iov_len - at) {
            done -= iov->iov_len - at;
            at = 0;
            iov++;
            n--;
        }
        at += done;
    }
    return total;
}

ptrdiff_t io_writev(struct io *io, const struct iovec *iov, int n)
{
    if (io->ssl)
        return tls_writev(io, iov, n);
    for (;;) {
        struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
        ssize_t r = sendmsg(io->fd, &m, MSG_NOSIGNAL);
        if (r >= 0)
            return r;
        if (errno == EINTR)
            continue;
        return errno == EAGAIN || errno == EWOULDBLOCK ? IO_AGAIN : IO_RESET;
    }
}

bool io_pending(const struct io *io)
{
    return io->ssl && SSL_has_pending(io->ssl);
}

void io_close(struct io *io, bool hard)
{
    if (io->ssl) {
        if (!hard && SSL_is_init_finished(io->ssl)) {
            SSL_shutdown(io->ssl);
            ERR_clear_error();
        }
        SSL_free(io->ssl);
        io->ssl = NULL;
    }
    if (io->fd != -1 && hard) {
        struct linger l = {.l_onoff = 1, .l_linger = 0};
        setsockopt(io->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    }
    fd_close(&io->fd);
}
