/* tls: OpenSSL contexts and handshakes for both sides. TLS 1.2 and newer, ALPN http/1.1. */
#ifndef QCC_WORKER_NET_TLS_H
#define QCC_WORKER_NET_TLS_H

#include "common/base/base.h"
#include "common/base/err.h"

#include <openssl/ssl.h>

enum { TLS_TICKETS = 32 };

/* Makes a context for a listener, from PEM texts; freed with SSL_CTX_free. `tickets`: TLS_TICKETS
 * secret bytes: sessions of one context are resumed by any that was made of the same bytes and the
 * same certificate, in whichever process. NULL with e set. */
SSL_CTX *tls_server(const char *certificate_pem, const char *key_pem, const uint8_t *tickets,
                    struct err *e) MUST_CHECK;

/* Makes a context for endpoints, which trusts the certificates in ca_pem (PEM; NULL: the system's);
 * freed with SSL_CTX_free. NULL with e set. */
SSL_CTX *tls_client(const char *ca_pem, struct err *e) MUST_CHECK;

/* Makes the server's side of a TLS connection on fd, which stays the caller's; freed with SSL_free.
 * NULL: out of memory. */
SSL *tls_accept(SSL_CTX *ctx, int fd) MUST_CHECK;

/* Makes the client's side of a TLS connection on fd, which stays the caller's; freed with SSL_free.
 * A name `host` is sent (SNI) and verified against the certificate (RFC 6125), an IP address only
 * verified. `resume`: session to resume, or NULL. NULL: out of memory. */
SSL *tls_connect(SSL_CTX *ctx, int fd, const char *host, SSL_SESSION *resume) MUST_CHECK;

enum tls_step { TLS_DONE, TLS_WANT_READ, TLS_WANT_WRITE, TLS_FAILED, TLS_BAD_CERT };

/* Advances the handshake as far as is possible without blocking. *why: set with TLS_FAILED and
 * TLS_BAD_CERT, where it is not NULL. A
 * client that has sent a request without TLS gets 400 (TLS_FAILED). */
enum tls_step tls_handshake(SSL *ssl, struct err *why) MUST_CHECK;

#endif
