#include "worker/request/req.h"

#include "common/base/slab.h"
#include "worker/request/access_line.h"
#include "worker/request/candidates.h"
#include "worker/intake/auth.h"
#include "worker/intake/conversation.h"
#include "worker/intake/cors.h"
#include "worker/request/record.h"
#include "worker/request/report.h"
#include "worker/request/side.h"
#include "worker/upstream/hops.h"

/* Ceilings of a request's arenas: notes hold one line per attempt and endpoint; msg the head. */
enum { MEM_MAX = 1 << 20, MSG_SLACK = 64 << 10 };

#define METHODS_SERVED "allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"

static struct slab reqs = SLAB_INIT(reqs, sizeof(struct req));

static const uint16_t req_next[REQ__COUNT] = {
#define TO(s) (1u << REQ_##s)
    [REQ_READ] = TO(PICK) | TO(DONE),
    [REQ_PICK] = TO(WAIT) | TO(TRY) | TO(DONE),
    [REQ_WAIT] = TO(PICK) | TO(DONE),
    [REQ_TRY] = TO(PICK) | TO(WAIT) | TO(HOLD) | TO(DONE),
    [REQ_HOLD] = TO(PICK) | TO(WAIT) | TO(RELAY) | TO(DONE),
    [REQ_RELAY] = TO(DONE),
    [REQ_DONE] = 0,
#undef TO
};

void req_set(struct req *r, enum req_state s)
{
    if (!(req_next[r->state] & (1u << s)))
        die("req %s: state %d after %d", r->id, s, r->state);
    if (r->state == REQ_WAIT) {
        list_remove(&r->wait_node);
        deadline_clear(&r->deadline);
    }
    r->state = s;
}

/* ---- allocation */

static void req_free(struct dead *d)
{
    struct req *r = CONTAINER_OF(d, struct req, dead);
    arena_free(&r->mem);
    arena_free(&r->msg);
    conf_unref(r->conf);
    slab_free(&reqs, r);
}

static void on_deadline(struct deadline *t)
{
    struct req *r = CONTAINER_OF(t, struct req, deadline);
    if (r->state == REQ_WAIT) {
        req_set(r, REQ_PICK);
        r->c->service->late(r);
    } else if (r->state == REQ_HOLD) {
        hold_over(r);
    } else if (r->state == REQ_RELAY) {
        relay_over(r);
    }
}

static struct req *req_new(struct client *c)
{
    struct req_env *env = c->env;
    struct req *r = slab_zalloc(&reqs);
    r->env = env;
    r->c = c;
    r->conf = conf_ref(env->conf);
    r->began = ev_now(env->loop);
    r->first_refusal = -1;
    str_put_hex(r->id, rnd_next(&env->rnd), 16);
    str_put_hex(r->id + 16, rnd_next(&env->rnd) >> 48, 4);
    arena_init(&r->mem, MEM_MAX);
    arena_init(&r->msg, (size_t)r->conf->limits.max_header_bytes + MSG_SLACK);
    list_init(&r->wait_node);
    deadline_init(&r->deadline, env->loop, on_deadline);
    buf_init(&r->send, (size_t)r->conf->limits.max_header_bytes + MSG_SLACK);
    buf_init(&r->model_sent, MSG_SLACK);
    relay_init(r);
    env->counters->requests++;
    env->counters->requests_open++;
    return r;
}

/* Releases all that the request holds; its memory is freed at the end of the turn. */
static void let_go(struct req *r)
{
    req_set(r, REQ_DONE);
    list_remove(&r->wait_node);
    attempt_forget(r);
    relay_free(r);
    deadline_fini(&r->deadline);
    body_free(&r->body);
    buf_free(&r->send);
    buf_free(&r->model_sent);
    r->c = NULL;
    r->env->counters->requests_open--;
    turn_bury(r->env->turn, &r->dead, req_free);
}

/* ---- the end */

static void keep_record(struct req *r, unsigned status, const char *end)
{
    struct recent_record *record = recent_ring_next(r->env->recent_ring);
    record_fill(record, r, status, end);
    if (record->message)
        feed_add(r->env->feed, record);
}

/* Logs, counts and records a request that ends; one of the admin listener is only logged. */
static void ended(struct req *r, unsigned status, const char *end)
{
    struct counters *g = r->env->counters;
    access_line(r, status, end);
    if (r->c->service->operators)
        return;
    bool relayed = r->state == REQ_RELAY, local = r->state == REQ_READ && status < 300;
    if (relayed && r->kind == REPLY_STREAM)
        counters_stream(g, false);
    if (relayed && r->ep) {
        counters_attempt(r->ep->live, r->served_as);
        counters_tokens(r->ep->live, &r->sse.usage);
    }
    counters_request(g, status, relayed && r->kind == REPLY_STREAM ? STATS_STREAM : STATS_WHOLE,
                     ev_now(r->env->loop) - r->began, r->body_len, r->bytes_out);
    if (!local)
        keep_record(r, status, end);
}

/* The status that a client which left had received; 0: none. */
static unsigned client_status(const struct req *r)
{
    return r->state == REQ_RELAY || r->begun ? r->status : 0;
}

void req_finish(struct req *r, bool keep)
{
    struct client *c = r->c;
    if (r->state == REQ_RELAY && !r->cut)
        attempt_ended(r);
    ended(r, r->status, r->cut ? r->cut : "ok");
    keep = keep && r->keep;
    let_go(r);
    c->ops->done(c, keep);
}

void req_finish_cut(struct req *r, bool hard)
{
    struct client *c = r->c;
    ended(r, r->status, r->cut ? r->cut : "cut");
    let_go(r);
    c->ops->cut(c, hard);
}

/* The client has left. Where no attempt is under way, all that were asked have failed. */
static void left(struct req *r)
{
    if (!r->ep)
        report_unserved(r);
    ended(r, client_status(r), "client gone");
    let_go(r);
}

void req_client_gone(struct req *r)
{
    left(r);
}

void req_gone(struct req *r)
{
    struct client *c = r->c;
    left(r);
    c->ops->lost(c);
}

/* ---- refusals */

/* Answers a request that is not complete: the connection cannot be used again. */
static void refuse(struct req *r, unsigned status, const char *why, unsigned retry_after_s)
{
    r->keep = false;
    req_answer_error(r, status, why, retry_after_s);
}

void req_refuse(struct client *c, unsigned status, const char *why)
{
    struct req *r = req_new(c);
    r->head.method = STR("-");
    r->path = STR("-");
    c->req = r;
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
    r->head =
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
    r->head.method.p = notes;
    r->path = str_make(notes + h->method.n, min_size(h->path.n, 256));
    r->full_path = h->path;
    r->method = h->method_id;
    r->http10 = h->minor == 0;
    r->keep = h->keep_alive;
    return true;
}

/* Whether QCC answers this itself: liveness checks and telemetry. */
static bool req_local(const struct req *r)
{
    if (r->method == METHOD_HEAD)
        return str_eq(r->full_path, STR("/")) || str_eq(r->full_path, STR("/api/hello"));
    return r->method == METHOD_POST && str_eq(r->full_path, STR("/api/event_logging/batch"));
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
    return str_eq_nocase(r->head.method, STR("TRACE")) ||
           str_eq_nocase(r->head.method, STR("TRACK"));
}

/* Whether the request is from no browser page, or from one that is allowed. False: it is
 * answered. */
static bool page_allowed(struct req *r)
{
    const struct forward_request *h = &r->head;
    bool open = r->conf->nclients == 0 && !r->c->unix_socket;
    enum cors_verdict v = cors_judge(r->conf, open, h->host, h->method, h->f, h->nf, &r->origin);
    r->preflight = v == CORS_PREFLIGHT;
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
    if (r->conf->nclients == 0 || req_local(r) || r->preflight)
        return true;
    r->client = auth_check(r->conf, r->head.f, r->head.nf);
    return r->client != NULL;
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
    enum hops hops = hops_count(&r->head);
    if (hops == HOPS_NONE || hops == HOPS_LEFT)
        return true;
    if (h->body != BODY_NONE)
        r->keep = false;
    if (hops == HOPS_BAD)
        refuse(r, 400, "Max-Forwards is not one number", 0);
    else
        req_answer(r, 200, NULL, STR(""), METHODS_SERVED);
    return false;
}

static bool write_continue(struct req *r)
{
    struct iovec v = iov_of(STR("HTTP/1.1 100 Continue\r\n\r\n"));
    bool there = r->c->ops->write(r->c, &v, 1) != CLIENT_GONE;
    if (!there)
        req_gone(r);
    return there;
}

bool req_begin(struct client *c, const char *p, size_t size)
{
    struct req *r = req_new(c);
    struct http_head *h = c->env->head;
    const char *why = "request head is too large";
    c->req = r;
    char *copy = arena_strndup(&r->msg, p, size);
    enum http1_result res = copy ? http1_request(copy, size, h, &why) : HTTP1_TOO_LARGE;
    if (res == HTTP1_OK && !keep_head(r, h))
        res = HTTP1_TOO_LARGE;
    if (res != HTTP1_OK) {
        r->head.method = r->path = STR("-");
        refuse(r, status_of(res), why, 0);
        return false;
    }
    side_learn(r);
    if (!c->service->allowed(r))
        return false;
    if (asks_for_echo(r)) {
        r->keep = false;
        req_answer_error_with(r, 405, "this method is not served",
                              METHODS_SERVED "x-should-retry: false\r\n");
        return false;
    }
    if (!hops_left(r, h))
        return false;
    const struct conf_limits *l = &r->conf->limits;
    body_init(&r->body, &c->env->counters->buffered, l->max_buffered_bytes, h->body, h->length,
              l->max_body_bytes);
    r->body.since = r->env->turn->time;
    if (h->body == BODY_COUNTED && h->length > l->max_body_bytes) {
        refuse(r, 413, "request body is larger than limits.max_body_bytes", 0);
        return false;
    }
    if (h->body == BODY_NONE)
        return false;
    return !h->expect_continue || write_continue(r);
}

/* ---- the body */

static enum req_body_result body_step(struct req *r, enum body_result res)
{
    switch (res) {
    case BODY_MORE:
        if (!body_slow(&r->body, r->env->turn->time, r->conf->limits.min_body_rate))
            return REQ_BODY_MORE;
        refuse(r, 408, "request body came more slowly than limits.min_body_rate", 0);
        break;
    case BODY_DONE:
        return REQ_BODY_DONE;
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
    return REQ_BODY_REFUSED;
}

size_t req_body_room(struct req *r, char **at)
{
    size_t n = body_room(&r->body, at);
    if (n == 0)
        body_step(r, BODY_NO_ROOM);
    return n;
}

enum req_body_result req_body_added(struct req *r, size_t n, size_t *used)
{
    return body_step(r, body_added(&r->body, n, used));
}

enum req_body_result req_body_feed(struct req *r, const char *p, size_t n, size_t *used)
{
    return body_step(r, body_feed(&r->body, p, n, used));
}

void req_body_timeout(struct req *r)
{
    refuse(r, 408, "request body did not come within limits.body_timeout", 0);
}

/* ---- contents of the body */

static const char *mapped(const struct conf_map *m, struct str name)
{
    for (size_t i = 0; i < m->n; i++)
        if (str_eq(str_c(m->v[i].from), name))
            return m->v[i].to;
    return NULL;
}

/* Sets the model that endpoints are asked for: forced, mapped, or as the client wrote it. */
static void learn_model(struct req *r, const struct json_hit *hit)
{
    if (hit->kind != JSON_IS_STRING)
        return;
    struct buf plain;
    buf_init(&plain, MSG_SLACK);
    struct str asked = hit->raw;
    if (hit->escaped)
        asked = json_unescape(hit->raw, &plain) ? buf_view(&plain) : hit->raw;
    const char *other =
        r->conf->model_override ? r->conf->model_override : mapped(&r->conf->model_map, asked);
    struct str model = other ? str_c(other) : asked;
    char *copy = model.n <= 1024 ? arena_strndup(&r->mem, model.p, model.n) : NULL;
    if (copy) {
        r->has_model = true;
        r->model = str_make(copy, model.n);
        r->model_key = cell_name_of(r->model);
        r->model_raw = hit->raw;
        r->model_changed = other != NULL;
    }
    buf_free(&plain);
}

/* Notes what the request carries of what is marked or suspect somewhere. NULL: nothing is, or it is
 * no message. */
static struct features *learn_head(struct req *r)
{
    const struct marks *t = &r->env->replica->marks;
    if (r->side || !features_wanted(t) ||
        !(r->features = arena_alloc(&r->mem, sizeof *r->features)))
        return NULL;
    *r->features = (struct features){0};
    features_of_head(r->features, t, r->head.f, r->head.nf);
    return r->features;
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
    bool looked = r->body.len > 0 && r->method == METHOD_POST;
    struct features_body marked = {learn_head(r), &r->env->replica->marks, 0, {0}};
    if (looked) {
        bool each = marked.s && features_wanted_of_body(marked.t);
        r->json = json_find_each(body_view(&r->body), want, hit, n,
                                 each ? features_of_member : NULL, &marked);
        learn_model(r, &hit[MODEL]);
        r->stream = hit[STREAM].kind == JSON_IS_TRUE;
    }
    if (affinity)
        r->has_conversation =
            conversation_find(r->conf, r->head.f, r->head.nf, looked ? hit + KEYS : NULL,
                              r->client ? r->client->name : NULL, r->env->secret, r->conversation);
    if (r->has_conversation)
        affinity_key(r->conversation, r->model_key.family, r->binding);
}

static void proxy_go(struct req *r)
{
    if (r->preflight) {
        req_answer(r, 204, NULL, STR(""), "");
        return;
    }
    if (req_local(r)) {
        bool post = r->method == METHOD_POST;
        req_answer(r, 200, post ? "application/json" : NULL, post ? STR("{}") : STR(""), "");
        return;
    }
    if (!side_begin(r))
        return;
    learn_body(r);
    if (!r->side)
        candidates_note_demand(r);
    req_set(r, REQ_PICK);
    relay_start_pings(r);
    attempt_next(r);
}

void req_go(struct req *r)
{
    r->body_len = r->body.len;
    r->c->service->go(r);
}

/* CORS lines of a reply; none if they do not fit, and a browser then hides the reply from the
 * page. */
static struct str proxy_lines(const struct req *r, struct buf *room)
{
    bool ok = cors_put(room, r->conf, r->origin) &&
              (!r->preflight || cors_put_preflight(room, r->head.f, r->head.nf));
    return ok ? buf_view(room) : STR("");
}

struct service req_service(void)
{
    return (struct service){
        .allowed = proxy_allowed, .go = proxy_go, .late = attempt_next, .lines = proxy_lines};
}

void req_ask(struct req *r, uint64_t id, struct str what, struct str arg)
{
    char address[IPC_ADDRESS_MAX + 1];
    counters_send(r->env->counters);
    r->c->ops->address(r->c, address, sizeof address);
    uplink_ask(r->env->uplink, id, what, arg, str_c(address));
}

/* ---- the client */

void req_client_room(struct req *r)
{
    if (r->state == REQ_RELAY)
        exchange_resume(&r->exchange);
}

void req_client_unsure(struct req *r)
{
    /* RFC 9110 15.2: a client must accept interim replies; a closed socket answers with a reset,
     * which the next write reports. */
    if (r->state == REQ_RELAY || r->begun) {
        relay_probe(r);
        return;
    }
    if (r->http10)
        return;
    (void)!write_continue(r);
}

/* ---- waiting requests */

void req_wake_waiting(struct req_env *env)
{
    struct list now; /* a request that waits again goes to env->waiting, not here */
    list_init(&now);
    while (!list_empty(&env->waiting)) {
        struct list *n = env->waiting.next;
        list_remove(n);
        list_push_back(&now, n);
    }
    while (!list_empty(&now)) {
        struct req *r = LIST_ENTRY(now.next, struct req, wait_node);
        req_set(r, REQ_PICK);
        attempt_next(r);
    }
}
