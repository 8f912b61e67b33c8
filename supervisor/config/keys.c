#include "supervisor/config/keys.h"

#include "common/conf/conf_place.h"
#include "common/base/mem.h"
#include "supervisor/config/file.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

/* Reads the file that a key names. False: a fault was added. The caller ends the buffer with
 * file_done. */
static bool read_named(struct faults *f, const char *at, const char *name, bool secret,
                       struct buf *b)
{
    struct err e;
    bool open_to_all;
    char path[CONF_TEXT_MAX + 4096];
    file_named(f->file, name, path, sizeof path);
    if (!file_read(path, b, &open_to_all, &e)) {
        faults_add(f, false, at, "%.200s %s", path, e.msg);
        return false;
    }
    if (memchr(buf_data(b) ? buf_data(b) : "", '\0', b->len)) {
        faults_add(f, false, at, "%.200s is not a text file", path);
        return false;
    }
    if (secret && open_to_all)
        faults_add(f, true, at, "everybody may read %.200s (chmod o-r)", path);
    return true;
}

/* Reads a file that holds one line of visible ASCII into *out. what: for messages. */
static void read_line(struct faults *f, const char *at, const char *file, const char *what,
                      char **out)
{
    struct buf b;
    buf_init(&b, CONF_TEXT_MAX);
    if (read_named(f, at, file, true, &b)) {
        struct str all = buf_view(&b);
        if (str_starts(all, STR("\xef\xbb\xbf"))) {
            faults_add(f, true, at, "%.200s begins with a byte order mark, which is left out",
                       file);
            all = str_make(all.p + 3, all.n - 3);
        }
        struct str key = str_trim(all);
        bool valid = key.n > 0;
        for (size_t j = 0; j < key.n; j++)
            valid = valid && (unsigned char)key.p[j] > 0x20 && (unsigned char)key.p[j] < 0x7f;
        if (valid)
            *out = mem_strndup(key.p, key.n);
        else
            faults_add(f, false, at, "%.200s must hold one line with the %s, and no more", file,
                       what);
    }
    file_done(&b);
}

static void read_api_key(struct conf_endpoint *ep, size_t i, struct faults *f)
{
    struct conf_place at = conf_place("endpoints", i, "api_key_file");
    if (ep->api_key)
        faults_add(f, false, at.text, "is given beside api_key: keep one");
    else
        read_line(f, at.text, ep->api_key_file, "key", &ep->api_key);
    ep->key_unread = !ep->api_key;
}

/* A pem_password_cb without a passphrase: OpenSSL's own would ask on the terminal and wait for
 * ever. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
    (void)out, (void)size, (void)writing, (void)arg;
    return 0;
}

/* The buffer as a stream for the PEM readers; fmemopen(3) may refuse a size of 0. */
static FILE *pem_stream(const struct buf *b)
{
    return b->len ? fmemopen(buf_data(b), b->len, "r") : NULL;
}

static X509 *first_certificate(const struct buf *b)
{
    FILE *in = pem_stream(b);
    X509 *x = in ? PEM_read_X509(in, NULL, no_passphrase, NULL) : NULL;
    if (in)
        fclose(in);
    return x;
}

static EVP_PKEY *private_key(const struct buf *b)
{
    FILE *in = pem_stream(b);
    EVP_PKEY *k = in ? PEM_read_PrivateKey(in, NULL, no_passphrase, NULL) : NULL;
    if (in)
        fclose(in);
    return k;
}

/* Reads a certificate with its chain, and its key, as PEM texts. */
static void read_pair(struct faults *f, const char *at_cert, const char *certificate,
                      const char *at_key, const char *key_file, char **cert_pem, char **key_pem)
{
    struct buf cert, key;
    X509 *x = NULL;
    EVP_PKEY *k = NULL;
    buf_init(&cert, CONF_PEM_MAX);
    buf_init(&key, CONF_PEM_MAX);
    bool have_cert = read_named(f, at_cert, certificate, false, &cert);
    bool have_key = read_named(f, at_key, key_file, true, &key);
    if (have_cert && !(x = first_certificate(&cert)))
        faults_add(f, false, at_cert, "%.200s holds no valid PEM certificate", certificate);
    if (have_key && !(k = private_key(&key)))
        faults_add(f, false, at_key,
                   "%.200s holds no valid PEM private key, or one with a passphrase", key_file);
    if (x && k) {
        if (X509_check_private_key(x, k) != 1)
            faults_add(f, false, at_key, "%.200s is not the key of the certificate %.200s",
                       key_file, certificate);
        if (X509_cmp_current_time(X509_get0_notAfter(x)) < 0)
            faults_add(f, true, at_cert, "%.200s has expired", certificate);
        else if (X509_cmp_current_time(X509_get0_notBefore(x)) > 0)
            faults_add(f, true, at_cert, "%.200s is not valid yet", certificate);
        *cert_pem = mem_strndup(buf_data(&cert), cert.len);
        *key_pem = mem_strndup(buf_data(&key), key.len);
    }
    X509_free(x);
    EVP_PKEY_free(k);
    ERR_clear_error();
    file_done(&cert);
    file_done(&key);
}

static void read_certificate(struct conf_listen *l, size_t i, struct faults *f)
{
    struct conf_place at_cert = conf_place("listen", i, "tls.certificate");
    struct conf_place at_key = conf_place("listen", i, "tls.private_key");
    read_pair(f, at_cert.text, l->certificate, at_key.text, l->private_key, &l->certificate_pem,
              &l->private_key_pem);
}

/* Reads a file of CA certificates as PEM text. */
static void read_ca(struct faults *f, const char *at, const char *file, char **pem)
{
    struct buf b;
    buf_init(&b, CONF_CA_MAX);
    if (read_named(f, at, file, false, &b)) {
        X509 *x = first_certificate(&b);
        if (x)
            *pem = mem_strndup(buf_data(&b), b.len);
        else
            faults_add(f, false, at, "%.200s holds no valid PEM certificate", file);
        X509_free(x);
        ERR_clear_error();
    }
    file_done(&b);
}

static void read_cluster(struct conf *c, struct faults *f)
{
    struct conf_cluster *k = &c->cluster;
    struct conf_cluster_more *m = &c->cluster_more;
    if (k->secret && k->secret_file)
        faults_add(f, false, "cluster.secret_file", "is given beside secret: keep one");
    else if (k->secret_file)
        read_line(f, "cluster.secret_file", k->secret_file, "secret", &k->secret);
    if (k->password_file)
        read_line(f, "cluster.password_file", k->password_file, "password", &m->password);
    if (k->ca_file)
        read_ca(f, "cluster.ca_file", k->ca_file, &m->ca_pem);
    if (k->certificate && k->private_key)
        read_pair(f, "cluster.certificate", k->certificate, "cluster.private_key", k->private_key,
                  &m->certificate_pem, &m->private_key_pem);
}

void keys_read(struct conf *c, struct faults *f)
{
    for (size_t i = 0; i < c->nlisten; i++)
        if (c->listen[i].certificate && c->listen[i].private_key)
            read_certificate(&c->listen[i], i, f);
    for (size_t i = 0; i < c->nendpoints; i++)
        if (c->endpoints[i].api_key_file)
            read_api_key(&c->endpoints[i], i, f);
    if (c->upstream.ca_file)
        read_ca(f, "upstream.ca_file", c->upstream.ca_file, &c->ca_pem);
    read_cluster(c, f);
}
