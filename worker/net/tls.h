/* tls: OpenSSL contexts and handshakes for both sides. TLS 1.2 and newer, ALPN http/1.1. */
#ifndef QCC_WORKER_TLS_H
#define QCC_WORKER_TLS_H

#include "common/base/base.h"
#include "common/base/err.h"

#include <openssl/ssl.h>

/* A context for a listener, from PEM texts. NULL with e set. Freed with SSL_CTX_free. */
SSL_CTX *tls_server(const char *certificate_pem, const char *key_pem, struct err *e) MUST_CHECK;

/* A context for endpoints; ca_pem NULL: the system's certificates. NULL with e set. */
SSL_CTX *tls_client(const char *ca_pem, struct err *e) MUST_CHECK;

/* The server's half of a connection on fd; NULL when out of memory. */
SSL *tls_accept(SSL_CTX *ctx, int fd) MUST_CHECK;

/* The client's half: server name sent and verified against the certificate (RFC 6125; an IP address
 * against the address entries). `resume` may be NULL. */
SSL *tls_connect(SSL_CTX *ctx, int fd, const char *host, SSL_SESSION *resume) MUST_CHECK;

enum tls_step { TLS_DONE, TLS_WANT_READ, TLS_WANT_WRITE, TLS_FAILED, TLS_BAD_CERT };

/* One step of the handshake. */
enum tls_step tls_handshake(SSL *ssl) MUST_CHECK;

#endif
