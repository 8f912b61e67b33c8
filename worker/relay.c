#include "worker/conn.h"
#include "worker/peek.h"
#include "worker/reply.h"
#include "worker/req.h"

#include <stdio.h>

enum {
    STREAM_HOLD = 256 << 10, /* of a stream's head that is held back */
    ERROR_HOLD = 64 << 10    /* of an error reply, at the least: what the classifier reads */
};

static void on_ping(struct tmo *t);

void relay_init(struct req *r)
{
    const struct conf *c = r->conf;
    tmo_init(&r->ping, r->w->loop, on_ping);
    buf_init(&r->rhead, 2 * (size_t)c->upstream.max_response_header_bytes + 1024);
    buf_init(&r->held, max_size((size_t)c->retry.hold_reply, STREAM_HOLD) + WKR_RBUF);
    sse_init(&r->sse);
}

void relay_free(struct req *r)
{
    tmo_fini(&r->ping);
    buf_free(&r->rhead);
    buf_free(&r->held);
    sse_free(&r->sse);
}

void relay_drop(struct req *r)
{
    tmo_clear(&r->tmo);
    buf_free(&r->rhead);
    buf_free(&r->held);
    sse_free(&r->sse);
    sse_init(&r->sse);
    r->rf = NULL;
    r->nrf = 0;
}

/* ---- writing to the client */

static struct iovec iov_of(const char *p, size_t n)
{
    return (struct iovec){(void *)(uintptr_t)p, n};
}

/* Two pieces of the reply's body in its framing, behind the head if there is one, and its end. */
static void emit(struct req *r, struct str head, struct str a, struct str b, bool end)
{
    struct iovec v[6];
    char size[20];
    int n = 0;
    size_t body = r->framing == OUT_NONE ? 0 : a.n + b.n;
    bool chunked = r->framing == OUT_CHUNKED;
    if (head.n)
        v[n++] = iov_of(head.p, head.n);
    if (body && chunked)
        v[n++] = iov_of(size, chunk_head(size, body));
    if (body && a.n)
        v[n++] = iov_of(a.p, a.n);
    if (body && b.n)
        v[n++] = iov_of(b.p, b.n);
    if (body && chunked)
        v[n++] = end ? iov_of("\r\n0\r\n\r\n", 7) : iov_of("\r\n", 2);
    else if (chunked && end)
        v[n++] = iov_of("0\r\n\r\n", 5);
    r->bytes_out += body;
    enum conn_room room = n ? conn_write(r->c, v, n) : CONN_ROOM;
    if (room == CONN_GONE)
        req_gone(r);
    else if (end)
        req_finish(r, r->framing != OUT_CLOSE);
    else {
        if (room == CONN_FULL)
            up_pause(&r->up);
        if (tmo_active(&r->ping))
            tmo_set(&r->ping, r->conf->stream_ping);
    }
}

static bool own_lines(struct req *r, struct buf *b, bool close)
{
    bool ok = true;
    if (r->conf->expose_headers) {
        if (r->ep)
            ok = buf_str(b, STR("x-qcc-endpoint: ")) && buf_str(b, str_c(r->ep->ce->name)) &&
                 buf_str(b, STR("\r\n"));
        ok = ok && buf_str(b, STR("x-qcc-attempts: ")) && buf_u64(b, r->attempts) &&
             buf_str(b, STR("\r\nx-qcc-request-id: ")) && buf_str(b, str_c(r->id)) &&
             buf_str(b, STR("\r\n"));
    }
    if (ok && close)
        ok = buf_str(b, STR("connection: close\r\n"));
    else if (ok && r->http10)
        ok = buf_str(b, STR("connection: keep-alive\r\n"));
    return ok && buf_str(b, STR("\r\n"));
}

/* Ends the head with framing and our own lines. */
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
    return ok && own_lines(r, b, !r->keep || r->c->last || r->w->draining);
}

/* ---- the end of a stream that went wrong */

/* An event that was cut gets a name that every client overlooks; then comes ours. */
static void error_event(struct req *r, struct str json)
{
    struct buf b;
    buf_init(&b, 128 << 10);
    bool openai = r->api == API_OPENAI, ok = true;
    if (r->state == REQ_RELAY && !sse_at_boundary(&r->sse)) {
        ok = sse_at_line_start(&r->sse) || buf_str(&b, STR("\n"));
        ok = ok && buf_str(&b, openai ? STR("\n") : STR("event: ping\n\n"));
    }
    ok = ok && buf_str(&b, openai ? STR("data: ") : STR("event: error\ndata: ")) && buf_str(&b, json) &&
         buf_str(&b, STR("\n\n"));
    emit(r, STR(""), ok ? buf_view(&b) : STR(""), STR(""), true);
    buf_free(&b);
}

void relay_error_event(struct req *r, const char *message)
{
    struct buf json;
    buf_init(&json, 64 << 10);
    if (!r->cut)
        r->cut = "error event";
    if (!reply_error_body(&json, "api_error", message))
        buf_free(&json);
    error_event(r, buf_view(&json));
    buf_free(&json);
}

static bool can_insert(const struct req *r)
{
    return r->kind == REPLY_STREAM && !r->encoded && r->framing != OUT_COUNTED;
}

/* After the commit point nothing is repaired: the client is told. */
static void break_off(struct req *r, enum net_fault why)
{
    if (r->kind == REPLY_STREAM && r->sse.stopped) { /* all of it was there */
        up_abort(&r->up);
        emit(r, STR(""), STR(""), STR(""), true);
        return;
    }
    attempt_broke(r, why, STR(""));
    up_abort(&r->up);
    r->cut = net_fault_text(why);
    if (!can_insert(r)) {
        req_finish_cut(r, r->framing == OUT_CLOSE);
        return;
    }
    char message[200];
    snprintf(message, sizeof message, "upstream %s broke off in the middle of its reply: %s",
             r->ep->ce->name, r->cut);
    relay_error_event(r, message);
}

/* ---- the commit */

static void forget_request(struct req *r)
{
    if (!up_sent(&r->up))
        return; /* an early reply: the rest of the request is still going out */
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
    if (r->kind == REPLY_STREAM && !r->encoded) /* pings may have to be put in */
        return r->http10 ? OUT_CLOSE : OUT_CHUNKED;
    if (r->reply_has_length || whole)
        return OUT_COUNTED;
    return r->http10 ? OUT_CLOSE : OUT_CHUNKED;
}

/* The reply is good: what was held and the piece that decided go out. `end`: and that is all. */
static void commit(struct req *r, struct str piece, bool end)
{
    attempt_served(r);
    req_set(r, REQ_RELAY);
    tmo_clear(&r->tmo);
    if (r->begun && r->kind != REPLY_STREAM) {
        up_abort(&r->up);
        relay_error_event(r, "the endpoint answered without a stream, after pings had been sent");
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
    forget_request(r);
    emit(r, head, buf_view(&held), piece, end);
    buf_free(&held);
    buf_free(&rhead);
}

/* ---- a reply that is held back */

/* The reply's fields outlive the event: the classifier may want them. */
static void keep_fields(struct req *r, const struct http_head *h)
{
    r->rf = NULL;
    r->nrf = 0;
    if (h->nf == 0)
        return;
    const struct http_field *last = &h->f[h->nf - 1];
    const char *from = h->f[0].line;
    size_t bytes = (size_t)(last->line + last->line_len - from);
    char *copy = arena_strndup(&r->notes, from, bytes);
    struct http_field *f = copy ? arena_alloc(&r->notes, h->nf * sizeof *f) : NULL;
    if (!f)
        return;
    for (size_t i = 0; i < h->nf; i++) {
        f[i] = h->f[i];
        f[i].name.p = copy + (h->f[i].name.p - from);
        f[i].value.p = h->f[i].value.n ? copy + (h->f[i].value.p - from) : copy;
        f[i].line = copy + (h->f[i].line - from);
    }
    r->rf = f;
    r->nrf = h->nf;
}

static bool hold(struct req *r, const struct up_event *ev)
{
    return buf_add(&r->held, ev->data, ev->n);
}

static void hold_error(struct req *r, const struct up_event *ev)
{
    size_t most = max_size((size_t)r->conf->retry.hold_reply, ERROR_HOLD);
    bool fits = hold(r, ev) && r->held.len <= most;
    if (!fits || ev->end) {
        r->error_whole = fits && ev->end;
        attempt_failed(r, NET_NONE, EVIDENCE_HTTP, buf_view(&r->held));
    }
}

/* A page where JSON or a stream was asked for. */
static bool is_page(const struct req *r, struct str body)
{
    if (r->api == API_OTHER)
        return false;
    struct str t = str_trim(body);
    return t.n && t.p[0] == '<';
}

static void hold_stream(struct req *r, const struct up_event *ev);

static void judge_whole(struct req *r, struct str body, struct str piece)
{
    if (r->status == 200 && !r->no_body && !r->encoded) {
        if (body.n == 0) {
            attempt_failed(r, NET_EMPTY, EVIDENCE_BAD_200, body);
            return;
        }
        if (is_page(r, body) || evidence_is_error_body(body)) {
            r->error_whole = true;
            attempt_failed(r, NET_NONE, EVIDENCE_BAD_200, body);
            return;
        }
        if (r->api != API_OTHER)
            sse_usage_of_json(body, &r->sse.usage);
    }
    commit(r, piece, true);
}

/* Some relays send an event stream under another content type. */
static bool is_stream(const struct req *r, const struct up_event *ev)
{
    struct str s = str_make(ev->data, ev->n);
    return r->stream && r->api != API_OTHER && !r->encoded && r->status == 200 && r->held.len == 0 &&
           (str_starts(s, STR("event:")) || str_starts(s, STR("data:")));
}

static void hold_whole(struct req *r, const struct up_event *ev)
{
    if (is_stream(r, ev)) {
        r->kind = REPLY_STREAM;
        hold_stream(r, ev);
        return;
    }
    size_t most = (size_t)r->conf->retry.hold_reply;
    struct str piece = str_make(ev->data, ev->n);
    if (ev->end && r->held.len == 0) { /* the common case: all in one piece, no copy */
        judge_whole(r, piece, piece);
        return;
    }
    bool long_one = r->held.len + ev->n > most || (r->reply_has_length && r->reply_length > most);
    if (!ev->end && (long_one || (r->encoded && !r->reply_has_length))) {
        commit(r, piece, false);
        return;
    }
    if (!hold(r, ev)) {
        attempt_failed(r, NET_LOCAL, EVIDENCE_HTTP, STR(""));
        return;
    }
    if (ev->end)
        judge_whole(r, buf_view(&r->held), STR(""));
}

static void stream_failed(struct req *r, enum net_fault net)
{
    sse_finish(&r->sse);
    if (r->sse.error)
        attempt_failed(r, NET_NONE, EVIDENCE_SSE_ERROR, buf_view(&r->sse.error_data));
    else
        attempt_failed(r, net, EVIDENCE_SSE_ERROR, STR(""));
}

/* Reads along; what it says decides. */
static void feed_all(struct req *r, const char *p, size_t n)
{
    for (size_t at = 0; at < n;)
        at += sse_feed(&r->sse, p + at, n - at);
}

/* A stream is whole when it says so; of other makes than Anthropic's not all do. */
static bool stream_complete(const struct req *r)
{
    return r->sse.stopped || r->sse.error || r->encoded || r->api != API_MESSAGES;
}

static void relay_stream(struct req *r, const struct up_event *ev)
{
    struct str piece = str_make(ev->data, ev->n);
    if (!r->encoded)
        feed_all(r, ev->data, ev->n);
    if (!ev->end) {
        if (ev->n)
            emit(r, STR(""), piece, STR(""), false);
        return;
    }
    if (stream_complete(r)) {
        if (r->sse.error && !r->sse.stopped && !r->encoded) {
            attempt_broke(r, NET_NONE, buf_view(&r->sse.error_data));
            r->cut = "error event from the endpoint";
        }
        emit(r, STR(""), piece, STR(""), true);
        return;
    }
    if (ev->n) {
        emit(r, STR(""), piece, STR(""), false);
        if (r->state != REQ_RELAY)
            return;
    }
    break_off(r, NET_PARTIAL);
}

/* Goes over to relaying with a piece that was not all looked at. */
static void commit_stream(struct req *r, const struct up_event *ev, size_t looked)
{
    if (!ev->end) {
        feed_all(r, ev->data + looked, ev->n - looked);
        commit(r, str_make(ev->data, ev->n), false);
        return;
    }
    feed_all(r, ev->data + looked, ev->n - looked);
    bool whole = stream_complete(r);
    commit(r, str_make(ev->data, ev->n), whole);
    if (!whole && r->state == REQ_RELAY)
        break_off(r, NET_PARTIAL);
}

static void hold_stream(struct req *r, const struct up_event *ev)
{
    if (r->encoded) {
        commit(r, str_make(ev->data, ev->n), ev->end);
        return;
    }
    size_t at = 0;
    while (at < ev->n) {
        at += sse_feed(&r->sse, ev->data + at, ev->n - at);
        if (r->sse.content) {
            commit_stream(r, ev, at);
            return;
        }
        if (r->sse.error) {
            r->error_whole = hold(r, ev);
            stream_failed(r, NET_PARTIAL);
            return;
        }
    }
    if (ev->end) {
        r->error_whole = hold(r, ev);
        stream_failed(r, r->sse.first == SSE_EV_NONE ? NET_EMPTY : NET_PARTIAL);
        return;
    }
    if (!hold(r, ev) || r->held.len > STREAM_HOLD) {
        struct up_event rest = {0};
        commit_stream(r, &rest, 0);
        return;
    }
    if (r->sse.first != SSE_EV_NONE && !tmo_active(&r->tmo))
        tmo_set(&r->tmo, r->conf->retry.hold_stream_head);
}

void relay_hold_over(struct req *r)
{
    if (r->kind == REPLY_STREAM)
        commit(r, STR(""), false);
}

static void hold_more(struct req *r, const struct up_event *ev)
{
    switch (r->kind) {
    case REPLY_ERROR:
        hold_error(r, ev);
        return;
    case REPLY_WHOLE:
        hold_whole(r, ev);
        return;
    case REPLY_STREAM:
        hold_stream(r, ev);
        return;
    }
}

/* ---- news of the reply */

static bool has_content_type(const struct http_head *h, struct str type)
{
    const struct http_field *f = http1_field(h, HDR_CONTENT_TYPE);
    return f && str_starts_nocase(f->value, type);
}

static void reply_begins(struct req *r, const struct up_event *ev)
{
    const struct http_head *h = ev->head;
    req_set(r, REQ_HOLD);
    r->status = h->status;
    r->first_byte_at = r->up.first_byte_at;
    ep_ttfb(r->ep->live, r->up.first_byte_at - r->up.started);
    const struct http_field *enc = http1_field(h, HDR_CONTENT_ENCODING);
    r->encoded = enc && !str_eq_nocase(enc->value, STR("identity"));
    bool good = h->status < 300 || h->status == 304;
    bool stream = h->status == 200 && has_content_type(h, STR("text/event-stream"));
    r->kind = !good ? REPLY_ERROR : stream ? REPLY_STREAM : REPLY_WHOLE;
    r->no_body = h->body == BODY_NONE;
    r->reply_has_length = h->body == BODY_COUNTED;
    r->reply_length = h->length;
    if (r->no_body) { /* to HEAD: the length is told all the same */
        const struct http_field *len = http1_field(h, HDR_CONTENT_LENGTH);
        r->reply_has_length = len && h->status != 204 && str_to_u64(len->value, INT64_MAX, &r->reply_length);
    }
    if (!head_to_client(&r->rhead, h)) {
        attempt_failed(r, NET_GARBAGE, EVIDENCE_HTTP, STR(""));
        return;
    }
    if (r->kind == REPLY_ERROR || !ev->end)
        keep_fields(r, h);
    hold_more(r, ev);
}

void relay_event(struct req *r, const struct up_event *ev)
{
    switch (r->state) {
    case REQ_TRY:
        reply_begins(r, ev);
        return;
    case REQ_HOLD:
        hold_more(r, ev);
        return;
    case REQ_RELAY:
        if (r->kind == REPLY_STREAM)
            relay_stream(r, ev);
        else if (ev->n || ev->end)
            emit(r, STR(""), str_make(ev->data, ev->n), STR(""), ev->end);
        return;
    case REQ_READ:
    case REQ_PICK:
    case REQ_WAIT:
    case REQ_DONE:
    case REQ__COUNT:
        return;
    }
}

bool relay_broke(struct req *r, enum net_fault why)
{
    if (r->state == REQ_RELAY) {
        break_off(r, why);
        return true;
    }
    if (r->kind == REPLY_STREAM && !r->encoded) {
        stream_failed(r, why);
        return true;
    }
    if (r->kind == REPLY_ERROR && r->held.len) {
        /* what it said of the error counts more than that it was cut */
        attempt_failed(r, NET_NONE, EVIDENCE_HTTP, buf_view(&r->held));
        return true;
    }
    return false;
}

/* ---- pings */

static struct str ping_text(const struct req *r)
{
    return r->api == API_OPENAI ? STR(": ping\n\n") : STR("event: ping\ndata: {\"type\": \"ping\"}\n\n");
}

/* The answer begins as a stream although no endpoint has answered yet. */
static void begin_stream(struct req *r)
{
    struct buf b;
    buf_init(&b, 2048);
    r->begun = true;
    r->status = 200;
    r->framing = r->http10 ? OUT_CLOSE : OUT_CHUNKED;
    bool ok = buf_str(&b, STR("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
                              "cache-control: no-cache\r\n")) &&
              buf_str(&b, r->http10 ? STR("") : STR("transfer-encoding: chunked\r\n"));
    if (r->http10)
        r->keep = false;
    if (ok && r->conf->expose_headers)
        ok = buf_printf(&b, "x-qcc-request-id: %s\r\n", r->id);
    ok = ok && buf_str(&b, r->keep ? STR("\r\n") : STR("connection: close\r\n\r\n"));
    emit(r, ok ? buf_view(&b) : STR(""), ping_text(r), STR(""), false);
    buf_free(&b);
}

static void on_ping(struct tmo *t)
{
    struct req *r = CONTAINER_OF(t, struct req, ping);
    tmo_set(&r->ping, r->conf->stream_ping);
    if (r->state == REQ_RELAY) {
        relay_probe(r);
        return;
    }
    if (r->state == REQ_HOLD && r->kind == REPLY_WHOLE)
        return; /* no stream, as it turns out */
    if (r->begun)
        emit(r, STR(""), ping_text(r), STR(""), false);
    else
        begin_stream(r);
}

void relay_probe(struct req *r)
{
    if (r->c->out.len)
        return; /* there is no silence: the client is slow */
    if (r->state != REQ_RELAY ? r->begun : can_insert(r) && sse_at_boundary(&r->sse))
        emit(r, STR(""), ping_text(r), STR(""), false);
}

void relay_start_pings(struct req *r)
{
    bool streams = r->api == API_MESSAGES || r->api == API_COMPLETE || r->api == API_OPENAI;
    if (r->stream && streams && r->conf->stream_ping > 0)
        tmo_set(&r->ping, r->conf->stream_ping);
}

/* ---- a reply that was kept */

/* The kept head, without the lines that ours replace. */
static bool kept_head(struct buf *b, struct str head, unsigned status, bool own_wait)
{
    bool first = true, ok = true;
    while (ok && head.n) {
        ptrdiff_t eol = str_find(head, STR("\r\n"));
        size_t n = eol < 0 ? head.n : (size_t)eol + 2;
        struct str line = str_make(head.p, n);
        if (first && status)
            ok = buf_printf(b, "HTTP/1.1 %u %s\r\n", status, head_reason(status));
        else if (!own_wait || !str_starts_nocase(line, STR("retry-after")))
            ok = buf_str(b, line);
        first = false;
        head.p += n;
        head.n -= n;
    }
    return ok;
}

static bool one_line_object(struct str s)
{
    return s.n > 1 && s.n < 32768 && s.p[0] == '{' && s.p[s.n - 1] == '}' &&
           !memchr(s.p, '\n', s.n) && !memchr(s.p, '\r', s.n);
}

void relay_kept(struct req *r, struct kept_reply *k, unsigned status, unsigned retry_after_s)
{
    if (r->begun) {
        struct str body = str_trim(buf_view(&k->body));
        r->cut = "error event";
        if (one_line_object(body)) {
            error_event(r, body);
        } else {
            char message[64];
            snprintf(message, sizeof message, "upstream error %u", k->status);
            relay_error_event(r, message);
        }
        return;
    }
    struct buf b;
    buf_init(&b, k->head.len + 4096);
    bool replace = status && status != k->status;
    bool none = r->method == METHOD_HEAD;
    r->status = replace ? status : k->status;
    r->framing = none ? OUT_NONE : OUT_COUNTED;
    r->reply_has_length = !none;
    r->reply_length = k->body.len;
    bool ok = kept_head(&b, buf_view(&k->head), replace ? status : 0, retry_after_s > 0);
    if (ok && retry_after_s)
        ok = buf_printf(&b, "retry-after: %u\r\n", retry_after_s);
    if (ok && end_head(r, &b)) {
        struct buf body = k->body; /* the trail goes with the request */
        k->body = (struct buf){0};
        emit(r, buf_view(&b), buf_view(&body), STR(""), true);
        buf_free(&body);
    } else {
        req_finish_cut(r, true);
    }
    buf_free(&b);
}
