#include "worker/admin/admin.h"

#include "common/secret/secret.h"
#include "worker/intake/cors.h"
#include "worker/admin/assets.h"
#include "worker/admin/log_lines.h"
#include "worker/admin/prometheus.h"
#include "worker/admin/json_write.h"
#include "worker/json/json_find.h"
#include "worker/request/conductor.h"
#include "worker/request/pick.h"
#include "worker/request/state/req.h"

#include <openssl/sha.h>
#include <stdio.h>

enum {
    ANSWER_MS = 5000, /* how long an ASK may take */
    /* how long ASK reload may take: all workers put a configuration into force */
    RELOAD_MS = 30000,
    TEXT_MAX = 32 << 20,
    LONGEST_NAME = 64 /* bytes of an endpoint's name */
};

/* ---- access control */

static struct str field_value(const struct req *r, enum http_hdr id, struct str name)
{
    for (size_t i = 0; i < r->in.head.nf; i++)
        if (id != HDR_OTHER ? r->in.head.f[i].id == id : str_eq_nocase(r->in.head.f[i].name, name))
            return r->in.head.f[i].value;
    return (struct str){0};
}

static struct str named_value(const struct req *r, struct str name)
{
    return field_value(r, HDR_OTHER, name);
}

static bool own_origin(struct cors_from from, struct str host)
{
    struct str origin = from.origin;
    ptrdiff_t at = str_find(origin, STR("://"));
    if (from.norigins == 0)
        return true;
    return from.norigins == 1 && at > 0 &&
           str_eq_nocase(str_make(origin.p + at + 3, origin.n - (size_t)at - 3), host);
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

static void answer_error(struct req *r, unsigned status, const char *why, const char *extra)
{
    struct buf b;
    buf_init(&b, 4096);
    if (!buf_str(&b, STR("{\"error\":\"")) || !json_escape(str_c(why), &b) ||
        !buf_str(&b, STR("\"}")))
        buf_free(&b);
    conductor_answer(r, status, "application/json", buf_view(&b), extra);
    buf_free(&b);
}

static bool refuse(struct req *r, unsigned status, const char *why, const char *extra)
{
    r->in.keep = false; /* a body that follows is not read */
    answer_error(r, status, why, extra);
    return false;
}

/* Whether a page of another origin made a browser send the request. Browsers send Origin with each
 * POST ("null" from a page without an origin), newer ones Sec-Fetch-Site as well. Another port of
 * this machine is the same site, but another origin. A link to the page at / may be followed. */
static bool foreign(const struct req *r, struct str host)
{
    struct str site = named_value(r, STR("sec-fetch-site"));
    bool reads = r->in.method == METHOD_GET || r->in.method == METHOD_HEAD;
    if (!own_origin(cors_from(r->in.head.f, r->in.head.nf), host))
        return true;
    if (site.n == 0 || str_eq_nocase(site, STR("same-origin")) || str_eq_nocase(site, STR("none")))
        return false;
    if (!reads)
        return true;
    bool link = str_eq(r->in.full_path, STR("/")) &&
                str_eq_nocase(named_value(r, STR("sec-fetch-mode")), STR("navigate")) &&
                str_eq_nocase(named_value(r, STR("sec-fetch-dest")), STR("document"));
    return str_eq_nocase(site, STR("cross-site")) && !link;
}

/* Whether a path is one of the dashboard's, which anybody may load: it holds no data. */
static bool is_page(struct str path)
{
    return str_eq(path, STR("/")) || str_starts(path, STR("/ui/"));
}

static struct str lines(const struct req *r, struct buf *room)
{
    (void)room;
    /* Forbids MIME sniffing, framing and use by other origins; all but the page's files may not be
     * kept. The page runs its own scripts only, makes no markup of text and asks no other origin.
     */
#define COMMON                                                                                     \
    "x-content-type-options: nosniff\r\nx-frame-options: DENY\r\nreferrer-policy: no-referrer\r\n" \
    "cross-origin-resource-policy: same-origin\r\ncross-origin-opener-policy: same-origin\r\n"     \
    "permissions-policy: camera=(), microphone=(), geolocation=()\r\n"                             \
    "content-security-policy: default-src 'none'; "
#define NOWHERE_ELSE "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    static const char page[] = "cache-control: no-cache\r\nvary: accept-encoding\r\n" COMMON
                               "script-src 'self'; style-src 'self'; img-src 'self' data:; "
                               "connect-src 'self'; " NOWHERE_ELSE
                               "; require-trusted-types-for 'script'; trusted-types 'none'\r\n";
    static const char other[] = "cache-control: no-store\r\n" COMMON NOWHERE_ELSE "\r\n";
#undef COMMON
#undef NOWHERE_ELSE
    bool file = (r->reply.status == 200 || r->reply.status == 304) && is_page(r->in.full_path);
    return file ? str_make(page, sizeof page - 1) : str_make(other, sizeof other - 1);
}

static bool allowed(struct req *r)
{
    struct str host = r->in.head.host;
    /* with a token, Host need not be checked: no page knows it */
    bool named = r->conf->admin.token != NULL;
    /* DNS rebinding sends requests of a page here under a name of the page's owner, never an
     * address. */
    if (!r->c->unix_socket && !named && !cors_host_is_own(host))
        return refuse(r, 403, "Host is neither an address nor localhost", "");
    if (foreign(r, host))
        return refuse(r, 403, "this was sent by a page of another site", "");
    if (!str_eq(r->in.full_path, STR("/healthz")) && !is_page(r->in.full_path) && !token_ok(r))
        return refuse(r, 401, "admin.token is missing or wrong",
                      "www-authenticate: Bearer realm=\"qcc\"\r\n");
    return true;
}

/* ---- ASK and ANSWER */

static void ask(struct req *r, struct str what, struct str arg)
{
    struct admin *a = r->c->service->arg;
    req_set(r, REQ_PICK);
    req_set(r, REQ_WAIT);
    r->ask_id = ++a->last_ask;
    list_push_back(&a->asking, &r->wait_node);
    deadline_set(&r->deadline, str_eq(what, STR("reload")) ? RELOAD_MS : ANSWER_MS);
    /* STATS goes before it, so that the answer counts all requests that ended before. */
    char address[IPC_ADDRESS_MAX + 1];
    counters_send(r->env->counters);
    r->c->ops->address(r->c, address, sizeof address);
    uplink_ask(r->env->uplink, r->ask_id, what, arg, str_c(address));
}

void admin_answer(struct admin *a, const struct ipc_answer *m)
{
    LIST_EACH(n, tmp, &a->asking)
    {
        struct req *r = LIST_ENTRY(n, struct req, wait_node);
        if (r->ask_id != m->id)
            continue;
        bool metrics = str_eq(r->in.full_path, STR("/metrics")) && m->status == 200;
        struct buf text;
        buf_init(&text, TEXT_MAX);
        req_set(r, REQ_PICK);
        if (metrics ? prometheus_write(m->body, &text) : json_write(m->body, &text))
            conductor_answer(r, m->status,
                             metrics ? "text/plain; version=0.0.4; charset=utf-8"
                                     : "application/json",
                             buf_view(&text), m->status == 503 ? "retry-after: 1\r\n" : "");
        else
            answer_error(r, 500, "the supervisor's answer could not be read", "");
        buf_free(&text);
        return;
    }
}

static void late(struct req *r)
{
    answer_error(r, 504, "the supervisor did not answer in time", "");
}

/* ---- addresses */

static void answer_text(struct req *r, unsigned status, struct str text)
{
    conductor_answer(r, status, "text/plain; charset=utf-8", text, "");
}

static bool cut_prefix(struct str *s, struct str prefix)
{
    if (!str_starts(*s, prefix))
        return false;
    s->p += prefix.n;
    s->n -= prefix.n;
    return true;
}

static void answer_file(struct req *r)
{
    const struct asset *a = asset_find(r->in.full_path);
    if (!a) {
        answer_error(r, 404, "the dashboard has no such file: it is at /", "");
        return;
    }
    const struct asset_form *form = asset_choose(a, r->in.head.f, r->in.head.nf);
    char extra[96];
    snprintf(extra, sizeof extra, "etag: " STR_FMT "\r\n%s", STR_ARG(form->etag),
             form->gzip ? "content-encoding: gzip\r\n" : "");
    if (asset_held(form, r->in.head.f, r->in.head.nf))
        conductor_answer(r, 304, NULL, STR(""), extra);
    else
        conductor_answer(r, 200, a->type, form->body, extra);
}

static void answer_logs(struct req *r, struct str query)
{
    struct buf text;
    struct err why;
    buf_init(&text, TEXT_MAX);
    unsigned status = log_lines_write(query, &text, &why);
    if (status == 200)
        conductor_answer(r, 200, "application/json", buf_view(&text), "");
    else
        answer_error(r, status, why.msg, "");
    buf_free(&text);
}

static void ready(struct req *r)
{
    bool is = pick_possible(r);
    answer_text(r, is ? 200 : 503, is ? STR("ready\n") : STR("no endpoint is usable\n"));
}

/* Kinds of addresses: PAGE to SHOWN are read (GET, HEAD), ORDER and ACTION are done (POST). */
enum kind { NOWHERE, PAGE, ALIVE, READY, LOGS, SHOWN, ORDER, ACTION };

struct address {
    enum kind kind;
    struct str what, arg; /* of the ASK to the supervisor */
};

static bool is_one_of(struct str s, const struct str *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(s, v[i]))
            return true;
    return false;
}

/* The path from `at` on, together with its query: they stand in one piece in the target. */
static struct str with_query(struct str path, size_t at, struct str query)
{
    size_t end = query.n ? (size_t)(query.p + query.n - path.p) : path.n;
    return str_make(path.p + at, end - at);
}

static struct address find(struct str path, struct str query)
{
    static const struct str shown[] = {
        STR_LIT("status"),   STR_LIT("endpoints"), STR_LIT("breakers"), STR_LIT("queue"),
        STR_LIT("sessions"), STR_LIT("requests"),  STR_LIT("history"),  STR_LIT("prices"),
        STR_LIT("usage"),    STR_LIT("speed"),     STR_LIT("events"),   STR_LIT("overview"),
        STR_LIT("config"),   STR_LIT("choice"),    STR_LIT("cluster")};
    static const struct str actions[] = {STR_LIT("enable"), STR_LIT("disable"), STR_LIT("drain"),
                                         STR_LIT("verify"), STR_LIT("reset")};
    if (is_page(path))
        return (struct address){.kind = PAGE};
    if (str_eq(path, STR("/healthz")))
        return (struct address){.kind = ALIVE};
    if (str_eq(path, STR("/readyz")))
        return (struct address){.kind = READY};
    if (str_eq(path, STR("/metrics")))
        return (struct address){.kind = SHOWN, .what = STR("metrics")};
    if (!cut_prefix(&path, STR("/api/v1/")))
        return (struct address){0};
    if (is_one_of(path, shown, COUNT_OF(shown)))
        return (struct address){.kind = SHOWN, .what = path, .arg = query};
    if (str_eq(path, STR("logs")))
        return (struct address){.kind = LOGS, .arg = query};
    if (str_eq(path, STR("usage/blocks")))
        return (struct address){.kind = SHOWN, .what = STR("blocks"), .arg = query};
    if (str_starts(path, STR("requests/")))
        return (struct address){
            .kind = SHOWN, .what = STR("why"), .arg = with_query(path, 9, query)};
    if (str_eq(path, STR("reload")))
        return (struct address){.kind = ORDER, .what = path};
    if (str_eq(path, STR("history/check")))
        return (struct address){.kind = ORDER, .what = STR("check")};
    if (str_eq(path, STR("history/job")))
        return (struct address){.kind = SHOWN, .what = STR("job"), .arg = query};
    if (!cut_prefix(&path, STR("endpoints/")))
        return (struct address){0};
    const char *slash = memchr(path.p, '/', path.n);
    if (!slash)
        return (struct address){0};
    struct str name = str_make(path.p, (size_t)(slash - path.p));
    struct str action = str_make(slash + 1, path.n - name.n - 1);
    if (name.n == 0 || name.n > LONGEST_NAME || !is_one_of(action, actions, COUNT_OF(actions)))
        return (struct address){0};
    if (query.n)
        name = with_query(path, 0, query); /* "NAME/reset?family=…", "…?mark=…", "…?here=1" */
    return (struct address){.kind = ACTION, .what = action, .arg = name};
}

static void serve(struct req *r, const struct address *a)
{
    switch (a->kind) {
    case PAGE:
        answer_file(r);
        return;
    case ALIVE:
        answer_text(r, 200, STR("ok\n"));
        return;
    case READY:
        ready(r);
        return;
    case LOGS:
        answer_logs(r, a->arg);
        return;
    case SHOWN:
    case ORDER:
    case ACTION:
        ask(r, a->what, a->arg);
        return;
    case NOWHERE:
        return;
    }
}

static void go(struct req *r)
{
    struct str query = STR("");
    if (r->in.head.target.n > r->in.full_path.n)
        query = str_make(r->in.head.target.p + r->in.full_path.n + 1,
                         r->in.head.target.n - r->in.full_path.n - 1);
    struct address a = find(r->in.full_path, query);
    bool reads = r->in.method == METHOD_GET || r->in.method == METHOD_HEAD;
    bool done = a.kind == ORDER || a.kind == ACTION;
    if (a.arg.n > IPC_QUERY_MAX)
        answer_error(r, 414, "the query is longer than 1,024 bytes", "");
    else if (a.kind == NOWHERE)
        answer_error(r, 404, "no such address: qcc-metrics(7) lists them", "");
    else if (done && r->in.method != METHOD_POST)
        answer_error(r, 405, "this address takes POST", "allow: POST\r\n");
    else if (!done && !reads)
        answer_error(r, 405, "this address takes GET and HEAD", "allow: GET, HEAD\r\n");
    else
        serve(r, &a);
}

/* ---- the service */

void admin_init(struct admin *a)
{
    list_init(&a->asking);
}

struct service admin_service(struct admin *a)
{
    return (struct service){.operators = true,
                            .reply_max = 2 * TEXT_MAX,
                            .arg = a,
                            .allowed = allowed,
                            .go = go,
                            .late = late,
                            .lines = lines};
}
