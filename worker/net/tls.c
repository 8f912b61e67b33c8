#include "worker/net/tls.h"

#include "worker/net/tls_why.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/socket.h>

static const unsigned char alpn_http11[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

static bool ssl_fault(struct err *e, const char *what)
{
    unsigned long code = ERR_get_error();
    const char *why = code ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return err_set(e, "%s: %s", what, why ? why : "failed");
}

static SSL_CTX *context(const SSL_METHOD *method)
{
    SSL_CTX *c = SSL_CTX_new(method);
    if (!c)
        return NULL;
    SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
    SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_read_ahead(c, 1); /* reads a record's header and body with one recv(2) */
    return c;
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen,
                       const unsigned char *in, unsigned inlen, void *arg)
{
    (void)ssl, (void)arg;
    unsigned char *hit;
    if (SSL_select_next_proto(&hit, outlen, alpn_http11, sizeof alpn_http11, in, inlen) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = hit;
    return SSL_TLSEXT_ERR_OK;
}

static bool use_chain(SSL_CTX *c, const char *pem)
{
    BIO *b = BIO_new_mem_buf(pem, -1);
    X509 *leaf = b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;
    bool ok = leaf && SSL_CTX_use_certificate(c, leaf) == 1;
    X509 *next;
    while (ok && (next = PEM_read_bio_X509(b, NULL, NULL, NULL)))
        if (SSL_CTX_add0_chain_cert(c, next) != 1) {
            X509_free(next);
            ok = false;
        }
    if (ok)
        ERR_clear_error(); /* the end of the file is reported as an error */
    X509_free(leaf);
    BIO_free(b);
    return ok;
}

static bool use_key(SSL_CTX *c, const char *pem)
{
    BIO *b = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *k = b ? PEM_read_bio_PrivateKey(b, NULL, NULL, NULL) : NULL;
    bool ok = k && SSL_CTX_use_PrivateKey(c, k) == 1 && SSL_CTX_check_private_key(c) == 1;
    EVP_PKEY_free(k);
    BIO_free(b);
    return ok;
}

/* Sets the keys of session tickets: of the certificate, as a session must not be resumed at a
 * listener that has another one. */
static bool use_tickets(SSL_CTX *c, const char *pem, const uint8_t *tickets)
{
    enum { HASH = 32 };
    unsigned char keys[3 * HASH], of[HASH + 1];
    bool ok = EVP_Digest(pem, strlen(pem), of, NULL, EVP_sha256(), NULL) == 1;
    for (unsigned i = 0; ok && i < 3; i++) {
        of[HASH] = (unsigned char)i;
        ok = HMAC(EVP_sha256(), tickets, TLS_TICKETS, of, sizeof of, keys + i * HASH, NULL);
    }
    long n = SSL_CTX_get_tlsext_ticket_keys(c, NULL, 0); /* 80 */
    ok = ok && n > 0 && n <= (long)sizeof keys && SSL_CTX_set_tlsext_ticket_keys(c, keys, n) == 1;
    OPENSSL_cleanse(keys, sizeof keys);
    return ok;
}

SSL_CTX *tls_server(const char *certificate_pem, const char *key_pem, const uint8_t *tickets,
                    struct err *e)
{
    SSL_CTX *c = context(TLS_server_method());
    if (c && use_chain(c, certificate_pem) && use_key(c, key_pem) &&
        use_tickets(c, certificate_pem, tickets)) {
        SSL_CTX_set_alpn_select_cb(c, choose_alpn, NULL);
        SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF); /* resumption is by tickets */
        SSL_CTX_set_num_tickets(c, 1);
        return c;
    }
    ssl_fault(e, "certificate or private key");
    SSL_CTX_free(c);
    return NULL;
}

static bool trust(SSL_CTX *c, const char *pem)
{
    X509_STORE *store = SSL_CTX_get_cert_store(c);
    BIO *b = BIO_new_mem_buf(pem, -1);
    size_t n = 0;
    X509 *x;
    while (b && (x = PEM_read_bio_X509(b, NULL, NULL, NULL))) {
        n += X509_STORE_add_cert(store, x) == 1;
        X509_free(x);
    }
    BIO_free(b);
    ERR_clear_error();
    return n > 0;
}

SSL_CTX *tls_client(const char *ca_pem, struct err *e)
{
    SSL_CTX *c = context(TLS_client_method());
    if (!c || (ca_pem ? !trust(c, ca_pem) : SSL_CTX_set_default_verify_paths(c) != 1)) {
        ssl_fault(e, ca_pem ? "ca_file" : "CA certificates of the system");
        SSL_CTX_free(c);
        return NULL;
    }
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, tls_why_verify);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_alpn_protos(c, alpn_http11, sizeof alpn_http11);
    return c;
}

SSL *tls_accept(SSL_CTX *ctx, int fd)
{
    SSL *s = SSL_new(ctx);
    if (s && SSL_set_fd(s, fd) == 1) {
        SSL_set_accept_state(s);
        return s;
    }
    SSL_free(s);
    return NULL;
}

static bool is_address(const char *host)
{
    unsigned char a[16];
    return inet_pton(AF_INET, host, a) == 1 || inet_pton(AF_INET6, host, a) == 1;
}

SSL *tls_connect(SSL_CTX *ctx, int fd, const char *host, SSL_SESSION *resume)
{
    SSL *s = SSL_new(ctx);
    if (!s)
        return NULL;
    bool named = is_address(host)
                     ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s), host) == 1
                     : SSL_set_tlsext_host_name(s, host) == 1 && SSL_set1_host(s, host) == 1;
    if (!named || SSL_set_fd(s, fd) != 1) {
        SSL_free(s);
        return NULL;
    }
    SSL_set_hostflags(s, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (resume)
        SSL_set_session(s, resume);
    SSL_set_connect_state(s);
    return s;
}

/* Answers a client that speaks HTTP without TLS, as nginx does. Reads what it has sent, so that
 * closing does not destroy the answer; never waits. */
static void refuse_plain(int fd)
{
    static const char text[] =
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 129\r\n"
        "connection: close\r\nx-should-retry: false\r\n\r\n"
        "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"The plain "
        "HTTP "
        "request was sent to HTTPS port: use https://\"}}";
    char sink[4096];
    for (int i = 0; i < 64 && recv(fd, sink, sizeof sink, MSG_DONTWAIT) > 0; i++)
        ;
    if (send(fd, text, sizeof text - 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        shutdown(fd, SHUT_WR);
}

enum tls_step tls_handshake(SSL *ssl, struct err *e)
{
    errno = 0;
    int r = SSL_do_handshake(ssl);
    if (r == 1)
        return TLS_DONE;
    int why = SSL_get_error(ssl, r);
    if (why == SSL_ERROR_WANT_READ)
        return TLS_WANT_READ;
    if (why == SSL_ERROR_WANT_WRITE)
        return TLS_WANT_WRITE;
    if (e)
        tls_why(ssl, why, e);
    if (SSL_is_server(ssl) && ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST)
        refuse_plain(SSL_get_fd(ssl));
    ERR_clear_error();
    SSL_set_quiet_shutdown(ssl, 1);
    return SSL_get_verify_result(ssl) == X509_V_OK ? TLS_FAILED : TLS_BAD_CERT;
}
