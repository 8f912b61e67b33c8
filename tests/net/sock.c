#include "tests/net/sock.h"

#include <errno.h>
#include <openssl/err.h>
#include <sys/socket.h>

ptrdiff_t sock_send(int fd, SSL *ssl, const char *p, size_t n)
{
    if (!ssl) {
        ssize_t w = send(fd, p, n, MSG_NOSIGNAL);
        return w >= 0 ? w : errno == EAGAIN ? 0 : -1;
    }
    size_t w = 0;
    if (SSL_write_ex(ssl, p, n, &w) == 1)
        return (ptrdiff_t)w;
    int err = SSL_get_error(ssl, 0);
    ERR_clear_error();
    return err == SSL_ERROR_WANT_WRITE || err == SSL_ERROR_WANT_READ ? 0 : -1;
}

ptrdiff_t sock_recv(int fd, SSL *ssl, char *p, size_t n)
{
    if (!ssl) {
        ssize_t r = recv(fd, p, n, 0);
        return r >= 0 ? r : errno == EAGAIN ? -2 : -1;
    }
    size_t r = 0;
    if (SSL_read_ex(ssl, p, n, &r) == 1)
        return (ptrdiff_t)r;
    int err = SSL_get_error(ssl, 0);
    ERR_clear_error();
    return err == SSL_ERROR_WANT_READ || err == SSL_ERROR_WANT_WRITE ? -2
           : err == SSL_ERROR_ZERO_RETURN                            ? 0
                                                                     : -1;
}
