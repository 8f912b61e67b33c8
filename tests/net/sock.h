/* sock: bytes over a non-blocking socket, through TLS where there is an SSL. For programs of the
 * tests. */
#ifndef TESTS_NET_SOCK_H
#define TESTS_NET_SOCK_H

#include <openssl/ssl.h>
#include <stddef.h>

/* As send(2): bytes taken, 0: later, -1: gone. ssl NULL: plain. */
ptrdiff_t sock_send(int fd, SSL *ssl, const char *p, size_t n);

/* As recv(2): bytes received, 0: the end, -1: gone, -2: nothing there now. ssl NULL: plain. */
ptrdiff_t sock_recv(int fd, SSL *ssl, char *p, size_t n);

#endif
