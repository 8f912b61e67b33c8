#include "common/conf/conf_check.h"

#include "common/conf/conf_place.h"
#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/secret/secret.h"
#include "common/conf/conf_cluster.h"
#include "common/conf/conf_value.h"
#include "common/conf/conf_word.h"
#include "common/conf/url/url.h"

#include <openssl/sha.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct check {
    struct conf *c;
    conf_check_fn *fault;
    void *arg;
    bool failed;
};

static void report(struct check *k, bool warning, const char *path, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
static void report(struct check *k, bool warning, const char *path, const char *fmt, ...)
{
    char msg[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    k->failed = k->failed || !warning;
    k->fault(k->arg, warning, path, msg);
}

/* ---- names that must differ: sorted, so that 10,000 clients cost nothing */

struct entry {
    const void *key;
    size_t size, index;
};

static int entry_cmp(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int d = memcmp(x->key, y->key, min_size(x->size, y->size));
    if (d == 0)
        d = (x->size > y->size) - (x->size < y->size);
    return d ? d : (x->index > y->index) - (x->index < y->index);
}

/* Calls `twice` for each entry that equals an earlier one. NULL keys are passed over. */
static void unique(struct check *k, struct entry *v, size_t n,
                   void (*twice)(struct check *, size_t first, size_t again))
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (v[i].key)
            v[kept++] = v[i];
    if (kept)
        qsort(v, kept, sizeof *v, entry_cmp);
    for (size_t i = 1, first = 0; i < kept; i++) {
        if (v[i].size == v[first].size && memcmp(v[i].key, v[first].key, v[i].size) == 0)
            twice(k, v[first].index, v[i].index);
        else
            first = i;
    }
    mem_free(v);
}

/* ---- listeners, clients, admin */

static void listen_twice(struct check *k, size_t first, size_t again)
{
    report(k, false, conf_place("listen", again, "address").text, "is listed twice (listen[%zu])",
           first);
}

static bool listen_address(struct check *k, char **address, const char *path, bool *local)
{
    struct err e;
    char *numeric;
    if (!url_listen(str_c(*address), &numeric, local, &e)) {
        report(k, false, path, "%s", e.msg);
        return false;
    }
    mem_free(*address);
    *address = numeric;
    return true;
}

static void check_listen(struct check *k)
{
    struct conf *c = k->c;
    if (c->nlisten == 0)
        report(k, false, "listen", "needs at least one address");
    struct entry *names = mem_zalloc(c->nlisten + 1, sizeof *names);
    for (size_t i = 0; i < c->nlisten; i++) {
        struct conf_listen *l = &c->listen[i];
        struct conf_place at = conf_place("listen", i, "address");
        bool local = true;
        if (!l->address)
            report(k, false, at.text, "is required");
        else if (listen_address(k, &l->address, at.text, &local))
            names[i] = (struct entry){l->address, strlen(l->address), i};
        if (!local && c->nclients == 0)
            report(k, false, at.text,
                   "is open to others: set `clients`, or listen on loopback or a unix socket");
        if (!l->certificate != !l->private_key)
            report(k, false,
                   conf_place("listen", i, l->certificate ? "tls.private_key" : "tls.certificate")
                       .text,
                   "is needed too");
    }
    unique(k, names, c->nlisten, listen_twice);
}

static void check_admin(struct check *k)
{
    struct conf *c = k->c;
    bool local = true;
    if (c->admin.token && !conf_is_visible(str_c(c->admin.token)))
        report(k, false, "admin.token", "may hold visible ASCII characters only");
    if (!c->admin.listen || !listen_address(k, &c->admin.listen, "admin.listen", &local))
        return;
    if (!local && !c->admin.token)
        report(k, false, "admin.token", "is required: admin.listen is open to others");
    for (size_t i = 0; i < c->nlisten; i++)
        if (c->listen[i].address && strcmp(c->listen[i].address, c->admin.listen) == 0)
            report(k, false, "admin.listen", "is the same address as listen[%zu]", i);
}

static void client_name_twice(struct check *k, size_t first, size_t again)
{
    report(k, false, conf_place("clients", again, "name").text, "is the name of clients[%zu] too",
           first);
}

static void client_token_twice(struct check *k, size_t first, size_t again)
{
    report(k, false, conf_place("clients", again, NULL).text,
           "has the token of clients[%zu]: they could not be told apart", first);
}

static bool check_name(struct check *k, const char *name, struct conf_place at)
{
    if (!name)
        report(k, false, at.text, "is required");
    else if (!conf_is_name(str_c(name)))
        report(k, false, at.text, "must be 1 to 64 of A-Z a-z 0-9 . _ -");
    return name && conf_is_name(str_c(name));
}

static void check_clients(struct check *k)
{
    static const uint8_t none[32];
    struct conf *c = k->c;
    struct entry *names = mem_zalloc(c->nclients + 1, sizeof *names);
    struct entry *tokens = mem_zalloc(c->nclients + 1, sizeof *tokens);
    for (size_t i = 0; i < c->nclients; i++) {
        struct conf_client *cl = &c->clients[i];
        if (check_name(k, cl->name, conf_place("clients", i, "name")))
            names[i] = (struct entry){cl->name, strlen(cl->name), i};
        if (memcmp(cl->token_sha256, none, sizeof none) == 0)
            report(k, false, conf_place("clients", i, "token").text,
                   "is required, or token_sha256");
        else
            tokens[i] = (struct entry){cl->token_sha256, sizeof cl->token_sha256, i};
    }
    unique(k, names, c->nclients, client_name_twice);
    unique(k, tokens, c->nclients, client_token_twice);
}

/* ---- pages in a browser */

static void host_twice(struct check *k, size_t first, size_t again)
{
    report(k, false, conf_place("hosts", again, NULL).text, "is listed twice (hosts[%zu])", first);
}

static void origin_twice(struct check *k, size_t first, size_t again)
{
    report(k, false, conf_place("cors.origins", again, NULL).text,
           "is listed twice (cors.origins[%zu])", first);
}

static void check_hosts(struct check *k)
{
    struct conf *c = k->c;
    struct err e;
    struct entry *names = mem_zalloc(c->hosts.n + 1, sizeof *names);
    for (size_t i = 0; i < c->hosts.n; i++) {
        char *name = c->hosts.v[i];
        struct conf_place at = conf_place("hosts", i, NULL);
        bool any = strcmp(name, "*") == 0;
        if (any && c->nclients == 0)
            report(k, true, at.text,
                   "lets a page in whose name was bound anew to this machine (DNS rebinding)");
        if (!any && !url_host_name(str_c(name), &e)) {
            report(k, false, at.text, "%s", e.msg);
            continue;
        }
        size_t n = strlen(name);
        if (name[n - 1] == '.')
            name[--n] = '\0';
        for (char *p = name; *p; p++)
            *p = ascii_lower(*p);
        names[i] = (struct entry){name, n, i};
    }
    unique(k, names, c->hosts.n, host_twice);
}

static void check_origins(struct check *k)
{
    struct conf *c = k->c;
    struct err e;
    struct entry *origins = mem_zalloc(c->origins.n + 1, sizeof *origins);
    for (size_t i = 0; i < c->origins.n; i++) {
        char *origin = c->origins.v[i];
        struct conf_place at = conf_place("cors.origins", i, NULL);
        if (!url_origin(str_c(origin), &e))
            report(k, false, at.text, "%s", e.msg);
        else
            origins[i] = (struct entry){origin, strlen(origin), i};
        if (strcmp(origin, "null") == 0 && c->nclients == 0)
            report(k, true, at.text,
                   "lets in every page that hides its origin, such as any site's in a sandboxed "
                   "frame");
    }
    unique(k, origins, c->origins.n, origin_twice);
}

/* ---- endpoints */

/* Header names that QCC itself sets, for each hop (RFC 9110 7.6.1) or for the connection. */
static const char *const own_headers[] = {"connection",
                                          "keep-alive",
                                          "proxy-authenticate",
                                          "proxy-authorization",
                                          "proxy-connection",
                                          "te",
                                          "trailer",
                                          "transfer-encoding",
                                          "upgrade",
                                          "host",
                                          "content-length",
                                          "expect",
                                          "accept-encoding"};

static bool is_anthropic(const char *host)
{
    return host && (str_eq_nocase(str_c(host), STR("api.anthropic.com")) ||
                    (strlen(host) > 14 && str_ends(str_c(host), STR(".anthropic.com"))));
}

/* Whether the endpoint's key itself goes out in that header. */
static bool sends_key_in(const struct conf_endpoint *ep, struct str name)
{
    if (!ep->api_key)
        return false;
    bool openai = ep->protocol == PROTOCOL_OPENAI;
    if (str_eq_nocase(name, STR("x-api-key")))
        return ep->auth != AUTH_BEARER && !(openai && ep->auth == AUTH_AUTO);
    return str_eq_nocase(name, STR("authorization")) &&
           (ep->auth == AUTH_BOTH || ep->auth == AUTH_BEARER ||
            (ep->auth == AUTH_AUTO && (openai || !is_anthropic(ep->host))));
}

static void check_headers(struct check *k, const struct conf_endpoint *ep, size_t i)
{
    for (size_t h = 0; h < ep->headers.n; h++) {
        struct str name = str_c(ep->headers.v[h].from), value = str_c(ep->headers.v[h].to);
        struct conf_place at;
        snprintf(at.text, sizeof at.text, "endpoints[%zu].headers[%zu]", i, h);
        if (!conf_is_token(name) || name.n > 256) {
            report(k, false, at.text, "is no valid header name");
            continue;
        }
        bool own = false;
        for (size_t j = 0; j < COUNT_OF(own_headers); j++)
            own = own || str_eq_nocase(name, str_c(own_headers[j]));
        if (own)
            report(k, false, at.text, "%.64s is set by QCC itself and may not be given", name.p);
        if (sends_key_in(ep, name))
            report(k, false, at.text, "%.64s is set from api_key already", name.p);
        if (str_trim(value).n != value.n)
            report(k, false, at.text, "the value of %.64s has blanks at an end", name.p);
        for (size_t j = 0; j < h; j++)
            if (str_eq_nocase(name, str_c(ep->headers.v[j].from)))
                report(k, false, at.text, "%.64s is given twice", name.p);
    }
}

/* Reports patterns that could match no plain path (policy/side_path.h): such a mistake would go
 * unnoticed. */
static void check_patterns(struct check *k, const struct conf_strs *l, size_t i, const char *key)
{
    for (size_t p = 0; p < l->n; p++) {
        struct str s = str_c(l->v[p]);
        struct conf_place at;
        snprintf(at.text, sizeof at.text, "endpoints[%zu].paths.%s[%zu]", i, key, p);
        bool odd = !conf_is_visible(s) || str_find(s, STR("//")) >= 0;
        for (size_t c = 0; c < s.n && !odd; c++)
            odd = memchr("%\\;?#", s.p[c], 5) != NULL;
        if (s.n == 0 || (s.p[0] != '/' && s.p[0] != '*'))
            report(k, false, at.text, "must begin with / or *");
        else if (odd)
            report(k, false, at.text,
                   "can match no path: they are compared decoded, without query");
    }
}

/* Schemes of URLs: the first two of endpoints, all but the first of proxies. */
static const char *const schemes[] = {"https", "http", "socks5", "socks5h"};

/* Checks base_url and derives host, port, tls, base_path and host_header from it. */
static void check_base_url(struct check *k, struct conf_endpoint *ep, const char *at)
{
    struct err e;
    struct url u;
    char near[64];
    if (!ep->base_url) {
        report(k, false, at, "is required");
        return;
    }
    if (!url_parse(str_c(ep->base_url), &u, &e)) {
        report(k, false, at, "%s", e.msg);
        return;
    }
    ep->tls = str_eq_nocase(u.scheme, STR("https"));
    if (!ep->tls && !str_eq_nocase(u.scheme, STR("http")))
        report(k, false, at, "must begin with http:// or https://%s",
               conf_did_you_mean(u.scheme, schemes, 2, "://", near));
    if (u.has_user)
        report(k, false, at, "may hold no user or password; use api_key or headers");
    bool openai = ep->protocol == PROTOCOL_OPENAI;
    if (u.rest.n && !openai)
        report(k, false, at, "may hold no '?' or '#'");
    else if (u.rest.n && memchr(u.rest.p, '#', u.rest.n))
        report(k, false, at, "may hold no '#'");
    while (u.path.n && u.path.p[u.path.n - 1] == '/')
        u.path.n--;
    if (str_find(u.path, STR("/../")) >= 0 || str_ends(u.path, STR("/..")))
        report(k, false, at, "may hold no \"..\" in its path");
    if (str_ends(u.path, STR("/v1")) && !openai)
        report(k, true, at, "ends in /v1: requests go to …/v1/v1/messages, which is rarely meant");
    if (str_ends(u.path, STR("/chat/completions")) && openai)
        report(k, true, at, "ends in /chat/completions, which is appended to it");

    mem_free(ep->host);
    mem_free(ep->base_path);
    mem_free(ep->host_header);
    ep->host = mem_strndup(u.host.p, u.host.n);
    for (char *p = ep->host; *p; p++)
        *p = ascii_lower(*p);
    ep->port = u.port ? u.port : ep->tls ? 443 : 80;
    ep->base_path = mem_strndup(u.path.p, u.path.n);
    /* RFC 9110 7.2: the port only where it is not the scheme's own. */
    char port[8] = "", *header = mem_zalloc(u.host.n + 12, 1);
    if (ep->port != (ep->tls ? 443 : 80))
        snprintf(port, sizeof port, ":%u", ep->port);
    snprintf(header, u.host.n + 12, u.v6 ? "[%s]%s" : "%s%s", ep->host, port);
    ep->host_header = header;
}

/* A key with blanks at its ends, as a copied one may have, would be refused by every endpoint. */
static void check_key(struct check *k, struct conf_endpoint *ep, size_t i)
{
    if (!ep->api_key)
        return;
    struct conf_place at = conf_place("endpoints", i, "api_key");
    struct str key = str_trim(str_c(ep->api_key));
    if (key.n && key.n < strlen(ep->api_key)) {
        report(k, true, at.text, "has blanks at its ends, which are left out");
        memmove(ep->api_key, key.p, key.n);
        ep->api_key[key.n] = '\0';
    }
    if (!conf_is_visible(str_c(ep->api_key)))
        report(k, false, at.text, "may hold visible ASCII characters only");
}

static void derive_id(struct conf_endpoint *ep)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    struct buf text;
    buf_init(&text, 2 * CONF_TEXT_MAX + 1);
    if (!buf_str(&text, str_c(ep->base_url)) || !buf_str(&text, STR("|")) ||
        !buf_str(&text, str_c(ep->api_key)))
        die("an endpoint's URL or key is over its bound");
    SHA256((const unsigned char *)buf_data(&text), text.len, digest);
    for (size_t i = 0; i < 4; i++)
        snprintf(ep->id + 2 * i, 3, "%02x", digest[i]);
    secret_wipe(buf_data(&text), text.len);
    buf_free(&text);
}

static bool check_proxy(struct check *k, const char *proxy, const char *at)
{
    struct err e;
    struct url u;
    char near[64];
    if (!url_parse(str_c(proxy), &u, &e)) {
        report(k, false, at, "%s", e.msg);
        return false;
    }
    if (!str_eq_nocase(u.scheme, STR("http")) && !str_eq_nocase(u.scheme, STR("socks5")) &&
        !str_eq_nocase(u.scheme, STR("socks5h")))
        report(k, false, at, "must begin with http://, socks5:// or socks5h://%s",
               conf_did_you_mean(u.scheme, schemes + 1, COUNT_OF(schemes) - 1, "://", near));
    if (u.rest.n || (u.path.n && !str_eq(u.path, STR("/"))))
        report(k, false, at, "may hold nothing behind its port");
    return true;
}

static void effective_proxy(struct check *k, struct conf_endpoint *ep, size_t i)
{
    if (ep->proxy && conf_is_off(str_c(ep->proxy))) {
        mem_free(ep->proxy);
        ep->proxy = NULL;
    } else if (ep->proxy) {
        (void)!check_proxy(k, ep->proxy, conf_place("endpoints", i, "proxy").text);
    } else {
        ep->proxy = mem_strdup(k->c->upstream.proxy);
    }
}

static void endpoint_name_twice(struct check *k, size_t first, size_t again)
{
    report(k, false, conf_place("endpoints", again, "name").text,
           "is the name of endpoints[%zu] too", first);
}

static void endpoint_id_twice(struct check *k, size_t first, size_t again)
{
    report(k, false, conf_place("endpoints", again, "base_url").text,
           "is with its key the same endpoint as endpoints[%zu] (%s)", first,
           k->c->endpoints[first].name ? k->c->endpoints[first].name : "unnamed");
}

static void check_order(struct check *k, const char *path, int64_t least, int64_t v,
                        const char *other)
{
    char text[32];
    if (v >= least)
        return;
    conf_ms_text(least, text);
    report(k, false, path, "must be at least %s (%s)", other, text);
}

static void check_endpoints(struct check *k)
{
    struct conf *c = k->c;
    bool any_enabled = false;
    if (c->upstream.proxy)
        (void)!check_proxy(k, c->upstream.proxy, "upstream.proxy");
    struct entry *names = mem_zalloc(c->nendpoints + 1, sizeof *names);
    struct entry *ids = mem_zalloc(c->nendpoints + 1, sizeof *ids);
    for (size_t i = 0; i < c->nendpoints; i++) {
        struct conf_endpoint *ep = &c->endpoints[i];
        if (check_name(k, ep->name, conf_place("endpoints", i, "name")))
            names[i] = (struct entry){ep->name, strlen(ep->name), i};
        check_base_url(k, ep, conf_place("endpoints", i, "base_url").text);
        check_key(k, ep, i);
        if (ep->max_tokens && ep->protocol != PROTOCOL_OPENAI)
            report(k, true, conf_place("endpoints", i, "max_tokens").text,
                   "is for protocol: openai, and has no effect here");
        if (ep->base_url) {
            derive_id(ep);
            if (!ep->key_unread) /* else it may differ by its key */
                ids[i] = (struct entry){ep->id, 8, i};
        }
        check_headers(k, ep, i);
        check_patterns(k, &ep->paths_allow, i, "allow");
        check_patterns(k, &ep->paths_deny, i, "deny");
        int64_t open = ep->breaker.open_duration, most = ep->breaker.max_open_duration;
        if (open || most)
            check_order(k, conf_place("endpoints", i, "breaker.max_open_duration").text,
                        open ? open : c->breaker.open_duration,
                        most ? most : c->breaker.max_open_duration, "breaker.open_duration");
        effective_proxy(k, ep, i);
        any_enabled = any_enabled || ep->enabled;
    }
    /* The endpoints have it now; an endpoint with `proxy: off` must not fall back to it. */
    mem_free(c->upstream.proxy);
    c->upstream.proxy = NULL;
    unique(k, names, c->nendpoints, endpoint_name_twice);
    unique(k, ids, c->nendpoints, endpoint_id_twice);
    if (c->nendpoints == 0)
        report(k, false, "endpoints", "needs at least one endpoint");
    else if (!any_enabled)
        report(k, true, "endpoints", "none is enabled: every request will get 503");
}

/* ---- affinity, and bounds that depend on each other */

bool conf_affinity_parse(struct str text, enum conf_key_kind *kind, struct str *name, struct err *e)
{
    if (str_starts(text, STR("header:"))) {
        *kind = CONF_KEY_HEADER;
        *name = str_make(text.p + 7, text.n - 7);
        if (!conf_is_token(*name) || name->n > 256)
            return err_set(e, "has no valid header name behind \"header:\"");
        return true;
    }
    if (!str_starts(text, STR("body:"))) {
        static const char *const kinds[] = {"header", "body"};
        char near[64];
        ptrdiff_t colon = str_find(text, STR(":"));
        struct str given = str_make(text.p, colon > 0 ? (size_t)colon : 0);
        return err_set(e, "must be header:NAME, body:MEMBER or body:MEMBER.MEMBER%s",
                       conf_did_you_mean(given, kinds, COUNT_OF(kinds), ":", near));
    }
    *kind = CONF_KEY_BODY;
    *name = str_make(text.p + 5, text.n - 5);
    size_t dots = 0, part = 0;
    for (size_t i = 0; i < name->n; i++) {
        char c = name->p[i];
        if (c == '.') {
            if (part == 0 || ++dots > 1)
                return err_set(e, "may name a member, or a member of a member (one dot)");
            part = 0;
        } else if (conf_is_name(str_make(&c, 1))) {
            part++;
        } else {
            return err_set(e, "may name members of letters, digits, '_' and '-' only");
        }
    }
    if (part == 0 || name->n > 128)
        return err_set(e, "has no valid member behind \"body:\"");
    return true;
}

static void check_affinity(struct check *k)
{
    struct conf *c = k->c;
    for (size_t i = 0; i < c->nkeys; i++) {
        if (c->keys[i].kind == CONF_KEY_HEADER)
            for (char *p = c->keys[i].name; *p; p++)
                *p = ascii_lower(*p);
        for (size_t j = 0; j < i; j++)
            if (c->keys[j].kind == c->keys[i].kind && strcmp(c->keys[j].name, c->keys[i].name) == 0)
                report(k, false, conf_place("affinity.keys", i, NULL).text, "is listed twice");
    }
}

static void check_bounds(struct check *k)
{
    const struct conf *c = k->c;
    char text[32];
    check_order(k, "breaker.max_open_duration", c->breaker.open_duration,
                c->breaker.max_open_duration, "breaker.open_duration");
    check_order(k, "rate_limit.max_cooldown", c->rate_limit.default_cooldown,
                c->rate_limit.max_cooldown, "rate_limit.default_cooldown");
    if (c->history.enabled == HISTORY_ON && !c->state_dir)
        report(k, false, "history.enabled", "needs a state_dir, where the history is kept");
    if (c->limits.max_buffered_bytes < c->limits.max_body_bytes) {
        conf_bytes_text(c->limits.max_body_bytes, text);
        report(k, false, "limits.max_buffered_bytes", "must be at least limits.max_body_bytes (%s)",
               text);
    }
}

bool conf_check(struct conf *c, conf_check_fn *fault, void *arg)
{
    struct check k = {.c = c, .fault = fault, .arg = arg};
    check_listen(&k);
    check_admin(&k);
    check_clients(&k);
    check_hosts(&k);
    check_origins(&k);
    check_bounds(&k);
    check_affinity(&k);
    check_endpoints(&k);
    k.failed |= !conf_cluster_check(c, fault, arg);
    return !k.failed;
}
