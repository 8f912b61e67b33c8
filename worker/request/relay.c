#include "worker/request/relay.h"

#include "common/policy/poison.h"
#include "worker/evidence/evidence.h"
#include "worker/intake/cors.h"
#include "worker/request/failed/failures.h"
#include "worker/request/own_reply.h"
#include "worker/request/state/compose.h"
#include "worker/request/state/req.h"
#include "worker/request/state/stream.h"

#include <stdio.h>
#include <string.h>

/* How many milliseconds after its last event a stream may stay open. */
enum { AFTER_STOP_MS = 2000 };

/* Bytes that are inflated in one turn of a reply that goes on as it came. */
enum { INFLATE_MOST = 4 << 20 };

/* ---- writing to the client */

/* Two pieces of the reply's body in its framing, behind the head if there is one, and its end with
 * what a stream lacks there. */
static enum relay_result emit(struct req *r, struct str head, struct str a, struct str b, bool end)
{
    struct iovec v[7];
    char size[20];
    int n = 0;
    struct str tail = str_c(end && r->reply.tail ? r->reply.tail : "");
    size_t body = r->out.framing == OUT_NONE ? 0 : a.n + b.n + tail.n;
    bool chunked = r->out.framing == OUT_CHUNKED;
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
    r->out.bytes += body;
    enum client_room room = n ? r->c->ops->write(r->c, v, n, end) : CLIENT_ROOM;
    if (room == CLIENT_GONE)
        return RELAY_GONE;
    if (end)
        return RELAY_END;
    if (room == CLIENT_FULL && r->state == REQ_RELAY) { /* before that, only pings were written */
        r->out.full = true;
        exchange_pause(&r->attempt.exchange);
    }
    if (deadline_active(&r->out.ping))
        deadline_set(&r->out.ping, r->conf->stream_ping);
    return RELAY_ON;
}

enum relay_result relay_write(struct req *r, struct str piece, bool end)
{
    if (!end && piece.n == 0)
        return RELAY_ON;
    return emit(r, STR(""), piece, STR(""), end);
}

static bool own_lines(struct req *r, struct buf *b, bool close)
{
    bool ok = true;
    if (r->conf->expose_headers) {
        const char *name = r->attempt.ep ? r->attempt.ep->ce->name : r->out.answered_by;
        if (name)
            ok = buf_str(b, STR("x-qcc-endpoint: ")) && buf_str(b, str_c(name)) &&
                 buf_str(b, STR("\r\n"));
        ok = ok && buf_str(b, STR("x-qcc-attempts: ")) && buf_u64(b, r->attempt.begun) &&
             buf_str(b, STR("\r\nx-qcc-request-id: ")) && buf_str(b, str_c(r->id)) &&
             buf_str(b, STR("\r\n"));
    }
    ok = ok && cors_put(b, r->conf, r->in.origin);
    if (ok && close)
        ok = buf_str(b, STR("connection: close\r\n"));
    else if (ok && r->in.http10)
        ok = buf_str(b, STR("connection: keep-alive\r\n"));
    return ok && buf_str(b, STR("\r\n"));
}

/* Completes the head: framing, lines of QCC's own, the empty line. */
static bool end_head(struct req *r, struct buf *b)
{
    bool ok = true;
    switch (r->out.framing) {
    case OUT_NONE:
        if (r->reply.length < 0)
            break;
        /* fall through */
    case OUT_COUNTED:
        ok = buf_str(b, STR("content-length: ")) && buf_u64(b, (uint64_t)r->reply.length) &&
             buf_str(b, STR("\r\n"));
        break;
    case OUT_CHUNKED:
        ok = buf_str(b, STR("transfer-encoding: chunked\r\n"));
        break;
    case OUT_CLOSE:
        r->in.keep = false;
        break;
    }
    return ok && own_lines(r, b, !r->in.keep || r->c->ops->ends(r->c) || r->env->draining);
}

/* ---- errors after the commit point */

/* Ends the stream with an error event. An event that was cut is named "ping", which clients
 * ignore. */
static enum relay_result error_event(struct req *r, struct str json)
{
    struct buf b;
    buf_init(&b, 128 << 10);
    bool openai = r->in.api == API_OPENAI, ok = true;
    r->reply.status = 200; /* the client has this one, whatever the endpoint's was */
    if (r->state == REQ_RELAY && !sse_at_boundary(&r->reply.sse)) {
        ok = sse_at_line_start(&r->reply.sse) || buf_str(&b, STR("\n"));
        ok = ok && buf_str(&b, openai ? STR("\n") : STR("event: ping\n\n"));
    }
    ok = ok && buf_str(&b, openai ? STR("data: ") : STR("event: error\ndata: ")) &&
         buf_str(&b, json) && buf_str(&b, STR("\n\n"));
    enum relay_result res = emit(r, STR(""), ok ? buf_view(&b) : STR(""), STR(""), true);
    buf_free(&b);
    return res;
}

enum relay_result relay_error_event(struct req *r, unsigned status, const char *message)
{
    struct buf json;
    buf_init(&json, 64 << 10);
    if (!r->out.cut)
        r->out.cut = "error event";
    if (!own_reply_error_body(&json, own_reply_error_type(status), message))
        buf_free(&json);
    enum relay_result res = error_event(r, buf_view(&json));
    buf_free(&json);
    return res;
}

static bool can_insert(const struct req *r)
{
    return r->reply.kind == REPLY_STREAM && !req_reply_encoded(r) && r->out.framing != OUT_COUNTED;
}

/* What a complete stream is. */
static enum relay_piece last_of(const struct req *r)
{
    return r->reply.sse.failed && !req_reply_encoded(r) ? RELAY_ERROR : RELAY_LAST;
}

enum relay_piece relay_broken(struct req *r, enum net_fault why)
{
    if (r->reply.kind != REPLY_STREAM)
        return RELAY_BROKEN;
    /* A stream that is complete but for the last chunk has lost nothing. */
    if (why == NET_PARTIAL && r->reply.length < 0 && sse_end_told(&r->reply.sse.end))
        (void)!stream_close(r);
    return r->reply.sse.stopped || r->reply.sse.error ? last_of(r) : RELAY_BROKEN;
}

enum relay_result relay_cut_off(struct req *r)
{
    if (!can_insert(r))
        return r->out.framing == OUT_CLOSE ? RELAY_CUT_HARD : RELAY_CUT;
    char message[200];
    snprintf(message, sizeof message, "upstream %s broke off in the middle of its reply: %s",
             r->attempt.ep->ce->name, r->out.cut);
    return relay_error_event(r, 502, message);
}

/* Starts the deadline after a stream's last event: some endpoints keep the connection open. */
static void watch_end(struct req *r)
{
    if (r->reply.sse.stopped && !req_reply_encoded(r) && !deadline_active(&r->deadline))
        deadline_set(&r->deadline, AFTER_STOP_MS);
}

/* ---- the commit point */

static void forget_request(struct req *r, bool whole)
{
    if (!exchange_sent(&r->attempt.exchange))
        return;                    /* an early reply: the rest of the request is still being sent */
    if (!whole && !req_is_side(r)) /* the reply may break */
        r->failed.message = poison_sample(body_view(&r->in.body));
    req_free_body(r);
    compose_sent(r);
    arena_free(&r->msg);
    r->in.head.f = NULL;
    r->in.head.nf = 0;
}

static enum out_framing choose_framing(const struct req *r, bool whole)
{
    if (r->reply.no_body)
        return OUT_NONE;
    if (r->reply.kind == REPLY_STREAM && !req_reply_encoded(r)) /* pings may have to be inserted */
        return r->in.http10 ? OUT_CLOSE : OUT_CHUNKED;
    if (r->reply.length >= 0 || whole)
        return OUT_COUNTED;
    return r->in.http10 ? OUT_CLOSE : OUT_CHUNKED;
}

/* Whether the end of the JSON that a reply is shows that it is whole: it has no length, and goes on
 * for longer than it was held. */
static bool watches_json(const struct req *r)
{
    return r->reply.kind == REPLY_WHOLE && r->reply.length < 0 && !r->reply.no_body &&
           !req_is_side(r) && !req_reply_encoded(r) && !r->attempt.translated;
}

static bool as_came(const struct req *r)
{
    return r->reply.decode && r->reply.decode->as_came;
}

void relay_inflate(struct req *r)
{
    struct exchange_event piece;
    enum decode_result res = DECODE_PIECE_OUT;
    size_t most = INFLATE_MOST;
    while (r->reply.end_watched && res == DECODE_PIECE_OUT && most) {
        res = decode_next(r->reply.decode, &piece);
        json_end_feed(&r->reply.json_end, str_make(piece.data, piece.n));
        most -= min_size(piece.n, most);
        if (piece.end)
            return;
    }
    if (res == DECODE_CUT || res == DECODE_DAMAGED) /* the client cannot read it, whatever it is */
        r->reply.json_end = (struct json_end){0};
    /* so much of so little is no text; the client sees whether it is whole */
    if (most == 0 || res == DECODE_NO_ROOM)
        r->reply.end_watched = false;
}

bool relay_as_came(struct req *r, struct str *piece, bool *end)
{
    struct decode *d = r->reply.decode;
    d->passed = true;
    r->reply.end_watched = !*end && watches_json(r);
    if (r->reply.end_watched) {
        json_end_feed(&r->reply.json_end, buf_view(&r->reply.held));
        json_end_feed(&r->reply.json_end, *piece);
        relay_inflate(r);
    }
    buf_drop(&r->reply.held, r->reply.held.len);
    *piece = buf_view(&d->wire);
    *end = d->last;
    return !d->last || !r->reply.end_watched || r->reply.json_end.whole;
}

enum relay_result relay_commit(struct req *r, struct str piece, bool end)
{
    struct str head = STR("");
    if (!r->out.begun) {
        r->out.framing = choose_framing(r, end);
        if (r->reply.length < 0 && r->out.framing == OUT_COUNTED)
            r->reply.length = (int64_t)(r->reply.held.len + piece.n);
        if (!end_head(r, &r->reply.head))
            return RELAY_CUT_HARD;
        head = buf_view(&r->reply.head);
    }
    forget_request(r, end);
    if (!end) {
        req_narrow_fields(r);
        watch_end(r);
    }
    if (!end && !as_came(r) && watches_json(r)) {
        r->reply.end_watched = true;
        json_end_feed(&r->reply.json_end, buf_view(&r->reply.held));
        json_end_feed(&r->reply.json_end, piece);
    }
    enum relay_result res = emit(r, head, buf_view(&r->reply.held), piece, end);
    buf_free(&r->reply.held);
    buf_free(&r->reply.head);
    return res;
}

struct str relay_masked(struct req *r, struct str piece)
{
    struct buf b;
    if (!failures_has_key(piece, r->attempt.ep->ce->api_key))
        return piece;
    buf_init(&b, 2 * piece.n + 1024);
    bool ok = failures_mask(&b, piece, r->attempt.ep->ce->api_key);
    const char *copy = ok ? arena_strndup(&r->mem, buf_data(&b), b.len) : NULL;
    struct str text = copy ? str_make(copy, b.len) : STR("");
    buf_free(&b);
    return text;
}

static enum relay_piece look_at_stream(struct req *r, const struct exchange_event *ev,
                                       struct str *piece)
{
    bool failed = r->reply.sse.error;
    if (!req_reply_encoded(r))
        stream_scan(r, ev->data, ev->n);
    bool whole = ev->end && stream_close(r);
    failed = r->reply.sse.error && !failed;
    if (failed)
        *piece = relay_masked(r, *piece);
    if (ev->end)
        return whole ? last_of(r) : RELAY_BROKEN;
    watch_end(r);
    return RELAY_PIECE;
}

enum relay_piece relay_look(struct req *r, const struct exchange_event *ev, struct str *piece)
{
    *piece = str_make(ev->data, ev->n);
    if (r->reply.kind == REPLY_STREAM)
        return look_at_stream(r, ev, piece);
    if (r->reply.end_watched && !as_came(r))
        json_end_feed(&r->reply.json_end, *piece);
    if (!ev->end)
        return RELAY_PIECE;
    return r->reply.end_watched && !r->reply.json_end.whole ? RELAY_BROKEN : RELAY_LAST;
}

/* ---- pings */

static struct str ping_text(const struct req *r)
{
    return r->in.api == API_OPENAI ? STR(": ping\n\n")
                                   : STR("event: ping\ndata: {\"type\": \"ping\"}\n\n");
}

enum relay_result relay_begin(struct req *r)
{
    struct buf b;
    buf_init(&b, 2048);
    r->out.begun = true;
    if (r->state != REQ_HOLD) /* there it is that of the endpoint, which is still to be judged */
        r->reply.status = 200;
    r->out.framing = r->in.http10 ? OUT_CLOSE : OUT_CHUNKED;
    bool ok =
        buf_str(&b, STR("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
                        "cache-control: no-cache\r\n")) &&
        buf_str(&b, r->in.http10 ? STR("") : STR("transfer-encoding: chunked\r\n"));
    if (r->in.http10)
        r->in.keep = false;
    if (ok && r->conf->expose_headers)
        ok = buf_printf(&b, "x-qcc-request-id: %s\r\n", r->id);
    ok = ok && cors_put(&b, r->conf, r->in.origin);
    ok = ok && buf_str(&b, r->in.keep ? STR("\r\n") : STR("connection: close\r\n\r\n"));
    enum relay_result res = emit(r, ok ? buf_view(&b) : STR(""), ping_text(r), STR(""), false);
    buf_free(&b);
    return res;
}

enum relay_result relay_ping(struct req *r)
{
    bool fits =
        r->state != REQ_RELAY ? r->out.begun : can_insert(r) && sse_at_boundary(&r->reply.sse);
    if (!fits || !r->c->ops->quiet(r->c)) /* bytes are waiting: the client is slow */
        return RELAY_ON;
    return emit(r, STR(""), ping_text(r), STR(""), false);
}

/* ---- a reply that was kept */

/* Appends the kept head without the lines that QCC's own replace, and without the coding of a body
 * that was inflated. own_wait: retry-after is one. */
static bool kept_head(struct buf *b, const struct kept_reply *k, unsigned status, bool own_wait)
{
    bool first = true, ok = true;
    struct str head = buf_view(&k->head);
    while (ok && head.n) {
        ptrdiff_t eol = str_find(head, STR("\r\n"));
        size_t n = eol < 0 ? head.n : (size_t)eol + 2;
        struct str line = str_make(head.p, n);
        if (first && status)
            ok = buf_printf(b, "HTTP/1.1 %u %s\r\n", status, forward_reason(status));
        else if (!(own_wait && str_starts_nocase(line, STR("retry-after"))) &&
                 !(k->inflated && str_starts_nocase(line, STR("content-encoding"))))
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

/* Ends a reply that has begun with a ping with the error of a kept one. */
static enum relay_result kept_event(struct req *r, const struct kept_reply *k, unsigned status)
{
    struct str object = kept_object(r, buf_view(&k->body));
    r->out.cut = "error event";
    if (k->client_status && !evidence_is_error_body(object))
        object = STR(""); /* it was no answer, but is no error either */
    if (object.n)
        return error_event(r, object);
    char message[64];
    unsigned told = k->client_status ? k->client_status : k->status;
    snprintf(message, sizeof message, "upstream error %u", k->status);
    return relay_error_event(r, status ? status : told, message);
}

enum relay_result relay_kept(struct req *r, struct kept_reply *k, unsigned status,
                             unsigned retry_after_s)
{
    r->out.answered_by = k->endpoint;
    r->out.translated = k->translated;
    r->reply.sse.usage = k->usage;
    if (r->out.begun)
        return kept_event(r, k, status);
    struct buf b;
    buf_init(&b, k->head.len + 4096);
    if (k->client_status && (!status || status == k->status))
        status = k->client_status;
    bool replace = status && status != k->status;
    bool none = r->in.method == METHOD_HEAD;
    r->reply.status = replace ? status : k->status;
    if (r->reply.status < 400)
        r->out.cut = "error event from the endpoint";
    r->out.framing = none ? OUT_NONE : OUT_COUNTED;
    r->reply.length = none ? -1 : (int64_t)k->body.len;
    bool ok = kept_head(&b, k, replace ? status : 0, retry_after_s > 0);
    if (ok && retry_after_s)
        ok = buf_printf(&b, "retry-after: %u\r\n", retry_after_s);
    ok = ok && end_head(r, &b);
    enum relay_result res =
        ok ? emit(r, buf_view(&b), buf_view(&k->body), STR(""), true) : RELAY_CUT_HARD;
    buf_free(&b);
    return res;
}
