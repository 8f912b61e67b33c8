/* The TLS side towards an engine. */
#include "supervisor/link/session.h"

#include <openssl/err.h>
#include <openssl/pem.h>

static BIO *bio_of(struct str s)
{
    return BIO_new_mem_buf(s.p, (int)s.n);
}

/* Trusts the certificates of a PEM text. False: it has none. */
static bool trust(SSL_CTX *c, struct str pem)
{
    BIO *b = bio_of(pem);
    size_t n = 0;
    X509 *x;
    while (b && (x = PEM_read_bio_X509(b, NULL, NULL, NULL))) {
        n += X509_STORE_add_cert(SSL_CTX_get_cert_store(c), x) == 1;
        X509_free(x);
    }
    BIO_free(b);
    ERR_clear_error();
    return n > 0;
}

static bool use_own(SSL_CTX *c, struct str certificate, struct str key)
{
    BIO *b = bio_of(certificate), *k = bio_of(key);
    X509 *leaf = b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL, *next;
    EVP_PKEY *own = k ? PEM_read_bio_PrivateKey(k, NULL, NULL, NULL) : NULL;
    bool ok = leaf && own && SSL_CTX_use_certificate(c, leaf) == 1 &&
              SSL_CTX_use_PrivateKey(c, own) == 1 && SSL_CTX_check_private_key(c) == 1;
    while (ok && (next = PEM_read_bio_X509(b, NULL, NULL, NULL)))
        if (SSL_CTX_add0_chain_cert(c, next) != 1) {
            X509_free(next);
            ok = false;
        }
    ERR_clear_error();
    X509_free(leaf);
    EVP_PKEY_free(own);
    BIO_free(b);
    BIO_free(k);
    return ok;
}

SSL_CTX *session_tls(const struct ipc_link_tls *m, struct err *e)
{
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());
    bool ok = c && SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) == 1;
    if (ok) {
        SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
        SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
        ok = m->ca.n ? trust(c, m->ca) : SSL_CTX_set_default_verify_paths(c) == 1;
    }
    if (ok && m->certificate.n)
        ok = use_own(c, m->certificate, m->private_key);
    if (ok)
        return c;
    err_set(e, "the certificates of LINK_TLS cannot be used");
    SSL_CTX_free(c);
    return NULL;
}
