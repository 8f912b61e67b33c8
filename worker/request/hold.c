#include "worker/request/hold.h"

#include "worker/evidence/answer.h"
#include "worker/evidence/evidence.h"
#include "worker/request/interpret.h"
#include "worker/request/state/req.h"
#include "worker/request/state/stream.h"

enum {
    ERROR_HOLD = 64 << 10, /* bytes of an error reply that are held at least: for the classifier */
    SNIFF = 32             /* bytes at the front of a reply that tell its shape */
};

/* ---- a reply that is held back */

static bool hold(struct req *r, const struct exchange_event *ev)
{
    return buf_add(&r->reply.held, ev->data, ev->n);
}

static enum hold_result commit(const struct exchange_event *ev, struct hold_out *out)
{
    out->piece = str_make(ev->data, ev->n);
    out->end = ev->end;
    return HOLD_COMMIT;
}

static enum hold_result fail(struct hold_out *out, enum net_fault net, enum evidence_kind kind,
                             struct str body, bool whole)
{
    out->fault = (struct attempt_fault){.net = net, .kind = kind, .body = body, .whole = whole};
    return HOLD_FAILED;
}

/* There is no memory for the reply, or it is longer than may be held. */
static enum hold_result no_room(struct hold_out *out)
{
    return fail(out, NET_LOCAL, EVIDENCE_HTTP, STR(""), false);
}

static enum hold_result hold_error(struct req *r, const struct exchange_event *ev,
                                   struct hold_out *out)
{
    size_t most = max_size((size_t)r->conf->retry.hold_reply, ERROR_HOLD);
    bool fits = hold(r, ev) && r->reply.held.len <= most;
    if (fits && !ev->end)
        return HOLD_MORE;
    return fail(out, NET_NONE, EVIDENCE_HTTP, buf_view(&r->reply.held), fits);
}

/* Whether the body is an HTML page where JSON or a stream was asked for. */
static bool is_page(const struct req *r, struct str body)
{
    if (req_is_side(r) && !str_starts(r->in.path, STR("/v1/")))
        return false;
    struct str t = str_trim(body);
    return t.n && t.p[0] == '<';
}

/* Whether a complete 200 on a side path is no answer. Only for requests that may be repeated:
 * others, as OPTIONS and DELETE, may have an empty reply. */
static bool is_no_answer(struct req *r, struct str body)
{
    if (!r->in.repeatable)
        return false;
    if (body.n == 0 || is_page(r, body))
        return true;
    if (r->in.api == API_OTHER)
        return false;
    struct str s = evidence_trim(body);
    (void)sse_read_json(body, &r->reply.sse.usage);
    return answer_is_cut(body) || (r->in.api == API_COUNT_TOKENS &&
                                   (!s.n || s.p[0] != '{' || evidence_is_error_body(body)));
}

/* Whether the reply to a message path is no answer, by what its head says and `is`, which its body
 * is: what is wrong with it, in *out. whole: `body` is all of it. */
static bool is_wrong(const struct req *r, enum answer is, struct str body, bool whole,
                     struct hold_out *out)
{
    enum net_fault net = NET_NONE;
    if (r->reply.no_body || (is == ANSWER_GOOD && r->in.json && r->in.stream))
        is = ANSWER_OTHER;
    if (is == ANSWER_GOOD)
        return false;
    if (is == ANSWER_EMPTY)
        net = NET_EMPTY;
    if (is == ANSWER_CUT)
        net = NET_PARTIAL;
    fail(out, net, EVIDENCE_BAD_200, body, whole && net == NET_NONE);
    out->fault.no_answer = is == ANSWER_OTHER;
    return true;
}

/* Whether a complete 2xx or 304 answers the request on a side path. Tokens are counted by a 200 and
 * a body alone. */
static bool answers_side(struct req *r, struct str body)
{
    if (r->reply.status != 200 || r->reply.no_body)
        return r->in.api != API_COUNT_TOKENS;
    if (req_reply_encoded(r))
        return body.n || !r->in.repeatable;
    return !is_no_answer(r, body);
}

/* What a body in a coding that is not read is to a message path, by its first byte and the head. */
static enum answer unread_answer(const struct req *r, struct str body)
{
    if (body.n == 0)
        return ANSWER_EMPTY;
    return r->reply.typed ? ANSWER_GOOD : ANSWER_OTHER;
}

/* Whether a complete reply is a success; else what is wrong with it, in *out. */
static bool is_good(struct req *r, struct str body, struct hold_out *out)
{
    if (req_is_side(r)) {
        if (answers_side(r, body))
            return true;
        fail(out, NET_NONE, EVIDENCE_BAD_200, body, true);
        return false;
    }
    enum answer is = req_reply_encoded(r) ? unread_answer(r, body)
                                          : answer_of_body(body, r->in.wanted, &r->reply.sse.usage);
    return !is_wrong(r, is, body, true, out);
}

/* Whether a reply to a message path, which is to be committed and may not be read, is cut already:
 * the end of its connection is there and does not end it. */
static bool is_cut(struct req *r, const struct exchange_event *ev)
{
    bool proper;
    if (ev->end || req_is_side(r) || r->attempt.translated)
        return false;
    return ev->cut || (exchange_look(&r->attempt.exchange, &proper) != NET_NONE && !proper);
}

/* A reply that is too long to be held as a whole is judged by its first bytes. */
static enum hold_result long_reply(struct req *r, const struct exchange_event *ev,
                                   struct hold_out *out)
{
    struct str front = str_make(ev->data, ev->n);
    out->piece = front;
    out->end = false;
    if (r->reply.held.len) {
        if (!hold(r, ev))
            return no_room(out);
        front = buf_view(&r->reply.held);
        out->piece = STR("");
    }
    if (req_is_side(r)) {
        if (r->in.api != API_COUNT_TOKENS || r->reply.status == 200)
            return HOLD_COMMIT;
        return fail(out, NET_NONE, EVIDENCE_BAD_200, front, false);
    }
    bool readable = !req_reply_encoded(r);
    if (readable ? !evidence_trim(front).n && front.n < ERROR_HOLD : front.n == 0)
        return r->reply.held.len || hold(r, ev) ? HOLD_MORE : no_room(out);
    enum answer is = readable ? answer_of_front(front, r->in.wanted) : unread_answer(r, front);
    if (is_wrong(r, is, front, false, out))
        return HOLD_FAILED;
    return is_cut(r, ev) ? fail(out, NET_PARTIAL, EVIDENCE_BAD_200, STR(""), false) : HOLD_COMMIT;
}

/* ---- the shape of a reply, whatever its content-type is */

enum shape { SHAPE_UNKNOWN, SHAPE_STREAM, SHAPE_OTHER };

/* The shape of a reply by its front. SHAPE_UNKNOWN: more bytes are needed. Event streams begin with
 * a field or a comment, perhaps after a byte order mark and empty lines. */
static enum shape shape_of(struct str front)
{
    static const struct str fields[] = {STR_LIT("event:"), STR_LIT("data:"), STR_LIT("id:"),
                                        STR_LIT("retry:"), STR_LIT(":")};
    static const struct str bom = STR_LIT("\xef\xbb\xbf");
    if (str_starts(front, bom))
        front = str_make(front.p + bom.n, front.n - bom.n);
    else if (front.n < bom.n && str_starts(bom, front))
        return SHAPE_UNKNOWN;
    while (front.n && memchr(" \t\r\n", front.p[0], 4))
        front = str_make(front.p + 1, front.n - 1);
    enum shape s = front.n ? SHAPE_OTHER : SHAPE_UNKNOWN;
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (str_starts(front, fields[i]))
            return SHAPE_STREAM;
        if (str_starts(fields[i], front))
            s = SHAPE_UNKNOWN;
    }
    return s;
}

/* The shape of the reply so far: the bytes held, followed by the present piece. */
static enum shape shape_now(const struct req *r, const struct exchange_event *ev)
{
    char front[SNIFF];
    size_t held = min_size(r->reply.held.len, sizeof front),
           more = min_size(ev->n, sizeof front - held);
    if (held)
        memcpy(front, buf_data(&r->reply.held), held);
    if (more)
        memcpy(front + held, ev->data, more);
    return shape_of(str_make(front, held + more));
}

/* Whether the reply is an event stream under another content type: some relays send such. */
static bool is_stream(const struct req *r, const struct exchange_event *ev)
{
    return !req_is_side(r) && !req_reply_encoded(r) && r->reply.held.len < SNIFF &&
           shape_now(r, ev) == SHAPE_STREAM;
}

/* Whether the reply is an error or a page under the type of an event stream: some relays send
 * such. */
static bool is_no_stream(const struct req *r, const struct exchange_event *ev)
{
    if (r->reply.held.len >= SNIFF || r->reply.sse.events || shape_now(r, ev) != SHAPE_OTHER)
        return false;
    struct str s =
        str_trim(r->reply.held.len ? buf_view(&r->reply.held) : str_make(ev->data, ev->n));
    return !s.n || s.p[0] == '{' || s.p[0] == '<';
}

static enum hold_result hold_whole(struct req *r, const struct exchange_event *ev,
                                   struct hold_out *out)
{
    size_t most = (size_t)r->conf->retry.hold_reply;
    struct str body = str_make(ev->data, ev->n);
    /* the common case: the whole reply in one piece is not copied */
    if (ev->end && r->reply.held.len == 0)
        return is_good(r, body, out) ? commit(ev, out) : HOLD_FAILED;
    bool long_one = r->reply.held.len + ev->n > most || r->reply.length > (int64_t)most;
    if (!ev->end && long_one)
        return long_reply(r, ev, out);
    if (!hold(r, ev))
        return no_room(out);
    if (!ev->end)
        return HOLD_MORE;
    if (!is_good(r, buf_view(&r->reply.held), out))
        return HOLD_FAILED;
    out->piece = STR("");
    out->end = true;
    return HOLD_COMMIT;
}

/* ---- an event stream */

static enum hold_result stream_failed(struct req *r, enum net_fault net, bool whole,
                                      struct hold_out *out)
{
    sse_finish(&r->reply.sse);
    if (r->reply.sse.error)
        return fail(out, NET_NONE, EVIDENCE_SSE_ERROR, buf_view(&r->reply.sse.error_data), whole);
    return fail(out, net, EVIDENCE_SSE_ERROR, STR(""), whole);
}

/* Whether the stream that is to be committed is cut: why, or NET_NONE. Its end may have come
 * with the piece, by its framing (*end) or within its coding (cut); *end: it is complete. An end of
 * the connection that may be there is not looked for: whether content goes on to the client would
 * hang on microseconds, and each stream would wait for a system call. */
static enum net_fault cut_with_content(struct req *r, bool cut, bool *end)
{
    if (*end)
        return stream_close(r) ? NET_NONE : NET_PARTIAL;
    if (!cut || r->reply.sse.stopped || r->attempt.translated)
        return NET_NONE;
    /* one that told all may lack its last chunk */
    bool told = r->reply.length < 0 && sse_end_told(&r->reply.sse.end);
    if (!told || !stream_close(r))
        return NET_PARTIAL;
    *end = true;
    return NET_NONE;
}

/* The stream has content, in a piece of which `looked` bytes are scanned: commits it, unless the
 * rest of the piece is a failure, as the client has nothing of the reply yet. */
static enum hold_result has_content(struct req *r, const struct exchange_event *ev, size_t looked,
                                    struct hold_out *out)
{
    struct exchange_event piece = *ev;
    stream_scan(r, ev->data + looked, ev->n - looked);
    enum net_fault cut = cut_with_content(r, piece.cut, &piece.end);
    if (cut != NET_NONE || r->reply.sse.failed)
        return stream_failed(r, cut == NET_NONE ? NET_PARTIAL : cut, hold(r, ev), out);
    return commit(&piece, out);
}

/* Whether the stream, whose first event is there, is what was asked for. */
static bool is_asked_for(const struct req *r)
{
    return (r->in.stream || !r->in.json) && answer_of_stream(&r->reply.sse, r->in.wanted);
}

/* The stream is another than was asked for. */
static enum hold_result wrong_stream(struct req *r, const struct exchange_event *ev,
                                     struct hold_out *out)
{
    bool fits = hold(r, ev);
    fail(out, NET_NONE, EVIDENCE_BAD_200, buf_view(&r->reply.held), fits && ev->end);
    out->fault.no_answer = true;
    return HOLD_FAILED;
}

/* The stream has ended without content. It is complete if its events are, the last without its
 * empty line. */
static enum hold_result no_content(struct req *r, const struct exchange_event *ev,
                                   struct hold_out *out)
{
    struct sse *sse = &r->reply.sse;
    if (stream_close(r) && !sse->error && sse_end_told(&sse->end) && is_asked_for(r))
        return commit(ev, out);
    bool nothing = sse->first == SSE_EV_NONE;
    bool bytes = r->reply.held.len + ev->n > 0;
    bool other = sse->meant > 0 || shape_now(r, ev) != SHAPE_STREAM;
    if (nothing && bytes && !sse->error && other)
        return wrong_stream(r, ev, out);
    return stream_failed(r, nothing ? NET_EMPTY : NET_PARTIAL, hold(r, ev), out);
}

/* Where the last event begins that is not complete: behind the last empty line. */
static size_t last_event(struct str s)
{
    size_t n = s.n;
    while (n > 1 &&
           !((s.p[n - 1] == '\n' || s.p[n - 1] == '\r') &&
             (s.p[n - 2] == s.p[n - 1] || (n > 2 && s.p[n - 2] == '\r' && s.p[n - 3] == '\n'))))
        n--;
    return n > 1 ? n : 0;
}

/* Makes room where an endpoint has sent nothing but pings. What else is so long that it cannot be
 * held goes to the client as it is, if it has begun well. */
static enum hold_result much_held(struct req *r, struct hold_out *out)
{
    static const struct exchange_event nothing = {0};
    if (r->reply.sse.first != SSE_EV_NONE)
        return has_content(r, &nothing, 0, out);
    size_t begins = last_event(buf_view(&r->reply.held));
    if (r->reply.sse.meant || r->reply.held.len - begins > REQ_STREAM_HOLD / 2)
        return wrong_stream(r, &nothing, out);
    buf_drop(&r->reply.held, begins);
    return HOLD_MORE;
}

/* A stream that is not read: of unknown meaning, or in a coding. */
static enum hold_result unread_stream(struct req *r, const struct exchange_event *ev,
                                      struct hold_out *out)
{
    bool nothing = ev->n == 0;
    if (nothing && !ev->end && !req_is_side(r))
        return HOLD_MORE;
    if (nothing && ev->end && !is_good(r, STR(""), out))
        return HOLD_FAILED;
    if (!req_reply_encoded(r))
        stream_scan(r, ev->data, ev->n);
    bool asked = req_is_side(r) || r->in.stream || !r->in.json;
    if (asked && is_cut(r, ev))
        return fail(out, NET_PARTIAL, EVIDENCE_BAD_200, STR(""), false);
    if (asked && !(req_reply_encoded(r) && r->out.begun)) /* pings are plain text */
        return commit(ev, out);
    return wrong_stream(r, ev, out);
}

static enum hold_result hold_stream(struct req *r, const struct exchange_event *ev,
                                    struct hold_out *out)
{
    struct sse *sse = &r->reply.sse;
    if (req_reply_encoded(r) || req_is_side(r))
        return unread_stream(r, ev, out);
    size_t at = 0;
    while (at < ev->n) {
        at += sse_feed(sse, ev->data + at, ev->n - at);
        if (sse->error && !sse->content)
            return stream_failed(r, NET_PARTIAL, hold(r, ev), out);
        if (sse->first != SSE_EV_NONE && !is_asked_for(r))
            return wrong_stream(r, ev, out);
        if (sse->content)
            return has_content(r, ev, at, out);
    }
    if (ev->end)
        return no_content(r, ev, out);
    if (!hold(r, ev))
        return no_room(out);
    if (r->reply.held.len > REQ_STREAM_HOLD)
        return much_held(r, out);
    bool begins = sse->first != SSE_EV_NONE || (sse->events && !r->out.begun);
    if (begins && !deadline_active(&r->deadline))
        deadline_set(&r->deadline, r->conf->retry.hold_stream_head);
    return HOLD_MORE;
}

/* ---- the kinds */

/* The kind of the reply is another than its head says, which its first bytes show. What was held
 * until now is less than an event. */
static void turn_into(struct req *r, enum reply_kind kind)
{
    r->reply.kind = kind;
    deadline_clear(&r->deadline);
    sse_free(&r->reply.sse);
    sse_init(&r->reply.sse);
    if (kind == REPLY_STREAM)
        stream_scan(r, buf_data(&r->reply.held), r->reply.held.len);
}

enum hold_result hold_take(struct req *r, const struct exchange_event *ev, struct hold_out *out)
{
    out->fault = (struct attempt_fault){0};
    if (r->reply.kind == REPLY_WHOLE && is_stream(r, ev))
        turn_into(r, REPLY_STREAM);
    else if (r->reply.kind == REPLY_STREAM && !req_reply_encoded(r) && is_no_stream(r, ev))
        turn_into(r, REPLY_WHOLE);
    switch (r->reply.kind) {
    case REPLY_ERROR:
        break;
    case REPLY_WHOLE:
        return hold_whole(r, ev, out);
    case REPLY_STREAM:
        return hold_stream(r, ev, out);
    }
    return hold_error(r, ev, out);
}

enum hold_result hold_over(struct req *r, bool pings, struct hold_out *out)
{
    static const struct exchange_event nothing = {0};
    if (r->reply.kind == REPLY_ERROR) {
        fail(out, NET_NONE, EVIDENCE_HTTP, buf_view(&r->reply.held), false);
        out->fault.stalled = true;
        return HOLD_FAILED;
    }
    /* Only pings so far, which commit nothing: the client gets pings of QCC's own. */
    if (r->reply.sse.first == SSE_EV_NONE)
        return pings ? HOLD_PING : HOLD_MORE;
    return commit(&nothing, out);
}

struct attempt_fault hold_broke(struct req *r, enum net_fault why)
{
    struct hold_out out;
    if (r->reply.kind == REPLY_STREAM && !req_reply_encoded(r))
        (void)stream_failed(r, why == NET_IDLE_TIMEOUT ? NET_SILENT : why, false, &out);
    else if (r->reply.kind == REPLY_ERROR && (r->reply.held.len || why == NET_GARBAGE))
        /* The text of an error matters more than that it was cut, and so does its status where its
         * body is not what its framing or coding says. */
        (void)fail(&out, NET_NONE, EVIDENCE_HTTP, buf_view(&r->reply.held), false);
    else
        (void)fail(&out, why, EVIDENCE_HTTP, STR(""), false);
    out.fault.stalled = why == NET_IDLE_TIMEOUT;
    return out.fault;
}

/* ---- the head */

static bool has_content_type(const struct http_head *h, struct str type)
{
    const struct http_field *f = http1_field(h, HDR_CONTENT_TYPE);
    return f && str_starts_nocase(f->value, type);
}

static bool is_json(const struct http_head *h)
{
    const struct http_field *f = http1_field(h, HDR_CONTENT_TYPE);
    return f && str_find_nocase(f->value, STR("json")) >= 0;
}

/* Whether the reply's content-type is what was asked for. What a body that is no JSON asked for is
 * not known. */
static bool is_typed(const struct req *r, const struct http_head *h, bool events)
{
    return events ? r->in.stream || !r->in.json : !r->in.stream && is_json(h);
}

/* The reply of an endpoint whose protocol is translated: what the client gets is what it asked
 * for. */
static bool translated_head(struct req *r, const struct http_head *h)
{
    bool good = interpret_answers(h->status), stream = good && r->in.stream;
    r->reply.kind = !good ? REPLY_ERROR : stream ? REPLY_STREAM : REPLY_WHOLE;
    r->reply.length = -1;
    return forward_from_openai(&r->reply.head, h->status, h->reason, h->f, h->nf,
                               stream ? STR("text/event-stream; charset=utf-8")
                                      : STR("application/json"));
}

bool hold_head(struct req *r, const struct exchange_event *ev, struct hold_out *out)
{
    const struct http_head *h = ev->head;
    r->reply.status = h->status;
    r->reply.first_byte_at = r->attempt.exchange.first_byte_at;
    r->reply.meant_at = ev_now(r->env->loop);
    r->reply.meant = 0;
    if (!req_is_side(r))
        ep_ttfb(r->attempt.ep->live,
                r->attempt.exchange.first_byte_at - r->attempt.exchange.started);
    bool two = h->status / 100 == 2, good = two || (h->status == 304 && req_is_side(r));
    bool events = has_content_type(h, STR("text/event-stream"));
    bool stream = two && events && r->in.api != API_COUNT_TOKENS;
    r->reply.typed = is_typed(r, h, events);
    r->reply.kind = !good ? REPLY_ERROR : stream ? REPLY_STREAM : REPLY_WHOLE;
    r->reply.no_body = h->body == BODY_NONE;
    r->reply.length = h->body == BODY_COUNTED ? (int64_t)h->length : -1;
    if (r->reply.no_body) { /* a reply to HEAD may still have content-length */
        const struct http_field *len = http1_field(h, HDR_CONTENT_LENGTH);
        uint64_t length;
        bool told = len && h->status != 204 && str_to_u64(len->value, INT64_MAX, &length);
        r->reply.length = told ? (int64_t)length : -1;
    }
    if (r->attempt.translated ? !translated_head(r, h) : !forward_to_client(&r->reply.head, h)) {
        (void)fail(out, NET_GARBAGE, EVIDENCE_HTTP, STR(""), false);
        return false;
    }
    if (r->reply.kind == REPLY_ERROR || !ev->end)
        req_keep_fields(r);
    if (r->reply.kind == REPLY_ERROR && !ev->end) /* an error body may come slowly for so long */
        deadline_set(&r->deadline, r->conf->upstream.idle_timeout);
    return true;
}

enum hold_result hold_begin(struct req *r, const struct exchange_event *ev, struct hold_out *out)
{
    return hold_head(r, ev, out) ? hold_take(r, ev, out) : HOLD_FAILED;
}
