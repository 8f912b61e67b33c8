#include "worker/admin.h"

#include "common/base/log.h"
#include "common/base/secret.h"
#include "worker/conn.h"
#include "worker/mpjson.h"
#include "worker/reply.h"
#include "worker/req.h"

#include <arpa/inet.h>
#include <openssl/sha.h>

enum {
    ANSWER_MS = 5000, /* a supervisor that takes longer is stuck */
    JSON_MAX = 32 << 20
};

static const char page[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>QCC</title>"
    "<style>body{font:16px/1.5 system-ui,sans-serif;margin:3em auto;max-width:40em;padding:0 1em}"
    "code{background:#8882;padding:.1em .3em;border-radius:.2em}</style>"
    "<h1>QCC</h1><p>This proxy is running. It can be asked:</p><ul>"
    "<li><a href=\"/healthz\">/healthz</a>: whether a worker serves"
    "<li><a href=\"/readyz\">/readyz</a>: whether a request would find a usable endpoint"
    "<li><a href=\"/api/v1/status\">/api/v1/status</a>: version, workers, totals"
    "<li><a href=\"/api/v1/endpoints\">/api/v1/endpoints</a>: all endpoints and how they are"
    "<li><a href=\"/api/v1/breakers\">/api/v1/breakers</a>, <a href=\"/api/v1/queue\">/api/v1/queue</a>, "
    "<a href=\"/api/v1/sessions\">/api/v1/sessions</a>"
    "<li><a href=\"/api/v1/requests\">/api/v1/requests</a>: the last requests"
    "<li><code>POST /api/v1/endpoints/NAME/enable</code>, <code>disable</code>, <code>drain</code>, "
    "<code>verify</code>, <code>reset</code>"
    "<li><code>POST /api/v1/reload</code></ul></html>";

/* ---- who may ask */

static struct str field_value(const struct req *r, enum http_hdr id, struct str name)
{
    for (size_t i = 0; i < r->head.nf; i++)
        if (id != HDR_OTHER ? r->head.f[i].id == id : str_eq_nocase(r->head.f[i].name, name))
            return r->head.f[i].value;
    return (struct str){0};
}

/* "host", "host:port", "[v6]:port" → the host, without brackets. */
static struct str host_part(struct str s)
{
    if (s.n && s.p[0] == '[') {
        const char *end = memchr(s.p, ']', s.n);
        return end ? str_make(s.p + 1, (size_t)(end - s.p) - 1) : s;
    }
    for (size_t i = s.n; i > 0; i--)
        if (s.p[i - 1] == ':')
            return str_make(s.p, i - 1);
    return s;
}

/* A page of somebody else's can make a browser send requests here under a name of its own (DNS
 * rebinding), but not under an address or "localhost". */
static bool own_host(struct str value)
{
    struct str h = host_part(value);
    char text[64];
    unsigned char addr[16];
    if (h.n == 0 || h.n >= sizeof text)
        return false;
    memcpy(text, h.p, h.n);
    text[h.n] = '\0';
    return str_eq_nocase(h, STR("localhost")) || inet_pton(AF_INET, text, addr) == 1 ||
           inet_pton(AF_INET6, text, addr) == 1;
}

static bool own_origin(struct str origin, struct str host)
{
    ptrdiff_t at = str_find(origin, STR("://"));
    if (origin.n == 0)
        return true;
    return at > 0 && str_eq_nocase(str_make(origin.p + at + 3, origin.n - (size_t)at - 3), host);
}

static bool token_ok(const struct req *r)
{
    const char *want = r->conf->admin.token;
    struct str v = field_value(r, HDR_AUTHORIZATION, STR(""));
    if (!want)
        return true;
    if (!str_starts_nocase(v, STR("bearer ")))
        return false;
    struct str got = str_trim(str_make(v.p + 7, v.n - 7)), w = str_c(want);
    uint8_t a[SHA256_DIGEST_LENGTH], b[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)got.p, got.n, a);
    SHA256((const unsigned char *)w.p, w.n, b);
    return secret_eq(a, b, sizeof a);
}

static bool refuse(struct req *r, unsigned status, const char *why)
{
    r->keep = false; /* a body may follow that nobody reads */
    req_answer_error(r, status, why, 0);
    return false;
}

bool admin_allowed(struct req *r)
{
    struct str host = field_value(r, HDR_HOST, STR(""));
    bool named = r->conf->admin.token != NULL; /* who knows the token may call it by any name */
    if (!r->c->l->unix_socket && !named && !own_host(host))
        return refuse(r, 403, "Host is neither an address nor localhost");
    if (!own_origin(field_value(r, HDR_OTHER, STR("origin")), host) ||
        str_eq_nocase(field_value(r, HDR_OTHER, STR("sec-fetch-site")), STR("cross-site")))
        return refuse(r, 403, "cross-site request");
    if (!str_eq(r->full_path, STR("/healthz")) && !token_ok(r))
        return refuse(r, 401, "admin.token is missing or wrong");
    return true;
}

/* ---- the supervisor's part */

static void ask(struct req *r, struct str what, struct str arg)
{
    req_set(r, REQ_PICK);
    req_set(r, REQ_WAIT);
    r->ask_id = ++r->w->last_ask;
    list_push_back(&r->w->asking, &r->wait_node);
    tmo_set(&r->tmo, ANSWER_MS);
    wkr_ipc_ask(r->w, r->ask_id, what, arg);
}

void admin_answer(struct wkr *w, const struct ipc_answer *a)
{
    LIST_EACH(n, tmp, &w->asking)
    {
        struct req *r = LIST_ENTRY(n, struct req, wait_node);
        if (r->ask_id != a->id)
            continue;
        struct buf json;
        buf_init(&json, JSON_MAX);
        req_set(r, REQ_PICK);
        if (mpjson_write(a->body, &json))
            req_answer(r, a->status, "application/json", buf_view(&json), "cache-control: no-store\r\n");
        else
            req_answer_error(r, 500, "the supervisor's answer could not be read", 0);
        buf_free(&json);
        return;
    }
}

void admin_late(struct req *r)
{
    req_answer_error(r, 504, "the supervisor did not answer", 0);
}

/* ---- what can be asked */

static void answer_text(struct req *r, unsigned status, struct str text)
{
    req_answer(r, status, "text/plain; charset=utf-8", text, "cache-control: no-store\r\n");
}

static bool cut_prefix(struct str *s, struct str prefix)
{
    if (!str_starts(*s, prefix))
        return false;
    s->p += prefix.n;
    s->n -= prefix.n;
    return true;
}

static bool get(struct req *r, struct str path, struct str query)
{
    static const struct str asked[] = {{"status", 6},   {"endpoints", 9}, {"breakers", 8},
                                       {"queue", 5},    {"sessions", 8},  {"requests", 8}};
    if (str_eq(path, STR("/"))) {
        req_answer(r, 200, "text/html; charset=utf-8", str_make(page, sizeof page - 1),
                   "cache-control: no-store\r\nx-frame-options: DENY\r\n"
                   "content-security-policy: default-src 'none'; style-src 'unsafe-inline'\r\n");
    } else if (str_eq(path, STR("/healthz"))) {
        answer_text(r, 200, STR("ok\n"));
    } else if (str_eq(path, STR("/readyz"))) {
        bool ready = attempt_possible(r);
        answer_text(r, ready ? 200 : 503, ready ? STR("ready\n") : STR("no endpoint is usable\n"));
    } else if (cut_prefix(&path, STR("/api/v1/"))) {
        for (size_t i = 0; i < COUNT_OF(asked); i++)
            if (str_eq(path, asked[i])) {
                ask(r, path, query);
                return true;
            }
        return false;
    } else {
        return false;
    }
    return true;
}

static bool post(struct req *r, struct str path)
{
    static const struct str actions[] = {{"enable", 6}, {"disable", 7}, {"drain", 5}, {"verify", 6}, {"reset", 5}};
    if (str_eq(path, STR("/api/v1/reload"))) {
        ask(r, STR("reload"), STR(""));
        return true;
    }
    if (!cut_prefix(&path, STR("/api/v1/endpoints/")))
        return false;
    const char *slash = memchr(path.p, '/', path.n);
    if (!slash)
        return false;
    struct str name = str_make(path.p, (size_t)(slash - path.p));
    struct str action = str_make(slash + 1, path.n - name.n - 1);
    for (size_t i = 0; i < COUNT_OF(actions); i++)
        if (str_eq(action, actions[i]) && name.n <= 64) {
            ask(r, action, name);
            return true;
        }
    return false;
}

void admin_go(struct req *r)
{
    struct str query = str_make(r->full_path.p + r->full_path.n, 0);
    if (r->head.target.n > r->full_path.n)
        query = str_make(r->head.target.p + r->full_path.n + 1, r->head.target.n - r->full_path.n - 1);
    query.n = min_size(query.n, 128);
    bool is_get = r->method == METHOD_GET || r->method == METHOD_HEAD;
    bool known = is_get                      ? get(r, r->full_path, query)
                 : r->method == METHOD_POST ? post(r, r->full_path)
                                            : false;
    if (!known)
        req_answer_error(r, 404, "no such address: GET / lists them", 0);
}
