#include "common/policy/poison.h"
#include "worker/intake/cors.h"
#include "worker/evidence/evidence.h"
#include "worker/request/own_reply.h"
#include "worker/request/req.h"
#include "worker/request/failures.h"

#include <stdio.h>
#include <string.h>

/* How many milliseconds after its last event a stream may stay open. */
enum { AFTER_STOP_MS = 2000 };

static void on_ping(struct deadline *t);

void relay_init(struct req *r)
{
    const struct conf *c = r->conf;
    deadline_init(&r->ping, r->env->loop, on_ping);
    buf_init(&r->rhead, 2 * (size_t)c->upstream.max_response_header_bytes + 1024);
    buf_init(&r->held, max_size((size_t)c->retry.hold_reply, REQ_STREAM_HOLD) + TURN_READ);
    sse_init(&r->sse);
}

void relay_free(struct req *r)
{
    deadline_fini(&r->ping);
    buf_free(&r->rhead);
    buf_free(&r->held);
    sse_free(&r->sse);
}

/* ---- writing to the client */

/* Two pieces of the reply's body in its framing, behind the head if there is one, and its end with
 * what a stream lacks there. */
static void emit(struct req *r, struct str head, struct str a, struct str b, bool end)
{
    struct iovec v[7];
    char size[20];
    int n = 0;
    struct str tail = str_c(end && r->tail ? r->tail : "");
    size_t body = r->framing == OUT_NONE ? 0 : a.n + b.n + tail.n;
    bool chunked = r->framing == OUT_CHUNKED;
    if (head.n)
        v[n++] = iov_of(head);
    if (body && chunked)
        v[n++] = iov_of(str_make(size, chunk_head(size, body)));
    if (body && a.n)
        v[n++] = iov_of(a);
    if (body && b.n)
        v[n++] = iov_of(b);
    if (body && tail.n)
        v[n++] = iov_of(tail);
    if (body && chunked)
        v[n++] = end ? iov_of(STR("\r\n0\r\n\r\n")) : iov_of(STR("\r\n"));
    else if (chunked && end)
        v[n++] = iov_of(STR("0\r\n\r\n"));
    r->bytes_out += body;
    enum client_room room = n ? r->c->ops->write(r->c, v, n) : CLIENT_ROOM;
    if (room == CLIENT_GONE)
        req_gone(r);
    else if (end)
        req_finish(r, r->framing != OUT_CLOSE);
    else {
        if (room == CLIENT_FULL && r->state == REQ_RELAY) /* before that, only pings were written */
            exchange_pause(&r->exchange);
        if (deadline_active(&r->ping))
            deadline_set(&r->ping, r->conf->stream_ping);
    }
}

static bool own_lines(struct req *r, struct buf *b, bool close)
{
    bool ok = true;
    if (r->conf->expose_headers) {
        const char *name = r->ep ? r->ep->ce->name : r->answered_by;
        if (name)
            ok = buf_str(b, STR("x-qcc-endpoint: ")) && buf_str(b, str_c(name)) &&
                 buf_str(b, STR("\r\n"));
        ok = ok && buf_str(b, STR("x-qcc-attempts: ")) && buf_u64(b, r->attempts) &&
             buf_str(b, STR("\r\nx-qcc-request-id: ")) && buf_str(b, str_c(r->id)) &&
             buf_str(b, STR("\r\n"));
    }
    ok = ok && cors_put(b, r->conf, r->origin);
    if (ok && close)
        ok = buf_str(b, STR("connection: close\r\n"));
    else if (ok && r->http10)
        ok = buf_str(b, STR("connection: keep-alive\r\n"));
    return ok && buf_str(b, STR("\r\n"));
}

/* Completes the head: framing, lines of QCC's own, the empty line. */
static bool end_head(struct req *r, struct buf *b)
{
    bool ok = true;
    switch (r->framing) {
    case OUT_NONE:
        if (!r->reply_has_length)
            break;
        /* fall through */
    case OUT_COUNTED:
        ok = buf_str(b, STR("content-length: ")) && buf_u64(b, r->reply_length) &&
             buf_str(b, STR("\r\n"));
        break;
    case OUT_CHUNKED:
        ok = buf_str(b, STR("transfer-encoding: chunked\r\n"));
        break;
    case OUT_CLOSE:
        r->keep = false;
        break;
    }
    return ok && own_lines(r, b, !r->keep || r->c->ops->ends(r->c) || r->env->draining);
}

/* ---- errors after the commit point */

/* Ends the stream with an error event. An event that was cut is named "ping", which clients
 * ignore. */
static void error_event(struct req *r, struct str json)
{
    struct buf b;
    buf_init(&b, 128 << 10);
    bool openai = r->api == API_OPENAI, ok = true;
    r->status = 200; /* the client has this one, whatever the endpoint's was */
    if (r->state == REQ_RELAY && !sse_at_boundary(&r->sse)) {
        ok = sse_at_line_start(&r->sse) || buf_str(&b, STR("\n"));
        ok = ok && buf_str(&b, openai ? STR("\n") : STR("event: ping\n\n"));
    }
    ok = ok && buf_str(&b, openai ? STR("data: ") : STR("event: error\ndata: ")) &&
         buf_str(&b, json) && buf_str(&b, STR("\n\n"));
    emit(r, STR(""), ok ? buf_view(&b) : STR(""), STR(""), true);
    buf_free(&b);
}

void relay_error_event(struct req *r, unsigned status, const char *message)
{
    struct buf json;
    buf_init(&json, 64 << 10);
    if (!r->cut)
        r->cut = "error event";
    if (!own_reply_error_body(&json, own_reply_error_type(status), message))
        buf_free(&json);
    error_event(r, buf_view(&json));
    buf_free(&json);
}

static bool can_insert(const struct req *r)
{
    return r->kind == REPLY_STREAM && !r->encoded && r->framing != OUT_COUNTED;
}

/* Reports a stream that ended with the endpoint's error event as failed, though it is complete. */
static void end_of_stream(struct req *r)
{
    if (!r->sse.error || r->sse.stopped || r->encoded)
        return;
    attempt_broke(r, NET_NONE, buf_view(&r->sse.error_data));
    r->cut = "error event from the endpoint";
}

/* After the commit point nothing can be repeated: the client gets an error. */
void relay_break_off(struct req *r, enum net_fault why)
{
    /* A stream that is complete but for the last chunk has lost nothing. */
    if (r->kind == REPLY_STREAM && why == NET_PARTIAL && !r->reply_has_length &&
        sse_end_told(&r->sse.end))
        (void)!relay_close(r);
    /* the last event was received */
    if (r->kind == REPLY_STREAM && (r->sse.stopped || r->sse.error)) {
        end_of_stream(r);
        exchange_abort(&r->exchange);
        emit(r, STR(""), STR(""), STR(""), true);
        return;
    }
    attempt_broke(r, why, STR(""));
    exchange_abort(&r->exchange);
    r->cut = net_fault_text(why);
    if (!can_insert(r)) {
        req_finish_cut(r, r->framing == OUT_CLOSE);
        return;
    }
    char message[200];
    snprintf(message, sizeof message, "upstream %s broke off in the middle of its reply: %s",
             r->ep->ce->name, r->cut);
    relay_error_event(r, 502, message);
}

/* Starts the deadline after a stream's last event: some endpoints keep the connection open. */
static void watch_end(struct req *r)
{
    if (r->sse.stopped && !r->encoded && !deadline_active(&r->deadline))
        deadline_set(&r->deadline, AFTER_STOP_MS);
}

void relay_over(struct req *r)
{
    relay_break_off(r, NET_IDLE_TIMEOUT);
}

/* ---- the commit point */

static void forget_request(struct req *r, bool whole)
{
    if (!exchange_sent(&r->exchange))
        return;             /* an early reply: the rest of the request is still being sent */
    if (!whole && !r->side) /* the reply may break */
        r->message = poison_sample(body_view(&r->body));
    body_free(&r->body);
    buf_free(&r->send);
    buf_free(&r->model_sent);
    arena_free(&r->msg);
    r->head.f = NULL;
    r->head.nf = 0;
}

static enum out_framing choose_framing(const struct req *r, bool whole)
{
    if (r->no_body)
        return OUT_NONE;
    if (r->kind == REPLY_STREAM && !r->encoded) /* pings may have to be inserted */
        return r->http10 ? OUT_CLOSE : OUT_CHUNKED;
    if (r->reply_has_length || whole)
        return OUT_COUNTED;
    return r->http10 ? OUT_CLOSE : OUT_CHUNKED;
}

void relay_commit(struct req *r, struct str piece, bool end)
{
    attempt_served(r, end);
    req_set(r, REQ_RELAY);
    if (r->kind == REPLY_STREAM)
        counters_stream(r->env->counters, true);
    deadline_clear(&r->deadline);
    if (r->begun && (r->kind != REPLY_STREAM || r->encoded)) {
        exchange_abort(&r->exchange);
        relay_error_event(
            r, 502, "the endpoint's answer does not fit the stream that had begun with a ping");
        return;
    }
    struct buf held = r->held;
    buf_init(&r->held, held.max);
    struct str head = STR("");
    if (!r->begun) {
        r->framing = choose_framing(r, end);
        if (!r->reply_has_length && r->framing == OUT_COUNTED)
            r->reply_length = held.len + piece.n;
        if (!end_head(r, &r->rhead)) {
            buf_free(&held);
            req_finish_cut(r, true);
            return;
        }
        head = buf_view(&r->rhead);
    }
    struct buf rhead = r->rhead; /* emit may end the request */
    buf_init(&r->rhead, rhead.max);
    forget_request(r, end);
    if (!end)
        watch_end(r);
    emit(r, head, buf_view(&held), piece, end);
    buf_free(&held);
    buf_free(&rhead);
}

/* sse_feed stops at events that decide before the commit point; here they do not. */
void relay_feed(struct req *r, const char *p, size_t n)
{
    for (size_t at = 0; at < n;)
        at += sse_feed(&r->sse, p + at, n - at);
}

bool relay_close(struct req *r)
{
    /* Other streams need not have a last event that is known. */
    if (r->encoded || (r->api != API_MESSAGES && !(r->api == API_OPENAI && r->sse.end.choices)))
        return true;
    char tail[SSE_TAIL];
    if (!sse_close(&r->sse, tail))
        return false;
    r->tail = tail[0] ? arena_strndup(&r->mem, tail, strlen(tail)) : NULL;
    return !tail[0] || r->tail;
}

/* Relays a piece of a stream. end: the stream ends with it; whole: the result of relay_close
 * then. */
static void relay_piece(struct req *r, struct str piece, bool end, bool whole)
{
    if (!end) {
        watch_end(r);
        if (piece.n)
            emit(r, STR(""), piece, STR(""), false);
        return;
    }
    if (whole) {
        end_of_stream(r);
        emit(r, STR(""), piece, STR(""), true);
        return;
    }
    if (piece.n) {
        emit(r, STR(""), piece, STR(""), false);
        if (r->state != REQ_RELAY)
            return;
    }
    relay_break_off(r, NET_PARTIAL);
}

static void relay_stream(struct req *r, const struct exchange_event *ev)
{
    struct str piece = str_make(ev->data, ev->n);
    bool failed = r->sse.error;
    if (!r->encoded)
        relay_feed(r, ev->data, ev->n);
    bool whole = ev->end && relay_close(r);
    failed = r->sse.error && !failed;
    if (!failed || !failures_has_key(piece, r->ep->ce->api_key)) {
        relay_piece(r, piece, ev->end, whole);
        return;
    }
    struct buf masked;
    buf_init(&masked, 2 * piece.n + 1024);
    bool ok = failures_mask(&masked, piece, r->ep->ce->api_key);
    relay_piece(r, ok ? buf_view(&masked) : STR(""), ev->end, whole);
    buf_free(&masked);
}

void relay_more(struct req *r, const struct exchange_event *ev)
{
    if (r->kind == REPLY_STREAM)
        relay_stream(r, ev);
    else if (ev->n || ev->end)
        emit(r, STR(""), str_make(ev->data, ev->n), STR(""), ev->end);
}

/* ---- pings */

static struct str ping_text(const struct req *r)
{
    return r->api == API_OPENAI ? STR(": ping\n\n")
                                : STR("event: ping\ndata: {\"type\": \"ping\"}\n\n");
}

/* Begins the reply as an event stream before an endpoint has answered: head and ping. */
static void begin_stream(struct req *r)
{
    struct buf b;
    buf_init(&b, 2048);
    r->begun = true;
    r->status = 200;
    r->framing = r->http10 ? OUT_CLOSE : OUT_CHUNKED;
    bool ok =
        buf_str(&b, STR("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
                        "cache-control: no-cache\r\n")) &&
        buf_str(&b, r->http10 ? STR("") : STR("transfer-encoding: chunked\r\n"));
    if (r->http10)
        r->keep = false;
    if (ok && r->conf->expose_headers)
        ok = buf_printf(&b, "x-qcc-request-id: %s\r\n", r->id);
    ok = ok && cors_put(&b, r->conf, r->origin);
    ok = ok && buf_str(&b, r->keep ? STR("\r\n") : STR("connection: close\r\n\r\n"));
    emit(r, ok ? buf_view(&b) : STR(""), ping_text(r), STR(""), false);
    buf_free(&b);
}

bool relay_begin(struct req *r)
{
    if (r->begun || !deadline_active(&r->ping))
        return false;
    begin_stream(r);
    return true;
}

static void on_ping(struct deadline *t)
{
    struct req *r = CONTAINER_OF(t, struct req, ping);
    deadline_set(&r->ping, r->conf->stream_ping);
    if (r->state == REQ_RELAY) {
        relay_probe(r);
        return;
    }
    if (r->state == REQ_HOLD && r->kind == REPLY_WHOLE)
        return; /* the reply is not a stream */
    if (r->begun)
        emit(r, STR(""), ping_text(r), STR(""), false);
    else
        begin_stream(r);
}

void relay_probe(struct req *r)
{
    if (!r->c->ops->quiet(r->c))
        return; /* bytes are waiting: the client is slow */
    if (r->state != REQ_RELAY ? r->begun : can_insert(r) && sse_at_boundary(&r->sse))
        emit(r, STR(""), ping_text(r), STR(""), false);
}

void relay_start_pings(struct req *r)
{
    bool streams = r->api == API_MESSAGES || r->api == API_COMPLETE || r->api == API_OPENAI;
    if (r->stream && streams && r->conf->stream_ping > 0)
        deadline_set(&r->ping, r->conf->stream_ping);
}

/* ---- a reply that was kept */

/* Appends the kept head without the lines that QCC's own replace. own_wait: retry-after is one. */
static bool kept_head(struct buf *b, struct str head, unsigned status, bool own_wait)
{
    bool first = true, ok = true;
    while (ok && head.n) {
        ptrdiff_t eol = str_find(head, STR("\r\n"));
        size_t n = eol < 0 ? head.n : (size_t)eol + 2;
        struct str line = str_make(head.p, n);
        if (first && status)
            ok = buf_printf(b, "HTTP/1.1 %u %s\r\n", status, forward_reason(status));
        else if (!own_wait || !str_starts_nocase(line, STR("retry-after")))
            ok = buf_str(b, line);
        first = false;
        head.p += n;
        head.n -= n;
    }
    return ok;
}

/* The error of a kept reply as data of an event: its JSON object, or that of its error event, with
 * line ends replaced by blanks. Empty: there is none, or it is too large. */
static struct str kept_object(struct req *r, struct str body)
{
    struct str s = evidence_trim(body), inner;
    if (s.n && s.p[0] != '{' && (inner = evidence_stream_error(s, &r->mem)).n)
        s = evidence_trim(inner);
    if (s.n < 2 || s.n >= 32768 || s.p[0] != '{' || s.p[s.n - 1] != '}')
        return STR("");
    char *line = arena_strndup(&r->mem, s.p, s.n);
    for (size_t i = 0; line && i < s.n; i++)
        if (line[i] == '\n' || line[i] == '\r')
            line[i] = ' ';
    return line ? str_make(line, s.n) : STR("");
}

void relay_kept(struct req *r, struct kept_reply *k, unsigned status, unsigned retry_after_s)
{
    r->answered_by = k->endpoint;
    r->sse.usage = k->usage;
    if (r->begun) {
        struct str object = kept_object(r, buf_view(&k->body));
        r->cut = "error event";
        if (object.n) {
            error_event(r, object);
        } else {
            char message[64];
            snprintf(message, sizeof message, "upstream error %u", k->status);
            relay_error_event(r,
                              status             ? status
                              : k->client_status ? k->client_status
                                                 : k->status,
                              message);
        }
        return;
    }
    struct buf b;
    buf_init(&b, k->head.len + 4096);
    if (k->client_status && (!status || status == k->status))
        status = k->client_status;
    bool replace = status && status != k->status;
    bool none = r->method == METHOD_HEAD;
    r->status = replace ? status : k->status;
    if (r->status < 400)
        r->cut = "error event from the endpoint";
    r->framing = none ? OUT_NONE : OUT_COUNTED;
    r->reply_has_length = !none;
    r->reply_length = k->body.len;
    bool ok = kept_head(&b, buf_view(&k->head), replace ? status : 0, retry_after_s > 0);
    if (ok && retry_after_s)
        ok = buf_printf(&b, "retry-after: %u\r\n", retry_after_s);
    if (ok && end_head(r, &b)) {
        struct buf body = k->body; /* emit may free r->failures with the request */
        k->body = (struct buf){0};
        emit(r, buf_view(&b), buf_view(&body), STR(""), true);
        buf_free(&body);
    } else {
        req_finish_cut(r, true);
    }
    buf_free(&b);
}
