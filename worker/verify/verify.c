#include "worker/verify/verify.h"

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/ipc/model_pack.h"
#include "worker/evidence/evidence.h"
#include "worker/upstream/forward.h"
#include "worker/json/json_find.h"
#include "worker/http/sse.h"
#include "worker/loop/deadline.h"
#include "worker/upstream/decode.h"
#include "worker/upstream/exchange.h"
#include "worker/verify/list_reply.h"
#include "worker/verify/verify_answer.h"
#include "worker/verify/verify_model.h"
#include "common/conf/conf.h"
#include "worker/loop/turn.h"
#include "worker/loop/uplink.h"
#include "worker/request/env/req_env.h"
#include "worker/shared/loan.h"
#include "worker/shared/replica.h"
#include "worker/translate/interpreter.h"

#include <stdio.h>

enum {
    CODE_LEN = 6,
    MEM_MAX = 1 << 20,
    SEND_MAX = 64 << 10,
    THINKER_TOKENS = 4096 /* for models that think before they reply, asked or not */
};

struct verify {
    struct dead dead;
    struct list node; /* in req_env.verifications */
    struct req_env *env;
    struct ep *ep;         /* holds a reference */
    bool has_place;        /* of max_concurrent; else it waits for one */
    int64_t wait_since_ms; /* CLOCK_BOOTTIME; 0: has not waited for a place */
    uint64_t seq;
    int64_t began_ms;
    bool head_only; /* a HEAD request */
    bool list;      /* no verification: the list of models is asked for */
    char code[CODE_LEN];
    char served[IPC_MODEL_MAX]; /* copied from VERIFY: `models` borrows from it and from ep->conf */
    size_t served_len;
    char listed[IPC_MODEL_MAX];       /* one of its list: `models` borrows from it */
    bool served_sent;                 /* it is the endpoint's name for it */
    bool only;                        /* a cell is verified: no other model is asked for */
    struct str models[VERIFY_MODELS]; /* models to ask for, one after the other */
    size_t nmodels, at;
    bool due; /* the model is to be asked for at the end of the turn */
    struct exchange exchange;
    struct deadline deadline; /* of the wait for a place; then of the whole verification */
    struct buf send, body;
    struct decode *decode;          /* of a reply that came compressed; NULL: none */
    bool unread;                    /* JSON by its head, in a coding that is not read */
    struct buf asked;               /* the question, until it is answered */
    struct interpreter interpreter; /* of an endpoint that speaks OpenAI's protocol */
    struct arena mem;
    unsigned status;
    struct http_field *f;
    size_t nf;
};

static const char no_connection[] = "no connection is free";
static const struct verdict good = {.cls = OUTCOME_OK, .retry_after_ms = -1};

/* ---- the end */

static void verify_free(struct dead *d)
{
    struct verify *v = CONTAINER_OF(d, struct verify, dead);
    exchange_free(&v->exchange);
    arena_free(&v->mem);
    buf_free(&v->send);
    buf_free(&v->body);
    decode_free(v->decode);
    interpreter_free(&v->interpreter);
    buf_free(&v->asked);
    ep_unref(v->ep);
    mem_free(v);
}

/* It is over: what it has goes back, and it is freed at the end of the turn. */
static void drop(struct verify *v)
{
    struct req_env *env = v->env;
    exchange_abort(&v->exchange);
    deadline_fini(&v->deadline);
    list_remove(&v->node);
    if (v->has_place) {
        v->ep->live->open--;
        loan_place_left(env->loans, v->ep->live);
        turn_wake(env->turn);
    }
    turn_bury(env->turn, &v->dead, verify_free);
}

static bool translated(const struct verify *v)
{
    return v->ep->ce->protocol == PROTOCOL_OPENAI;
}

/* The model that the endpoint is being asked for; empty: none, or no frame holds its name. */
static struct str asked_for(const struct verify *v)
{
    bool fits =
        !v->head_only && !v->list && v->at < v->nmodels && v->models[v->at].n <= IPC_MODEL_MAX;
    return fits ? v->models[v->at] : STR("");
}

/* The list of models was asked for: LISTED, with what the endpoint has sent, or with NULL that it
 * has sent none. */
static void end_list(struct verify *v, const struct buf *models, const char *reason)
{
    struct ipc_listed m = {.endpoint = str_c(v->ep->ce->id), .seq = v->seq, .ok = models != NULL};
    if (models)
        m.models = buf_view(models);
    uplink_send(v->env->uplink, ipc_put_v_listed, &m);
    log_debug("list of models of %s: %s", v->ep->ce->name, models ? "ok" : reason);
    drop(v);
}

static void end(struct verify *v, const struct verdict *how, enum net_fault net, const char *reason)
{
    if (v->list) {
        end_list(v, NULL, reason);
        return;
    }
    bool ok = how->cls == OUTCOME_OK;
    struct ipc_verdict m = {
        .endpoint = str_c(v->ep->ce->id),
        .seq = v->seq,
        .ok = ok,
        .cls = how->cls,
        .fault = how->fault,
        .scope = how->scope,
        .sent = asked_for(v),
        .net = net,
        .status = net == NET_NONE ? v->status : 0,
        .retry_after_ms = how->retry_after_ms,
        .began_ms = v->began_ms,
        .own_key = v->ep->ce->api_key != NULL || translated(v),
        .reason = str_c(reason),
    };
    uplink_send(v->env->uplink, ipc_put_v_verdict, &m);
    log_debug("verification of %s: %s", v->ep->ce->name, ok ? "ok" : reason);
    drop(v);
}

/* A timeout while this process stood still is no verdict: NET_LOCAL gives the verification back. */
static void end_by_net(struct verify *v, enum net_fault net, const char *reason)
{
    struct verdict why;
    if (net_fault_timeout(net) && exchange_stood_still(&v->exchange)) {
        net = NET_LOCAL;
        reason = "this worker stood still";
    }
    classify_net(net, v->status != 0, &why);
    end(v, &why, net, reason);
}

/* The present model is asked for at the end of the turn. */
static void ask_anew(struct verify *v)
{
    v->due = true;
    exchange_abort(&v->exchange);
    turn_wake(v->env->turn);
}

/* Whether there is another model to ask for. It is asked for at the end of the turn. */
static bool ask_next(struct verify *v)
{
    if (v->head_only || v->at + 1 >= v->nmodels)
        return false;
    v->at++;
    ask_anew(v);
    return true;
}

/* Ends the verification by a reply, or goes on to the next model if the reply refuses only this
 * one. */
static void end_by_reply(struct verify *v, enum evidence_kind kind, struct str body)
{
    struct evidence ev;
    struct verdict why;
    char reason[120];
    struct str seen = str_make(body.p, min_size(body.n, EVIDENCE_BODY_MAX));
    evidence_read(&ev, kind, v->status, v->f, v->nf, seen, &v->mem);
    ev.model = asked_for(v);
    classify(&ev, clock_wall_ms(), &why);
    snprintf(reason, sizeof reason, "status %u, %s", v->status, why.rule ? why.rule : "");
    if (why.cls == OUTCOME_PERMANENT && why.about_model && ask_next(v)) {
        log_debug("verification of %s: %s: another model is asked for", v->ep->ce->name, reason);
        return;
    }
    end(v, &why, NET_NONE, reason);
}

/* ---- the reply */

static void judge_list(struct verify *v)
{
    struct buf models;
    buf_init(&models, MODEL_PACK_MAX);
    bool ok = v->status == 200 && list_reply_read(buf_view(&v->body), &models);
    end_list(v, ok ? &models : NULL, "the endpoint has sent none");
    buf_free(&models);
}

static void judge(struct verify *v)
{
    struct str body = buf_view(&v->body);
    if (v->list) {
        judge_list(v);
        return;
    }
    if (v->head_only && v->status < 500) {
        end(v, &good, NET_NONE, "");
        return;
    }
    if (translated(v) && !v->head_only && interpreter_learn(&v->interpreter, v->status, body)) {
        ask_anew(v);
        return;
    }
    if (v->status != 200) {
        end_by_reply(v, EVIDENCE_HTTP, body);
        return;
    }
    if (evidence_is_error_body(body)) {
        end_by_reply(v, EVIDENCE_BAD_200, body);
        return;
    }
    if (v->unread && body.n) { /* the reply to a request would be a success */
        end(v, &good, NET_NONE, "");
        return;
    }
    struct sse s;
    sse_init(&s);
    for (size_t at = 0; at < body.n;)
        at += sse_feed(&s, body.p + at, body.n - at);
    sse_finish(&s);
    if (s.error) {
        end_by_reply(v, EVIDENCE_SSE_ERROR, buf_view(&s.error_data));
    } else if (verify_answered(body, str_make(v->code, CODE_LEN))) {
        end(v, &good, NET_NONE, "");
    } else {
        /* A page comes from what stands before the API. */
        bool page = str_starts(evidence_trim(body), STR("<"));
        struct verdict no = {.cls = OUTCOME_UNKNOWN,
                             .fault = FAULT_ENDPOINT,
                             .scope = page ? SCOPE_ENDPOINT : SCOPE_MODEL,
                             .retry_after_ms = -1};
        end(v, &no, NET_NONE, "the reply lacks the code that was asked for");
    }
    sse_free(&s);
}

/* An event of a reply whose protocol is translated. */
static bool on_translated(struct verify *v, const struct exchange_event *ev)
{
    uint64_t seed = rnd_next(&v->env->rnd);
    if (ev->head && !interpreter_begin(&v->interpreter, ev->head, seed, VERIFY_REPLY_MAX)) {
        end_by_net(v, NET_LOCAL, "out of memory");
        return false;
    }
    struct interpreted in = interpreter_feed(&v->interpreter, ev->data, ev->n, ev->end);
    bool failed = in.fed == OPENAI_FAILED, fits = failed || buf_str(&v->body, in.bytes);
    if (in.fed == OPENAI_MORE && fits)
        return true;
    if (failed && in.net != NET_NONE)
        end_by_net(v, in.net, net_fault_text(in.net));
    else if (failed)
        end_by_reply(v, in.kind, in.body);
    else
        judge(v);
    return false;
}

/* Takes a piece of the reply as it is read. Returns whether more of it is wanted. */
static bool take(struct verify *v, const struct exchange_event *ev)
{
    if (translated(v) && v->status == 200 && !v->head_only && !v->list)
        return on_translated(v, ev);
    /* A longer reply is no answer to the question; the bytes so far decide. */
    bool fits = buf_add(&v->body, ev->data, ev->n);
    if (!ev->end && fits)
        return true;
    judge(v);
    return false;
}

/* Prepares for a reply that came compressed although nobody asked for that. False: no memory. */
static bool begin_coding(struct verify *v, struct http_head *h)
{
    enum coding c = decode_coding(h);
    const struct http_field *type = http1_field(h, HDR_CONTENT_TYPE);
    v->unread =
        c == CODING_OTHER && type && str_starts_nocase(type->value, STR("application/json"));
    if ((c == CODING_GZIP || c == CODING_DEFLATE) && h->body != BODY_NONE)
        v->decode = decode_new(c, h, false, 0);
    return v->decode || c == CODING_NONE || c == CODING_OTHER || h->body == BODY_NONE;
}

/* Takes the inflated pieces of an event. head: of the first one, else NULL. */
static bool take_decoded(struct verify *v, const struct exchange_event *ev)
{
    struct decode *d = v->decode;
    const struct http_head *head = ev->head;
    enum decode_result res = DECODE_NO_ROOM;
    struct exchange_event piece;
    for (bool taken = decode_take(d, ev); taken; head = NULL) {
        res = decode_next(d, &piece);
        if (res == DECODE_CUT || res == DECODE_DAMAGED || res == DECODE_NO_ROOM)
            break;
        piece.head = head;
        if ((res == DECODE_PIECE_OUT || head) && !take(v, &piece))
            return false;
        if (res == DECODE_NEED_MORE)
            return true;
    }
    if (res != DECODE_NO_ROOM)
        end_by_net(v, res == DECODE_CUT ? NET_PARTIAL : NET_GARBAGE,
                   "the reply is not what content-encoding says");
    else
        end_by_net(v, NET_LOCAL, "out of memory");
    return false;
}

static bool on_event(struct exchange *x, const struct exchange_event *ev)
{
    struct verify *v = CONTAINER_OF(x, struct verify, exchange);
    if (ev->head && !begin_coding(v, v->env->exchange_env->head)) {
        end_by_net(v, NET_LOCAL, "out of memory");
        return false;
    }
    if (ev->head) {
        v->status = ev->head->status;
        v->nf = forward_keep(&v->mem, ev->head->f, ev->head->nf, &v->f);
    }
    return v->decode ? take_decoded(v, ev) : take(v, ev);
}

static void on_failed(struct exchange *x, enum net_fault why)
{
    end_by_net(CONTAINER_OF(x, struct verify, exchange), why, exchange_why(x, why));
}

static const struct exchange_ops ops = {on_event, on_failed};

static void on_deadline(struct deadline *t)
{
    struct verify *v = CONTAINER_OF(t, struct verify, deadline);
    if (v->has_place)
        end_by_net(v, NET_FIRST_BYTE_TIMEOUT, "no answer within failure_queue.probe_timeout");
    else
        end_by_net(v, NET_LOCAL, "no place within 1s");
}

/* ---- the request */

static bool put_body(const struct verify *v, struct buf *b, struct str model)
{
    return buf_str(b, STR("{\"model\":\"")) && json_escape(model, b) &&
           buf_printf(b, "\",\"max_tokens\":%d,", translated(v) ? THINKER_TOKENS : 64) &&
           buf_str(b, STR("\"messages\":[{\"role\":\"user\",\"content\":\"Reply with these six "
                          "characters and nothing else: ")) &&
           buf_add(b, v->code, CODE_LEN) && buf_str(b, STR("\"}]}"));
}

#define LINE(n, i, text)                                                                           \
    {                                                                                              \
        .name = {n, sizeof n - 1}, .line = n ": " text "\r\n",                                     \
        .line_len = sizeof(n ": " text "\r\n") - 1, .id = i                                        \
    }

/* Writes the request to v->send as the endpoint's protocol has it. */
static bool put_translated(struct verify *v, const struct forward_request *h, struct str body)
{
    struct interpreter *i = &v->interpreter;
    const struct conf_endpoint *ce = v->ep->ce;
    if (v->head_only)
        return forward_to_openai(&v->send, h, ce, STR("/"), 0);
    if (v->list)
        return forward_to_openai(&v->send, h, ce, STR("/models"), 0);
    return interpreter_request(i, ce, (uint32_t)v->ep->id_hash, v->models[v->at], body,
                               body.n / 4) == OPENAI_MADE &&
           forward_to_openai(&v->send, h, ce, STR("/chat/completions"), i->body.len) &&
           buf_str(&v->send, buf_view(&i->body));
}

/* Writes head and body of the request to v->send. */
static bool compose(struct verify *v)
{
    struct buf *body = &v->asked;
    buf_drop(body, body->len);
    struct http_field lines[] = {
        LINE("user-agent", HDR_OTHER, "qcc/" QCC_VERSION),
        LINE("accept", HDR_OTHER, "application/json"),
        LINE("content-type", HDR_CONTENT_TYPE, "application/json"),
    };
    struct forward_request h = {
        .method = v->list        ? STR("GET")
                  : v->head_only ? STR("HEAD")
                                 : STR("POST"),
        .target = v->list        ? STR("/v1/models?limit=1000")
                  : v->head_only ? STR("/")
                                 : STR("/v1/messages"),
        .f = lines,
        .nf = COUNT_OF(lines) - (v->head_only || v->list),
        .has_body = !v->head_only && !v->list,
    };
    bool ok = v->head_only || v->list || put_body(v, body, v->models[v->at]);
    if (ok && translated(v))
        ok = put_translated(v, &h, buf_view(body));
    else if (ok)
        ok = forward_to_endpoint(&v->send, &h, v->ep->ce, body->len) &&
             buf_str(&v->send, buf_view(body));
    return ok;
}

/* Sends the request on a new connection: a pooled one may have been closed, which proves
 * nothing. */
static bool ask(struct verify *v)
{
    struct req_env *env = v->env;
    if (!compose(v))
        return false;
    struct iovec iov = {buf_data(&v->send), v->send.len};
    return exchange_start(&v->exchange, env->exchange_env, &env->exchange_conf, v->ep->live->pool,
                          true,
                          v->list        ? METHOD_GET
                          : v->head_only ? METHOD_HEAD
                                         : METHOD_POST,
                          &iov, 1, &ops);
}

/* Asks for the present model. */
static void ask_due(struct verify *v)
{
    v->due = false;
    interpreter_drop(&v->interpreter);
    buf_drop(&v->send, v->send.len);
    buf_drop(&v->body, v->body.len);
    arena_free(&v->mem);
    arena_init(&v->mem, MEM_MAX);
    decode_free(v->decode);
    v->decode = NULL;
    v->unread = false;
    v->status = 0;
    v->f = NULL;
    v->nf = 0;
    if (!ask(v))
        end_by_net(v, NET_LOCAL, no_connection);
}

static void make_code(struct req_env *env, char out[CODE_LEN])
{
    /* Without letters that are easily confused. */
    static const char letters[] = "abcdefghjkmnpqrstuvwxyz23456789";
    for (size_t i = 0; i < CODE_LEN; i++)
        out[i] = letters[rnd_next(&env->rnd) % (sizeof letters - 1)];
}

/* ---- the beginning */

static const char unknown_here[] = "not in this worker's configuration";

/* There is a place for it. */
static void start(struct verify *v)
{
    struct req_env *env = v->env;
    const struct conf_endpoint *ce = v->ep->ce;
    v->has_place = true;
    v->ep->live->open++;
    loan_place_taken(env->loans, v->ep->live);
    v->began_ms = clock_boot_ms();
    v->head_only = !v->list && (env->conf->failure_queue.probe == PROBE_HTTP ||
                                (!ce->api_key && !translated(v)));
    struct str served = str_make(v->served, v->served_len);
    struct str listed =
        verify_model_listed(ce, str_make(v->ep->live->listed, v->ep->live->listed_n));
    listed.n = min_size(listed.n, sizeof v->listed);
    if (listed.n)
        memcpy(v->listed, listed.p, listed.n);
    listed.p = v->listed;
    v->nmodels = verify_models(v->ep->conf, ce, served, v->served_sent, listed, v->models);
    if (v->only) {
        v->models[0] = served;
        v->nmodels = 1;
    }
    deadline_set(&v->deadline, env->conf->failure_queue.probe_timeout);
    if (!ask(v))
        end_by_net(v, NET_LOCAL, no_connection);
}

/* Begins, or goes on waiting. A configuration may have come meanwhile. */
static void look(struct verify *v)
{
    struct req_env *env = v->env;
    struct ep *e = replica_find(env->replica, str_c(v->ep->ce->id));
    if (!e) {
        end_by_net(v, NET_LOCAL, unknown_here);
        return;
    }
    ep_ref(e);
    ep_unref(v->ep);
    v->ep = e;
    if (loan_place_free(e->live)) {
        start(v);
        return;
    }
    int64_t now = clock_boot_ms();
    if (!v->wait_since_ms) {
        log_debug("verification of %s: waits for a place", e->ce->name);
        v->wait_since_ms = now;
    }
    loan_place_want(env->loans, e->live, v->wait_since_ms, now);
}

void verify_wake_waiting(struct req_env *env)
{
    LIST_EACH(n, tmp, &env->verifications)
    {
        struct verify *v = LIST_ENTRY(n, struct verify, node);
        if (!v->has_place)
            look(v);
        else if (v->due)
            ask_due(v);
    }
}

void verify_begin(struct req_env *env, const struct ipc_verify *m)
{
    struct ep *e = replica_find(env->replica, m->endpoint);
    if (!e && m->list) {
        struct ipc_listed none = {.endpoint = m->endpoint, .seq = m->seq};
        uplink_send(env->uplink, ipc_put_v_listed, &none);
        return;
    }
    if (!e) {
        struct ipc_verdict gone = {.endpoint = m->endpoint,
                                   .seq = m->seq,
                                   .cls = OUTCOME_TRANSIENT,
                                   .net = NET_LOCAL,
                                   .retry_after_ms = -1,
                                   .reason = str_c(unknown_here)};
        uplink_send(env->uplink, ipc_put_v_verdict, &gone);
        return;
    }
    struct verify *v = mem_zalloc(1, sizeof *v);
    v->env = env;
    v->ep = ep_ref(e);
    v->seq = m->seq;
    make_code(env, v->code);
    buf_init(&v->send, SEND_MAX);
    v->list = m->list;
    buf_init(&v->body, v->list ? LIST_REPLY_MAX : VERIFY_REPLY_MAX);
    buf_init(&v->asked, SEND_MAX / 2);
    interpreter_init(&v->interpreter, env->interpreters, UINT64_MAX);
    arena_init(&v->mem, MEM_MAX);
    list_push_back(&env->verifications, &v->node);
    deadline_init(&v->deadline, env->loop, on_deadline);
    deadline_set(&v->deadline, VERIFY_PLACE_MS);
    v->served_sent = m->sent;
    v->only = m->family.n && m->model.n;
    v->served_len = min_size(m->model.n, sizeof v->served);
    if (v->served_len)
        memcpy(v->served, m->model.p, v->served_len);
    turn_wake(env->turn); /* at its end it begins, behind the requests that wait already */
}

void verify_stop(struct req_env *env)
{
    while (!list_empty(&env->verifications))
        drop(LIST_ENTRY(env->verifications.next, struct verify, node));
}
