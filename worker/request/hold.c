/* hold: a reply before the commit point, held back from the client: an error, a whole reply, or an
 * event stream without content yet. Ends in relay_commit or attempt_failed. Declared in req.h. */
#include "worker/evidence/evidence.h"
#include "worker/json/json_skip.h"
#include "worker/request/req.h"

enum {
    ERROR_HOLD = 64 << 10, /* bytes of an error reply that are held at least: for the classifier */
    SNIFF = 32,            /* bytes at the front of a reply that tell its shape */
    JSON_DEPTH = 1000
};

static void hold_whole(struct req *r, const struct exchange_event *ev);
static void hold_stream(struct req *r, const struct exchange_event *ev);

void hold_drop(struct req *r)
{
    deadline_clear(&r->deadline);
    buf_free(&r->rhead);
    buf_free(&r->held);
    sse_free(&r->sse);
    sse_init(&r->sse);
    r->tail = NULL;
    r->rf = NULL;
    r->nrf = 0;
}

/* ---- a reply that is held back */

static bool hold(struct req *r, const struct exchange_event *ev)
{
    return buf_add(&r->held, ev->data, ev->n);
}

static void hold_error(struct req *r, const struct exchange_event *ev)
{
    size_t most = max_size((size_t)r->conf->retry.hold_reply, ERROR_HOLD);
    bool fits = hold(r, ev) && r->held.len <= most;
    if (!fits || ev->end) {
        r->error_whole = fits && ev->end;
        attempt_failed(r, NET_NONE, EVIDENCE_HTTP, buf_view(&r->held));
    }
}

/* Whether the body is an HTML page where JSON or a stream was asked for. */
static bool is_page(const struct req *r, struct str body)
{
    if (r->side && !str_starts(r->path, STR("/v1/")))
        return false;
    struct str t = str_trim(body);
    return t.n && t.p[0] == '<';
}

/* Whether the body is a JSON object that is not closed. Transport does not show all cuts: a reply
 * may end with its connection, and a relay may end properly what it received in part. */
static bool is_cut(struct str body)
{
    struct str s = evidence_trim(body);
    return s.n && s.p[0] == '{' &&
           json_skip_best()->nested(s.p + 1, s.n - 1, JSON_DEPTH) == JSON_NO_END;
}

/* Whether a complete 200 on a side path is no answer. Only for requests that may be repeated:
 * others, as OPTIONS and DELETE, may have an empty reply. */
static bool is_no_answer(struct req *r, struct str body)
{
    if (!r->repeatable)
        return false;
    if (body.n == 0 || is_page(r, body))
        return true;
    if (r->api == API_OTHER)
        return false;
    struct str s = evidence_trim(body);
    sse_usage_of_json(body, &r->sse.usage);
    return is_cut(body) ||
           (r->api == API_COUNT_TOKENS && (!s.n || s.p[0] != '{' || evidence_is_error_body(body)));
}

static void judge_whole(struct req *r, struct str body, struct str piece)
{
    if (r->status == 200 && !r->no_body && !r->encoded && r->side) {
        if (is_no_answer(r, body)) {
            r->error_whole = true;
            attempt_failed(r, NET_NONE, EVIDENCE_BAD_200, body);
            return;
        }
    } else if (r->status == 200 && !r->no_body && !r->encoded) {
        if (body.n == 0) {
            attempt_failed(r, NET_EMPTY, EVIDENCE_BAD_200, body);
            return;
        }
        if (evidence_is_error_body(body)) {
            r->error_whole = true;
            attempt_failed(r, NET_NONE, EVIDENCE_BAD_200, body);
            return;
        }
        bool page = is_page(r, body);
        if (page || (!sse_usage_of_json(body, &r->sse.usage) && is_cut(body))) {
            attempt_failed(r, page ? NET_NONE : NET_PARTIAL, EVIDENCE_BAD_200, body);
            return;
        }
    }
    relay_commit(r, piece, true);
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
    size_t held = min_size(r->held.len, sizeof front), more = min_size(ev->n, sizeof front - held);
    if (held)
        memcpy(front, buf_data(&r->held), held);
    if (more)
        memcpy(front + held, ev->data, more);
    return shape_of(str_make(front, held + more));
}

/* Changes the kind of the reply and handles the bytes held so far anew. */
static void turn_into(struct req *r, enum reply_kind kind, const struct exchange_event *ev)
{
    struct buf all = r->held;
    struct exchange_event whole = *ev;
    buf_init(&r->held, all.max);
    if (all.len) {
        if (!buf_add(&all, ev->data, ev->n)) {
            buf_free(&all);
            attempt_failed(r, NET_LOCAL, EVIDENCE_HTTP, STR(""));
            return;
        }
        whole.data = buf_data(&all);
        whole.n = all.len;
    }
    r->kind = kind;
    deadline_clear(&r->deadline);
    sse_free(&r->sse);
    sse_init(&r->sse);
    if (kind == REPLY_STREAM)
        hold_stream(r, &whole);
    else
        hold_whole(r, &whole);
    buf_free(&all);
}

/* Whether the reply is an event stream under another content type: some relays send such. */
static bool is_stream(const struct req *r, const struct exchange_event *ev)
{
    return r->stream && !r->side && !r->encoded && r->status == 200 && r->held.len < SNIFF &&
           shape_now(r, ev) == SHAPE_STREAM;
}

/* Whether the reply is an error or a page under the type of an event stream: some relays send
 * such. */
static bool is_no_stream(const struct req *r, const struct exchange_event *ev)
{
    if (r->held.len >= SNIFF || r->sse.events || shape_now(r, ev) != SHAPE_OTHER)
        return false;
    struct str s = str_trim(r->held.len ? buf_view(&r->held) : str_make(ev->data, ev->n));
    return !s.n || s.p[0] == '{' || s.p[0] == '<';
}

static void hold_whole(struct req *r, const struct exchange_event *ev)
{
    if (is_stream(r, ev)) {
        turn_into(r, REPLY_STREAM, ev);
        return;
    }
    size_t most = (size_t)r->conf->retry.hold_reply;
    struct str piece = str_make(ev->data, ev->n);
    /* the common case: the whole reply in one piece is not copied */
    if (ev->end && r->held.len == 0) {
        judge_whole(r, piece, piece);
        return;
    }
    bool long_one = r->held.len + ev->n > most || (r->reply_has_length && r->reply_length > most);
    if (!ev->end && (long_one || (r->encoded && !r->reply_has_length))) {
        relay_commit(r, piece, false);
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

/* Commits the stream, with a piece of which `looked` bytes are scanned, unless the rest of the
 * piece is a failure: the client has nothing of the reply yet. */
static void commit_stream(struct req *r, const struct exchange_event *ev, size_t looked)
{
    relay_feed(r, ev->data + looked, ev->n - looked);
    bool cut = ev->end && !relay_close(r);
    if (cut || (r->sse.error && !r->sse.stopped)) {
        r->error_whole = hold(r, ev);
        stream_failed(r, NET_PARTIAL);
        return;
    }
    relay_commit(r, str_make(ev->data, ev->n), ev->end);
}

static void hold_stream(struct req *r, const struct exchange_event *ev)
{
    if (r->encoded) {
        relay_commit(r, str_make(ev->data, ev->n), ev->end);
        return;
    }
    if (is_no_stream(r, ev)) {
        turn_into(r, REPLY_WHOLE, ev);
        return;
    }
    if (r->side) { /* a stream of unknown meaning is not judged */
        relay_feed(r, ev->data, ev->n);
        relay_commit(r, str_make(ev->data, ev->n), ev->end);
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
        /* A reply without content is complete if its events are, the last without its empty
         * line. */
        if (relay_close(r) && !r->sse.error && sse_end_told(&r->sse.end)) {
            relay_commit(r, str_make(ev->data, ev->n), true);
            return;
        }
        r->error_whole = hold(r, ev);
        stream_failed(r, r->sse.first == SSE_EV_NONE ? NET_EMPTY : NET_PARTIAL);
        return;
    }
    if (!hold(r, ev)) {
        attempt_failed(r, NET_LOCAL, EVIDENCE_HTTP, STR(""));
        return;
    }
    if (r->held.len > REQ_STREAM_HOLD) {
        struct exchange_event rest = {0};
        commit_stream(r, &rest, 0);
        return;
    }
    bool begins = r->sse.first != SSE_EV_NONE || (r->sse.events && !r->begun);
    if (begins && !deadline_active(&r->deadline))
        deadline_set(&r->deadline, r->conf->retry.hold_stream_head);
}

void hold_over(struct req *r)
{
    /* Only pings so far: the client gets pings of QCC's own, and the reply may still fail. */
    if (r->kind == REPLY_STREAM && r->sse.first == SSE_EV_NONE && relay_begin(r))
        return;
    if (r->kind == REPLY_STREAM)
        relay_commit(r, STR(""), false);
    else if (r->kind == REPLY_ERROR)
        attempt_failed(r, NET_NONE, EVIDENCE_HTTP, buf_view(&r->held));
}

static void hold_more(struct req *r, const struct exchange_event *ev)
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

/* ---- events of the exchange */

static bool has_content_type(const struct http_head *h, struct str type)
{
    const struct http_field *f = http1_field(h, HDR_CONTENT_TYPE);
    return f && str_starts_nocase(f->value, type);
}

static void reply_begins(struct req *r, const struct exchange_event *ev)
{
    const struct http_head *h = ev->head;
    req_set(r, REQ_HOLD);
    r->status = h->status;
    r->first_byte_at = r->exchange.first_byte_at;
    if (!r->side)
        ep_ttfb(r->ep->live, r->exchange.first_byte_at - r->exchange.started);
    const struct http_field *enc = http1_field(h, HDR_CONTENT_ENCODING);
    r->encoded = enc && !str_eq_nocase(enc->value, STR("identity"));
    bool good = h->status < 300 || h->status == 304;
    bool stream = h->status == 200 && has_content_type(h, STR("text/event-stream")) &&
                  r->api != API_COUNT_TOKENS;
    r->kind = !good ? REPLY_ERROR : stream ? REPLY_STREAM : REPLY_WHOLE;
    r->no_body = h->body == BODY_NONE;
    r->reply_has_length = h->body == BODY_COUNTED;
    r->reply_length = h->length;
    if (r->no_body) { /* a reply to HEAD may still have content-length */
        const struct http_field *len = http1_field(h, HDR_CONTENT_LENGTH);
        r->reply_has_length =
            len && h->status != 204 && str_to_u64(len->value, INT64_MAX, &r->reply_length);
    }
    if (!forward_to_client(&r->rhead, h)) {
        attempt_failed(r, NET_GARBAGE, EVIDENCE_HTTP, STR(""));
        return;
    }
    r->head_now = h;
    if (r->kind == REPLY_ERROR || !ev->end)
        hold_keep_fields(r);
    if (r->kind == REPLY_ERROR && !ev->end) /* an error body may come slowly for so long */
        deadline_set(&r->deadline, r->conf->upstream.idle_timeout);
    hold_more(r, ev);
    r->head_now = NULL;
}

void hold_keep_fields(struct req *r)
{
    if (r->head_now && r->nrf == 0)
        r->nrf = forward_keep(&r->mem, r->head_now, &r->rf);
}

void hold_event(struct req *r, const struct exchange_event *ev)
{
    switch (r->state) {
    case REQ_TRY:
        reply_begins(r, ev);
        return;
    case REQ_HOLD:
        hold_more(r, ev);
        return;
    case REQ_RELAY:
        relay_more(r, ev);
        return;
    case REQ_READ:
    case REQ_PICK:
    case REQ_WAIT:
    case REQ_DONE:
    case REQ__COUNT:
        return;
    }
}

bool hold_broke(struct req *r, enum net_fault why)
{
    if (r->state == REQ_RELAY) {
        relay_break_off(r, why);
        return true;
    }
    if (r->kind == REPLY_STREAM && !r->encoded) {
        stream_failed(r, why);
        return true;
    }
    if (r->kind == REPLY_ERROR && r->held.len) {
        /* The text of an error matters more than that it was cut. */
        attempt_failed(r, NET_NONE, EVIDENCE_HTTP, buf_view(&r->held));
        return true;
    }
    return false;
}
