/* tls_why: why a TLS handshake failed, in words for people: what is wrong with the certificate, the
 * alert that came, that the other side does not speak TLS. */
#ifndef QCC_WORKER_NET_TLS_WHY_H
#define QCC_WORKER_NET_TLS_WHY_H

#include "common/base/base.h"
#include "common/base/err.h"

#include <openssl/ssl.h>

/* For SSL_CTX_set_verify: keeps with the connection what is wrong with the certificate. */
int tls_why_verify(int ok, X509_STORE_CTX *store);

/* Writes why the handshake of ssl has failed. how: of SSL_get_error. Called before the thread's
 * queue of errors is cleared. */
void tls_why(SSL *ssl, int how, struct err *why);

#endif
