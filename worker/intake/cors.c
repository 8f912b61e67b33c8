#include "worker/intake/cors.h"

#include "worker/http/http1_field.h"

#include <arpa/inet.h>
#include <stdio.h>

#define REQUEST_METHOD STR("access-control-request-method")
#define REQUEST_HEADERS STR("access-control-request-headers")
#define REQUEST_PRIVATE STR("access-control-request-private-network")

/* Seconds that a browser may cache a preflight: Chromium's maximum. Requests are checked each time
 * anyway. */
#define MAX_AGE "7200"

/* ---- Host */

/* host[:port] without the port and without a final dot; an IPv6 address keeps its brackets. */
static struct str host_name(struct str s)
{
    if (s.n == 0)
        return s;
    const char *close = s.p[0] == '[' ? memrchr(s.p, ']', s.n) : s.p;
    const char *colon = close ? memchr(close, ':', s.n - (size_t)(close - s.p)) : NULL;
    if (colon)
        s.n = (size_t)(colon - s.p);
    if (s.n && s.p[s.n - 1] == '.')
        s.n--;
    return s;
}

static bool is_address(struct str name)
{
    char text[INET6_ADDRSTRLEN + 1];
    unsigned char addr[16];
    bool v6 = name.n > 2 && name.p[0] == '[' && name.p[name.n - 1] == ']';
    if (v6)
        name = str_make(name.p + 1, name.n - 2);
    if (name.n >= sizeof text)
        return false;
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    return inet_pton(v6 ? AF_INET6 : AF_INET, text, addr) == 1;
}

bool cors_host_is_own(struct str host)
{
    struct str name = host_name(host), suffix = STR(".localhost");
    if (name.n == 0)
        return false;
    if (str_eq_nocase(name, STR("localhost")))
        return true;
    /* RFC 6761 6.3: *.localhost resolves to loopback. */
    if (name.n > suffix.n && str_eq_nocase(str_make(name.p + name.n - suffix.n, suffix.n), suffix))
        return true;
    return is_address(name);
}

static bool is_listed(const struct conf_strs *l, struct str name)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->v[i], "*") == 0 || str_eq_nocase(str_c(l->v[i]), name))
            return true;
    return false;
}

/* Whether the Host is allowed. Those of `listen` are addresses, which cors_host_is_own accepts; a
 * request without a Host is not a browser's. */
static bool host_ok(const struct conf *c, struct str host)
{
    return host.n == 0 || cors_host_is_own(host) || is_listed(&c->hosts, host_name(host));
}

/* ---- Origin */

struct cors_from cors_from(const struct http_field *f, size_t nf)
{
    struct cors_from from = {0};
    for (size_t i = 0; i < nf; i++) {
        if (f[i].id == HDR_ORIGIN) {
            if (from.norigins++ == 0)
                from.origin = f[i].value;
        } else if (f[i].id == HDR_SEC_FETCH_SITE) {
            from.cross_site = from.cross_site || str_eq_nocase(f[i].value, STR("cross-site"));
        }
    }
    return from;
}

/* The listed origin that the request is from, or NULL; several Origin fields count as none. */
static const char *listed_origin(const struct conf *c, const struct cors_from *from)
{
    for (size_t i = 0; from->norigins == 1 && i < c->origins.n; i++)
        if (str_eq(str_c(c->origins.v[i]), from->origin))
            return c->origins.v[i];
    return NULL;
}

/* ---- preflights */

/* The next field of that name from f[*i] on, or NULL; moves *i behind it. */
static const struct http_field *next_named(const struct http_field *f, size_t nf, struct str name,
                                           size_t *i)
{
    while (*i < nf) {
        const struct http_field *at = &f[(*i)++];
        if (at->id == HDR_ACCESS_CONTROL && str_eq_nocase(at->name, name))
            return at;
    }
    return NULL;
}

static const struct http_field *named(const struct http_field *f, size_t nf, struct str name)
{
    size_t i = 0;
    return next_named(f, nf, name, &i);
}

static enum cors_verdict judge_preflight(const struct http_field *f, size_t nf)
{
    const struct http_field *method = named(f, nf, REQUEST_METHOD), *h;
    if (!method)
        return CORS_PASS; /* an OPTIONS request that is not a preflight */
    size_t size = method->value.n, i = 0;
    if (!http1_is_token(method->value))
        return CORS_BAD_PREFLIGHT;
    while ((h = next_named(f, nf, REQUEST_HEADERS, &i))) {
        struct str list = h->value, name;
        size += h->line_len;
        if (size > CORS_ECHO_MAX)
            return CORS_BAD_PREFLIGHT;
        while (str_next_elem(&list, &name))
            if (!http1_is_token(name))
                return CORS_BAD_PREFLIGHT;
    }
    return size > CORS_ECHO_MAX ? CORS_BAD_PREFLIGHT : CORS_PREFLIGHT;
}

enum cors_verdict cors_judge(const struct conf *c, bool open, struct str host, struct str method,
                             const struct http_field *f, size_t nf, const char **origin)
{
    *origin = NULL;
    if (!open && c->origins.n == 0)
        return CORS_PASS;
    struct cors_from from = cors_from(f, nf);
    *origin = listed_origin(c, &from);
    if (open && !host_ok(c, host))
        return CORS_BAD_HOST;
    if (open && from.norigins && !*origin)
        return CORS_BAD_ORIGIN;
    if (open && from.cross_site && !*origin)
        return CORS_CROSS_SITE;
    return *origin && str_eq(method, STR("OPTIONS")) ? judge_preflight(f, nf) : CORS_PASS;
}

/* ---- replies */

/* The front of s that may be shown in a message: visible ASCII, at most 100 bytes. */
static struct str readable(struct str s)
{
    size_t n = 0;
    while (n < s.n && n < 100 && s.p[n] > 0x20 && s.p[n] < 0x7f)
        n++;
    return str_make(n ? s.p : "", n);
}

void cors_explain(enum cors_verdict v, struct str host, struct cors_from from, char out[static 256])
{
    struct str name = readable(host_name(host)), origin = readable(from.origin);
    switch (v) {
    case CORS_BAD_HOST:
        snprintf(out, 256,
                 "Host " STR_FMT
                 " is not a name of this proxy: add it to `hosts`, or set `clients`",
                 STR_ARG(name));
        break;
    case CORS_BAD_ORIGIN:
        snprintf(out, 256,
                 "a page may not ask here: its Origin " STR_FMT " is not in `cors.origins`",
                 STR_ARG(origin));
        break;
    case CORS_CROSS_SITE:
        snprintf(out, 256,
                 "this was sent by a page of another site: only those in `cors.origins` may");
        break;
    case CORS_BAD_PREFLIGHT:
        snprintf(out, 256,
                 "access-control-request-method or -headers hold no names, or over %d bytes",
                 CORS_ECHO_MAX);
        break;
    case CORS_PASS:
    case CORS_PREFLIGHT:
        *out = '\0';
        break;
    }
}

bool cors_put(struct buf *b, const struct conf *c, const char *origin)
{
    if (c->origins.n == 0)
        return true;
    /* Also without an origin: a cache must not use that reply for a listed one. */
    bool ok = buf_str(b, STR("vary: origin\r\n"));
    if (ok && origin)
        ok = buf_str(b, STR("access-control-allow-origin: ")) && buf_str(b, str_c(origin)) &&
             buf_str(b, STR("\r\naccess-control-expose-headers: *\r\n"));
    return ok;
}

bool cors_put_preflight(struct buf *b, const struct http_field *f, size_t nf)
{
    const struct http_field *method = named(f, nf, REQUEST_METHOD), *h,
                            *net = named(f, nf, REQUEST_PRIVATE);
    bool ok = method && buf_str(b, STR("access-control-allow-methods: ")) &&
              buf_str(b, method->value) &&
              buf_str(b, STR("\r\naccess-control-max-age: " MAX_AGE "\r\n"));
    for (size_t i = 0; ok && (h = next_named(f, nf, REQUEST_HEADERS, &i));)
        ok = buf_str(b, STR("access-control-allow-headers: ")) && buf_str(b, h->value) &&
             buf_str(b, STR("\r\n"));
    if (ok && net && str_eq_nocase(net->value, STR("true")))
        ok = buf_str(b, STR("access-control-allow-private-network: true\r\n"));
    return ok;
}
