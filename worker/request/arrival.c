#include "worker/request/arrival.h"

#include "common/conf/conf_models.h"
#include "worker/intake/auth.h"
#include "worker/intake/conversation.h"
#include "worker/intake/cors.h"
#include "worker/request/conductor.h"
#include "worker/request/side.h"
#include "worker/request/state/candidates.h"
#include "worker/request/state/owner.h"
#include "worker/request/state/req.h"
#include "worker/shared/rankings.h"
#include "worker/translate/model_names.h"
#include "worker/upstream/hops.h"

#define METHODS_SERVED "allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"

enum { NAME_SLACK = 64 << 10 }; /* bytes that a model's name may have when it is unescaped */

/* ---- refusals */

/* Answers a request that is not complete: the connection cannot be used again. */
static void refuse(struct req *r, unsigned status, const char *why, unsigned retry_after_s)
{
    r->in.keep = false;
    conductor_answer_error(r, status, why, retry_after_s);
}

void arrival_refuse(struct client *c, unsigned status, const char *why)
{
    struct req *r = conductor_begin(c);
    r->in.head.method = STR("-");
    r->in.path = STR("-");
    refuse(r, status, why, 0);
}

/* ---- the head */

/* Copies the parsed head into the request. The head's bytes are in r->msg already. */
static bool keep_head(struct req *r, const struct http_head *h)
{
    struct http_field *f = arena_alloc(&r->msg, h->nf * sizeof *f);
    if (!f)
        return false;
    memcpy(f, h->f, h->nf * sizeof *f);
    r->in.head =
        (struct forward_request){.method = h->method,
                                 .target = h->target,
                                 .host = h->host,
                                 .f = f,
                                 .nf = h->nf,
                                 .has_body = h->body != BODY_NONE || h->method_id == METHOD_POST};
    /* The access line needs method and path after msg is freed. */
    char *notes = arena_alloc(&r->mem, h->method.n + h->path.n + 1);
    if (!notes)
        return false;
    memcpy(notes, h->method.p, h->method.n);
    memcpy(notes + h->method.n, h->path.p, h->path.n);
    r->in.head.method.p = notes;
    r->in.path = str_make(notes + h->method.n, min_size(h->path.n, 256));
    r->in.full_path = h->path;
    r->in.method = h->method_id;
    r->in.http10 = h->minor == 0;
    r->in.keep = h->keep_alive;
    return true;
}

/* Whether QCC answers this itself: liveness checks and telemetry. */
static bool answered_here(const struct req *r)
{
    if (r->in.method == METHOD_HEAD)
        return str_eq(r->in.full_path, STR("/")) || str_eq(r->in.full_path, STR("/api/hello"));
    return r->in.method == METHOD_POST && str_eq(r->in.full_path, STR("/api/event_logging/batch"));
}

static unsigned status_of(enum http1_result res)
{
    switch (res) {
    case HTTP1_TOO_LARGE:
        return 431;
    case HTTP1_VERSION:
        return 505;
    case HTTP1_UNSUPPORTED:
        return 501;
    case HTTP1_EXPECTATION:
        return 417;
    case HTTP1_BAD:
    case HTTP1_OK:
        break;
    }
    return 400;
}

/* Whether the method asks for an echo of the request: an endpoint would send its key to the
 * client. */
static bool asks_for_echo(const struct req *r)
{
    return str_eq_nocase(r->in.head.method, STR("TRACE")) ||
           str_eq_nocase(r->in.head.method, STR("TRACK"));
}

/* Whether the request is from no browser page, or from one that is allowed. False: it is
 * answered. */
static bool page_allowed(struct req *r)
{
    const struct forward_request *h = &r->in.head;
    bool open = r->conf->nclients == 0 && !r->c->unix_socket;
    enum cors_verdict v = cors_judge(r->conf, open, h->host, h->method, h->f, h->nf, &r->in.origin);
    if (v == CORS_PREFLIGHT)
        r->in.purpose = FOR_PREFLIGHT;
    if (v == CORS_PASS || v == CORS_PREFLIGHT)
        return true;
    char why[256];
    cors_explain(v, h->host, cors_from(h->f, h->nf), why);
    req_log(r, LOG_L_INFO, "refused: %s", why);
    refuse(r, v == CORS_BAD_PREFLIGHT ? 400 : 403, why, 0);
    return false;
}

static bool authorized(struct req *r)
{
    if (r->conf->nclients == 0 || answered_here(r) || r->in.purpose == FOR_PREFLIGHT)
        return true;
    r->in.client = auth_check(r->conf, r->in.head.f, r->in.head.nf);
    return r->in.client != NULL;
}

/* service.allowed of the proxy. */
static bool proxy_allowed(struct req *r)
{
    if (!page_allowed(r))
        return false;
    if (authorized(r))
        return true;
    refuse(r, 401, "invalid or missing API key: this proxy knows no client with that token", 0);
    return false;
}

/* RFC 9110 7.6.2: counts Max-Forwards of an OPTIONS down (TRACE is not served). False: QCC was the
 * last that may see the request, which is answered. */
static bool hops_left(struct req *r, const struct http_head *h)
{
    enum hops hops = hops_count(&r->in.head);
    if (hops == HOPS_NONE || hops == HOPS_LEFT)
        return true;
    if (h->body != BODY_NONE)
        r->in.keep = false;
    if (hops == HOPS_BAD)
        refuse(r, 400, "Max-Forwards is not one number", 0);
    else
        conductor_answer(r, 200, NULL, STR(""), METHODS_SERVED);
    return false;
}

bool arrival_begin(struct client *c, const char *p, size_t size)
{
    struct req *r = conductor_begin(c);
    struct http_head *h = c->env->head;
    const char *why = "request head is too large";
    char *copy = arena_strndup(&r->msg, p, size);
    enum http1_result res = copy ? http1_request(copy, size, h, &why) : HTTP1_TOO_LARGE;
    if (res == HTTP1_OK && !keep_head(r, h))
        res = HTTP1_TOO_LARGE;
    if (res != HTTP1_OK) {
        r->in.head.method = r->in.path = STR("-");
        refuse(r, status_of(res), why, 0);
        return false;
    }
    side_learn(r);
    if (!c->service->allowed(r))
        return false;
    if (asks_for_echo(r)) {
        r->in.keep = false;
        conductor_answer_error_with(r, 405, "this method is not served",
                                    METHODS_SERVED "x-should-retry: false\r\n");
        return false;
    }
    if (!hops_left(r, h))
        return false;
    const struct conf_limits *l = &r->conf->limits;
    body_init(&r->in.body, &c->env->counters->buffered, l->max_buffered_bytes, h->body, h->length,
              l->max_body_bytes);
    r->in.body.since = r->env->turn->time;
    if (h->body == BODY_COUNTED && h->length > l->max_body_bytes) {
        refuse(r, 413, "request body is larger than limits.max_body_bytes", 0);
        return false;
    }
    if (h->body == BODY_NONE)
        return false;
    return !h->expect_continue || conductor_write_continue(r);
}

/* ---- the body */

static enum arrival_result body_step(struct req *r, enum body_result res)
{
    switch (res) {
    case BODY_MORE:
        if (!body_slow(&r->in.body, r->env->turn->time, r->conf->limits.min_body_rate))
            return ARRIVAL_MORE;
        refuse(r, 408, "request body came more slowly than limits.min_body_rate", 0);
        break;
    case BODY_DONE:
        return ARRIVAL_DONE;
    case BODY_MALFORMED:
        refuse(r, 400, "chunked framing of the request body is malformed", 0);
        break;
    case BODY_TOO_LARGE:
        refuse(r, 413, "request body is larger than limits.max_body_bytes", 0);
        break;
    case BODY_NO_ROOM:
        refuse(r, 503, "too many request bodies are being held (limits.max_buffered_bytes)", 1);
        break;
    }
    return ARRIVAL_REFUSED;
}

size_t arrival_body_room(struct req *r, char **at)
{
    size_t n = body_room(&r->in.body, at);
    if (n == 0)
        body_step(r, BODY_NO_ROOM);
    return n;
}

enum arrival_result arrival_body_added(struct req *r, size_t n, size_t *used)
{
    return body_step(r, body_added(&r->in.body, n, used));
}

enum arrival_result arrival_body_feed(struct req *r, const char *p, size_t n, size_t *used)
{
    return body_step(r, body_feed(&r->in.body, p, n, used));
}

void arrival_body_timeout(struct req *r)
{
    refuse(r, 408, "request body did not come within limits.body_timeout", 0);
}

/* ---- contents of the body */

/* Sets the model that endpoints are asked for: forced, mapped, or as the client wrote it. */
static void learn_model(struct req *r, const struct json_hit *hit)
{
    if (hit->kind != JSON_IS_STRING)
        return;
    struct buf plain;
    buf_init(&plain, NAME_SLACK);
    struct str asked = hit->raw;
    if (hit->escaped)
        asked = json_unescape(hit->raw, &plain) ? buf_view(&plain) : hit->raw;
    struct str model = conf_model_asked(r->conf, asked);
    char *copy = model.n <= 1024 ? arena_strndup(&r->mem, model.p, model.n) : NULL;
    if (copy) {
        r->model.named = true;
        r->model.name = str_make(copy, model.n);
        r->model.key = rankings_cell_name(r->env->rankings, r->model.name);
        r->model.raw = hit->raw;
        r->model.changed = model.p != asked.p;
    }
    buf_free(&plain);
}

/* Notes what the request carries of what is marked or suspect somewhere. NULL: nothing is, or it is
 * no message. */
static struct features *learn_head(struct req *r)
{
    const struct marks *t = &r->env->replica->marks;
    if (req_is_side(r) || !features_wanted(t) ||
        !(r->in.features = arena_alloc(&r->mem, sizeof *r->in.features)))
        return NULL;
    *r->in.features = (struct features){0};
    features_of_head(r->in.features, t, r->in.head.f, r->in.head.nf);
    return r->in.features;
}

static void learn_body(struct req *r)
{
    enum { MODEL, STREAM, KEYS };
    struct json_want want[KEYS + CONVERSATION_BODY_KEYS] = {
        [MODEL] = {.name = STR("model")},
        [STREAM] = {.name = STR("stream")},
    };
    struct json_hit hit[KEYS + CONVERSATION_BODY_KEYS] = {0};
    size_t n = KEYS;
    bool affinity = r->conf->affinity.enabled;
    if (affinity)
        n += conversation_wants(r->conf, want + KEYS);
    bool looked = r->in.body.len > 0 && r->in.method == METHOD_POST;
    struct features_body marked = {learn_head(r), &r->env->replica->marks, 0, {0}};
    if (looked) {
        bool each = marked.s && features_wanted_of_body(marked.t);
        r->in.json =
            json_find_each(req_text(r), want, hit, n, each ? features_of_member : NULL, &marked);
        learn_model(r, &hit[MODEL]);
        r->in.stream = hit[STREAM].kind == JSON_IS_TRUE;
        if (r->env->replica->nopenai && r->in.api == API_MESSAGES)
            r->in.server_tools = server_tools_of(req_text(r), &r->in.server_tool);
    }
    if (affinity)
        r->talk.known = conversation_find(
            r->conf, r->in.head.f, r->in.head.nf, looked ? hit + KEYS : NULL,
            r->in.client ? r->in.client->name : NULL, r->env->secret, r->talk.key);
    if (r->talk.known)
        affinity_key(r->talk.key, r->model.key.family, r->talk.binding);
}

/* The body can be read: chooses an endpoint. */
static void ask(struct req *r)
{
    learn_body(r);
    const char *why = owner_learn(r);
    if (why) {
        conductor_answer_error(r, 400, why, 0);
        return;
    }
    if (!req_is_side(r))
        candidates_note_demand(r);
    conductor_go(r);
}

/* service.resume of the proxy: inflates another piece of the body. */
static void inflate_on(struct req *r)
{
    switch (inflated_step(r->in.inflated)) {
    case INFLATED_MORE:
        deadline_set(&r->deadline, 0);
        return;
    case INFLATED_DONE:
        ask(r);
        return;
    case INFLATED_DAMAGED:
        conductor_answer_error(r, 400, "the request body is not what content-encoding says", 0);
        return;
    case INFLATED_TOO_LARGE:
        conductor_answer_error(r, 413,
                               "the inflated request body is larger than limits.max_body_bytes, or "
                               "100 times as large as it came",
                               0);
        return;
    case INFLATED_NO_ROOM:
        body_step(r, BODY_NO_ROOM);
        return;
    }
}

/* The coding of the request's body. */
static enum coding coding_of_body(const struct req *r)
{
    enum coding c = CODING_NONE;
    for (size_t i = 0; i < r->in.head.nf; i++)
        if (r->in.head.f[i].id == HDR_CONTENT_ENCODING)
            c = coding_of_both(c, coding_of(r->in.head.f[i].value));
    return c;
}

/* Begins to answer a message or count_tokens, whose body is read. */
static void read_and_ask(struct req *r)
{
    enum coding c = r->in.body.len ? coding_of_body(r) : CODING_NONE;
    if (c == CODING_NONE) {
        ask(r);
        return;
    }
    if (c == CODING_OTHER) {
        conductor_answer_error_with(r, 415, "content-encoding of a request can be gzip or deflate",
                                    "accept-encoding: gzip, deflate\r\nx-should-retry: false\r\n");
        return;
    }
    r->in.inflated = arena_alloc(&r->mem, sizeof *r->in.inflated);
    if (!r->in.inflated) {
        body_step(r, BODY_NO_ROOM);
        return;
    }
    inflated_begin(r->in.inflated, c, &r->in.body);
    inflate_on(r);
}

/* Answers GET /v1/models, if models are known. */
static bool answer_models(struct req *r)
{
    struct buf body;
    buf_init(&body, MODEL_NAMES_BODY);
    unsigned status = side_models(r, &body);
    if (status == 200)
        conductor_answer(r, 200, "application/json", buf_view(&body), "");
    else if (status)
        conductor_answer_error(r, status,
                               status == 404
                                   ? "no endpoint has a model of that name"
                                   : "limit must be a number from 1 to 1000, after_id and "
                                     "before_id the id of a model",
                               0);
    buf_free(&body);
    return status != 0;
}

static void proxy_go(struct req *r)
{
    if (r->in.purpose == FOR_PREFLIGHT) {
        conductor_answer(r, 204, NULL, STR(""), "");
        return;
    }
    if (answered_here(r)) {
        bool post = r->in.method == METHOD_POST;
        conductor_answer(r, 200, post ? "application/json" : NULL, post ? STR("{}") : STR(""), "");
        return;
    }
    if (answer_models(r))
        return;
    const char *not_served = side_begin(r);
    if (not_served) {
        conductor_answer_error(r, 404, not_served, 0);
        return;
    }
    if (!req_is_side(r) || r->in.api == API_COUNT_TOKENS)
        read_and_ask(r);
    else
        ask(r);
}

void arrival_complete(struct req *r)
{
    r->in.body_len = r->in.body.len;
    r->c->service->go(r);
}

/* CORS lines of a reply; none if they do not fit, and a browser then hides the reply from the
 * page. */
static struct str proxy_lines(const struct req *r, struct buf *room)
{
    bool ok =
        cors_put(room, r->conf, r->in.origin) &&
        (r->in.purpose != FOR_PREFLIGHT || cors_put_preflight(room, r->in.head.f, r->in.head.nf));
    return ok ? buf_view(room) : STR("");
}

struct service arrival_service(void)
{
    return (struct service){
        .allowed = proxy_allowed, .go = proxy_go, .resume = inflate_on, .lines = proxy_lines};
}
