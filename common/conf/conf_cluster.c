#include "common/conf/conf_cluster.h"

#include "common/conf/conf_key.h"
#include "common/conf/conf_value.h"
#include "common/conf/url/engine_url.h"
#include "common/conf/url/url.h"

#include <stdarg.h>
#include <stdio.h>

struct cluster_check {
    struct conf *c;
    conf_cluster_fn *fault;
    void *arg;
    bool failed;
};

static void cluster_fault(struct cluster_check *k, bool warning, const char *path, const char *fmt,
                          ...) PRINTF_LIKE(4, 5);
static void cluster_fault(struct cluster_check *k, bool warning, const char *path, const char *fmt,
                          ...)
{
    char msg[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    k->failed |= !warning;
    k->fault(k->arg, warning, path, msg);
}

/* A name in the engine: what needs no quoting in a key or a listing. */
static void check_word(struct cluster_check *k, const char *path, const char *s, size_t max)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t n = s ? strlen(s) : 1;
    if (n == 0 || n > max || (s && strspn(s, letters) != n))
        cluster_fault(k, false, path, "must be 1 to %zu of A-Z a-z 0-9 . _ -", max);
}

static void check_share(struct cluster_check *k)
{
    struct conf_cluster_more *m = &k->c->cluster_more;
    m->shares = 0;
    for (size_t i = 0; i < m->share.n; i++) {
        char path[64];
        size_t w = 0;
        snprintf(path, sizeof path, "cluster.share[%zu]", i);
        while (w < conf_default_nshare && strcmp(m->share.v[i], conf_default_share[w]) != 0)
            w++;
        if (w == conf_default_nshare)
            cluster_fault(k, false, path, "must be bindings, endpoints or places");
        else if (m->shares & 1u << w)
            cluster_fault(k, false, path, "is listed twice");
        else
            m->shares |= 1u << w;
    }
}

static void check_sentinels(struct cluster_check *k, const struct engine_url *u)
{
    const struct conf_strs *l = &k->c->cluster_more.sentinels;
    if (l->n && u->local)
        cluster_fault(k, false, "cluster.sentinels", "cannot be asked for a Unix socket");
    for (size_t i = 0; i < l->n; i++) {
        char path[64], text[CONF_TEXT_MAX + 16];
        struct engine_url s;
        struct err e;
        snprintf(path, sizeof path, "cluster.sentinels[%zu]", i);
        snprintf(text, sizeof text, "redis://%s", l->v[i]);
        if (!engine_url_parse(str_c(text), &s, &e))
            cluster_fault(k, false, path, "%s", e.msg);
        else if (strpbrk(l->v[i], "/@"))
            cluster_fault(k, false, path, "must be host:port");
    }
}

static void check_secret(struct cluster_check *k)
{
    const struct conf_cluster *c = &k->c->cluster;
    if (!c->secret && !c->secret_file)
        cluster_fault(k, false, "cluster.secret",
                      "is required with url, the same on all hosts (openssl rand -hex 32)");
    else if (c->secret && strlen(c->secret) < CLUSTER_SECRET_MIN)
        cluster_fault(k, false, c->secret_file ? "cluster.secret_file" : "cluster.secret",
                      "needs at least %d bytes (openssl rand -hex 32)", CLUSTER_SECRET_MIN);
}

static void check_engine(struct cluster_check *k)
{
    const struct conf_cluster *c = &k->c->cluster;
    struct engine_url u;
    struct err e;
    bool loopback;
    if (!engine_url_parse(str_c(c->url), &u, &e)) {
        cluster_fault(k, false, "cluster.url", "%s", e.msg);
        return;
    }
    check_sentinels(k, &u);
    bool near = engine_url_private(&u, &loopback);
    if (u.user.n && !u.password.n && !c->password_file)
        cluster_fault(
            k, false, "cluster.url",
            "names a user without a password: write user:password@, or :password@ if it is "
            "the password, or give password_file");
    bool named = k->c->cluster_more.sentinels.n > 0; /* where the master is is not known here */
    if (u.password.n && c->password_file)
        cluster_fault(k, false, "cluster.password_file",
                      "is given beside a password in url: keep one");
    if (!u.tls && !near && !named)
        cluster_fault(k, true, "cluster.url",
                      "is neither loopback nor private: without TLS (rediss://) anybody on the way "
                      "reads and writes the shared state");
    if (!u.password.n && !c->password_file && !loopback)
        cluster_fault(k, true, "cluster.url",
                      "has no password: whoever reaches the engine can disable endpoints");
    if (!u.tls && (c->ca_file || c->certificate))
        cluster_fault(k, true, c->ca_file ? "cluster.ca_file" : "cluster.certificate",
                      "is not used: url is not rediss://");
}

bool conf_cluster_check(struct conf *c, conf_cluster_fn *fault, void *arg)
{
    struct cluster_check k = {.c = c, .fault = fault, .arg = arg};
    check_word(&k, "cluster.prefix", c->cluster.prefix, 32);
    check_word(&k, "cluster.name", c->cluster.name, 64);
    check_share(&k);
    if (!c->cluster.certificate != !c->cluster.private_key)
        cluster_fault(&k, false,
                      c->cluster.certificate ? "cluster.certificate" : "cluster.private_key",
                      "needs %s too", c->cluster.certificate ? "private_key" : "certificate");
    if (c->cluster.url) {
        check_secret(&k);
        check_engine(&k);
        if (c->cluster.timeout >= c->cluster.lease)
            cluster_fault(&k, false, "cluster.timeout",
                          "must be below lease: other hosts take what this one has before it knows "
                          "that the engine is lost");
    }
    return !k.failed;
}
