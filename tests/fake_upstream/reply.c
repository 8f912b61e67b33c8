#include "tests/fake_upstream/reply.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "tests/fake_upstream/bomb.h"
#include "tests/fake_upstream/site.h"

#include <inttypes.h>
#include <stdio.h>

enum framing { FRAME_LENGTH, FRAME_CHUNKED, FRAME_EOF };

enum {
    ENDLESS = 1 << 30,     /* content-length of an endless reply */
    TEXT_MAX = 256 * 1024, /* bytes of a JSON text; larger ones use filler */
    BLOCK = 65536,         /* bytes of a stream at full speed that one write sends */
    FILL_FROM = 32768,     /* texts from this size on are filler, not memory */
    WORDS_MAX = 64         /* streams with more events than this repeat one event */
};

/* A reply being made. */
struct maker {
    const struct behave *b;
    const struct request *r; /* may be NULL */
    struct play *p;
    struct buf text; /* the text being made */
    enum framing framing;
    uint64_t emitted, stop; /* events made; number at which the stream stops */
    const char *type;       /* content-type */
    bool gzip;
    bool last; /* the head has `connection: close`; that of a reply that breaks off has not */
};

static int64_t us(uint64_t ms)
{
    return ms > INT64_MAX / 2000 ? INT64_MAX / 2 : (int64_t)ms * 1000;
}

static int64_t gap(const struct behave *b)
{
    return us(b->gap_ms) + (int64_t)(b->gap_us < INT32_MAX ? b->gap_us : INT32_MAX);
}

static void need(bool ok)
{
    if (!ok)
        die("a reply's text is too large");
}

static struct str model_of(const struct maker *m)
{
    return m->r && m->r->model[0] ? str_c(m->r->model) : STR("claude-fake-1");
}

/* The first text of the reply: the user's own text, so that it has the code of a verification. */
static struct str said(const struct maker *m)
{
    if (m->b->mute)
        return STR("I would rather not say.");
    return m->r && m->r->text ? str_c(m->r->text) : STR("Hello from the simulated upstream.");
}

static const struct {
    unsigned status;
    const char *reason, *type;
} statuses[] = {
    {200, "OK", "api_error"},
    {400, "Bad Request", "invalid_request_error"},
    {401, "Unauthorized", "authentication_error"},
    {402, "Payment Required", "billing_error"},
    {403, "Forbidden", "permission_error"},
    {404, "Not Found", "not_found_error"},
    {413, "Content Too Large", "request_too_large"},
    {429, "Too Many Requests", "rate_limit_error"},
    {500, "Internal Server Error", "api_error"},
    {502, "Bad Gateway", "api_error"},
    {503, "Service Unavailable", "api_error"},
    {504, "Gateway Timeout", "timeout_error"},
    {529, "Overloaded", "overloaded_error"},
};

static const char *error_type(unsigned status)
{
    for (size_t i = 0; i < COUNT_OF(statuses); i++)
        if (statuses[i].status == status)
            return statuses[i].type;
    return status >= 400 && status < 500 ? "invalid_request_error" : "api_error";
}

static const char *reason(unsigned status)
{
    for (size_t i = 0; i < COUNT_OF(statuses); i++)
        if (statuses[i].status == status)
            return statuses[i].reason;
    return "Status";
}

/* Appends an error object with the given type and message. */
static bool error_json(struct buf *out, const char *type, const char *message)
{
    return buf_str(out, STR("{\"type\":\"error\",\"error\":{\"type\":")) &&
           json_text(out, str_c(type)) && buf_str(out, STR(",\"message\":")) &&
           json_text(out, str_c(message)) && buf_str(out, STR("}}"));
}

static bool echo_json(struct buf *out, const struct request *r)
{
    return buf_str(out, STR(",\"echo\":{\"method\":")) && json_text(out, request_method(r)) &&
           buf_str(out, STR(",\"target\":")) && json_text(out, request_target(r)) &&
           buf_str(out, STR(",\"model\":")) && json_text(out, str_c(r->model)) &&
           buf_printf(out, ",\"body_bytes\":%" PRIu64 ",\"body_sha256\":\"%s\",\"headers\":",
                      r->body_bytes, r->sha256) &&
           json_headers(out, r) && buf_str(out, STR("}"));
}

/* ---- events */

/* Writes one event with its framing to m->text. `fill`: bytes of filler that are inserted into data
 * at offset *split and counted in the framing; *split becomes their offset in m->text. */
static void event_text(struct maker *m, const char *name, struct str data, uint64_t fill,
                       size_t *split)
{
    const char *nl = m->b->crlf ? "\r\n" : "\n";
    size_t nln = m->b->crlf ? 2 : 1;
    uint64_t size = 7 + strlen(name) + nln + 6 + data.n + 2 * nln + fill;
    struct buf *t = &m->text;
    t->len = t->off = 0;
    if (m->framing == FRAME_CHUNKED)
        need(buf_printf(t, "%" PRIx64 "\r\n", size));
    need(buf_printf(t, "event: %s%sdata: ", name, nl));
    *split += t->len;
    need(buf_str(t, data) && buf_printf(t, "%s%s", nl, nl));
    if (m->framing == FRAME_CHUNKED)
        need(buf_str(t, STR("\r\n")));
}

static void event(struct maker *m, const char *name, struct str data)
{
    if (m->emitted == m->stop)
        return;
    size_t split = 0;
    /* data must not be in m->text */
    event_text(m, name, data, 0, &split);
    play_text(m->p, buf_view(&m->text), m->emitted >= m->b->burst ? gap(m->b) : 0);
    m->emitted++;
}

static void delta_text(struct buf *t, struct str text)
{
    need(buf_str(t, STR("{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_"
                        "delta\",\"text\":")) &&
         json_text(t, text) && buf_str(t, STR("}}")));
}

static void delta(struct maker *m, struct str text)
{
    struct buf t;
    buf_init(&t, TEXT_MAX);
    delta_text(&t, text);
    event(m, "content_block_delta", buf_view(&t));
    buf_free(&t);
}

/* Makes n equal deltas of m->b->event_bytes each. */
static void deltas(struct maker *m, uint64_t n)
{
    n = n < m->stop - m->emitted ? n : m->stop - m->emitted;
    if (!n)
        return;
    struct buf t;
    buf_init(&t, TEXT_MAX);
    delta_text(&t, STR(" and"));
    struct str data = buf_view(&t);
    size_t at = data.n - 3; /* in front of the quote that ends the text */
    uint64_t bare = 7 + 19 + 6 + data.n + (m->b->crlf ? 6 : 3);
    uint64_t fill = m->b->event_bytes > bare ? m->b->event_bytes - bare : 0;
    if (fill && fill < FILL_FROM) {
        char *x = mem_zalloc(1, fill);
        memset(x, 'x', fill);
        t.len = 0;
        need(buf_reserve(&t, fill + data.n));
        struct buf text;
        buf_init(&text, TEXT_MAX);
        need(buf_str(&text, STR(" and")) && buf_add(&text, x, fill));
        delta_text(&t, buf_view(&text));
        buf_free(&text);
        mem_free(x);
        fill = 0;
    }
    size_t split = at;
    event_text(m, "content_block_delta", buf_view(&t), fill, &split);
    struct play *p = m->p;
    size_t off = p->bytes.len, len = m->text.len;
    int64_t g = gap(m->b);
    if (fill) {
        need(buf_str(&p->bytes, buf_view(&m->text)));
        for (uint64_t i = 0; i < n; i++) {
            play_send(p, off, split, 1, g);
            play_fill(p, fill, 0);
            play_send(p, off + split, len - split, 1, 0);
        }
    } else if (g) {
        need(buf_str(&p->bytes, buf_view(&m->text)));
        play_send(p, off, len, n, g);
    } else {
        uint64_t k = BLOCK / len ? BLOCK / len : 1;
        k = k < n ? k : n;
        for (uint64_t i = 0; i < k; i++)
            need(buf_str(&p->bytes, buf_view(&m->text)));
        play_send(p, off, k * len, n / k, 0);
        play_send(p, off, n % k * len, 1, 0);
    }
    m->emitted += n;
    buf_free(&t);
}

static void sse_start(struct maker *m)
{
    struct buf t;
    buf_init(&t, TEXT_MAX);
    need(buf_printf(&t,
                    "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_fake_%06" PRIu64
                    "\",\"type\":\"message\",\"role\":\"assistant\",\"model\":",
                    m->r ? m->r->id : 0) &&
         json_text(&t, model_of(m)) &&
         buf_printf(&t,
                    ",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{"
                    "\"input_tokens\":%" PRIu64 ",\"output_tokens\":1}",
                    m->b->in_tokens));
    if (m->b->echo && m->r)
        need(echo_json(&t, m->r));
    need(buf_str(&t, STR("}}")));
    event(m, "message_start", buf_view(&t));
    buf_free(&t);
    event(m, "content_block_start",
          STR("{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\","
              "\"text\":\"\"}}"));
}

static void sse_content(struct maker *m)
{
    static const struct str words[] = {STR(" This"),      STR(" is"),     STR(" a"),
                                       STR(" simulated"), STR(" answer"), STR(" coming"),
                                       STR(" word"),      STR(" by"),     STR(" word.")};
    uint64_t n = m->b->events;
    if (n == 0)
        return;
    if (!m->r || m->b->event_bytes || n > WORDS_MAX) {
        if (m->r)
            delta(m, said(m));
        deltas(m, m->r ? n - 1 : n);
        return;
    }
    delta(m, said(m));
    for (uint64_t i = 0; i + 1 < n; i++)
        delta(m, words[i % COUNT_OF(words)]);
}

static void sse_end(struct maker *m)
{
    event(m, "content_block_stop", STR("{\"type\":\"content_block_stop\",\"index\":0}"));
    char text[192];
    int n = snprintf(text, sizeof text,
                     "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_"
                     "sequence\":null},"
                     "\"usage\":{\"output_tokens\":%" PRIu64 "}}",
                     m->b->out_tokens);
    event(m, "message_delta", str_make(text, (size_t)n));
    event(m, "message_stop", STR("{\"type\":\"message_stop\"}"));
}

static const char *or_else(const char *given, const char *other)
{
    return given ? given : other;
}

static void sse(struct maker *m)
{
    const struct behave *b = m->b;
    m->type = "text/event-stream; charset=utf-8";
    m->p->stream = true;
    uint64_t stops[] = {b->close_after_events, b->end_after_events, b->hang_after_events,
                        b->sse_error_first ? 0 : b->sse_error_after};
    m->stop = BEHAVE_NEVER;
    for (size_t i = 0; i < COUNT_OF(stops); i++)
        m->stop = stops[i] < m->stop ? stops[i] : m->stop;
    if (b->endless_body) {
        play_text(
            m->p,
            STR("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"text\":\""),
            0);
        play_fill(m->p, UINT64_MAX, 0);
        return;
    }
    sse_start(m);
    sse_content(m);
    sse_end(m);
    bool stopped = m->emitted == m->stop && m->stop != BEHAVE_NEVER;
    if (stopped && m->stop == stops[3]) {
        struct buf t;
        buf_init(&t, TEXT_MAX);
        need(error_json(&t, or_else(b->sse_error_first, or_else(b->sse_error, "overloaded_error")),
                        or_else(b->message, "Overloaded")));
        m->stop = BEHAVE_NEVER;
        event(m, "error", buf_view(&t));
        buf_free(&t);
        stopped = false;
    }
    bool torn = stopped && m->stop != stops[1];
    if (torn)
        m->p->end = m->stop == stops[2] ? PLAY_HANG : b->reset ? PLAY_RESET : PLAY_CLOSE;
    else if (m->framing == FRAME_CHUNKED)
        play_text(m->p, STR("0\r\n\r\n"), 0);
}

/* ---- bodies other than streams */

static void message(struct maker *m)
{
    struct buf *t = &m->text;
    struct str user = said(m);
    need(buf_printf(t,
                    "{\"id\":\"msg_fake_%06" PRIu64
                    "\",\"type\":\"message\",\"role\":\"assistant\",\"model\":",
                    m->r ? m->r->id : 0) &&
         json_text(t, model_of(m)) &&
         buf_str(t, STR(",\"content\":[{\"type\":\"text\",\"text\":")) && json_text(t, user));
    size_t split = t->len - 1;
    need(buf_printf(t,
                    "}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_"
                    "tokens\":%" PRIu64 ",\"output_tokens\":%" PRIu64 "}",
                    m->b->in_tokens, m->b->out_tokens));
    if (m->b->echo && m->r)
        need(echo_json(t, m->r));
    need(buf_str(t, STR("}")));
    uint64_t fill = m->b->reply_bytes > t->len ? m->b->reply_bytes - t->len : 0;
    struct str all = buf_view(t);
    if (fill < FILL_FROM) {
        play_text(m->p, str_make(all.p, split), 0);
        size_t off = m->p->bytes.len;
        need(buf_reserve(&m->p->bytes, fill + 1));
        memset(buf_tail(&m->p->bytes), 'x', fill);
        buf_added(&m->p->bytes, fill);
        play_send(m->p, off, fill, 1, 0);
    } else {
        play_text(m->p, str_make(all.p, split), 0);
        play_fill(m->p, fill, 0);
    }
    play_text(m->p, str_make(all.p + split, all.n - split), 0);
}

static void models(struct maker *m)
{
    static const char *const names[] = {"claude-fake-1", "claude-sonnet-4-6", "claude-haiku-4-5"};
    struct buf *t = &m->text;
    need(buf_str(t, STR("{\"data\":[")));
    for (size_t i = 0; i < COUNT_OF(names); i++)
        need(buf_printf(t,
                        "%s{\"type\":\"model\",\"id\":\"%s\",\"display_name\":\"%s\","
                        "\"created_at\":\"2025-01-01T00:00:00Z\"}",
                        i ? "," : "", names[i], names[i]));
    need(buf_printf(t, "],\"has_more\":false,\"first_id\":\"%s\",\"last_id\":\"%s\"}", names[0],
                    names[COUNT_OF(names) - 1]));
    play_text(m->p, buf_view(t), 0);
}

static struct str path_of(const struct request *r)
{
    struct str t = request_target(r);
    const char *q = memchr(t.p, '?', t.n);
    return str_make(t.p, q ? (size_t)(q - t.p) : t.n);
}

bool reply_is_count_tokens(const struct request *r)
{
    return str_ends(path_of(r), STR("/count_tokens"));
}

static void error_body(struct maker *m, unsigned status)
{
    const struct behave *b = m->b;
    m->p->status = status;
    if (b->body) {
        play_text(m->p, str_c(b->body), 0);
        return;
    }
    if (b->endless_body) {
        play_fill(m->p, UINT64_MAX, 0);
        return;
    }
    need(error_json(&m->text, or_else(b->error, error_type(status)),
                    or_else(b->message, "simulated failure")));
    struct str all = buf_view(&m->text);
    uint64_t fill = b->reply_bytes > all.n ? b->reply_bytes - all.n : 0;
    play_text(m->p, str_make(all.p, all.n - 3), 0);
    play_fill(m->p, fill, 0);
    play_text(m->p, str_make(all.p + all.n - 3, 3), 0);
}

static void html(struct maker *m)
{
    m->type = "text/html; charset=utf-8";
    play_text(m->p,
              STR("<!DOCTYPE html>\n<html><head><title>Just a moment...</title></head>"
                  "<body><h1>Checking your browser</h1></body></html>\n"),
              0);
}

/* Chooses and makes the body; sets m->p->status, m->type and m->p->end. */
static void body(struct maker *m)
{
    const struct behave *b = m->b;
    const struct request *r = m->r;
    bool post = !r || str_eq(request_method(r), STR("POST"));
    bool stream = post && (b->stream || (r && r->stream)) && !(r && reply_is_count_tokens(r));
    if (b->status != 200 || b->error || b->body) {
        error_body(m, (unsigned)b->status);
    } else if (b->empty_200) {
        return;
    } else if (b->html_200) {
        html(m);
    } else if (b->gzip_bomb) {
        m->gzip = true;
        need(bomb_gzip(&m->p->bytes));
        play_send(m->p, 0, m->p->bytes.len, 1, 0);
    } else if (r && reply_is_count_tokens(r)) {
        if (b->count_tokens != 200) {
            error_body(m, (unsigned)b->count_tokens);
            return;
        }
        need(buf_printf(&m->text, "{\"input_tokens\":%" PRIu64 "}", b->in_tokens));
        play_text(m->p, buf_view(&m->text), 0);
    } else if (stream) {
        sse(m);
    } else if (b->sse_error_first) {
        need(error_json(&m->text, b->sse_error_first, or_else(b->message, "Overloaded")));
        play_text(m->p, buf_view(&m->text), 0);
    } else if (r && str_ends(path_of(r), STR("/v1/models"))) {
        models(m);
    } else if (!post) {
        play_text(m->p, STR("{}"), 0);
    } else if (b->endless_body) {
        play_fill(m->p, UINT64_MAX, 0);
    } else {
        message(m);
    }
}

/* ---- heads */

static void head_text(struct maker *m, struct buf *h, uint64_t size, const char *retry_after)
{
    const struct behave *b = m->b;
    need(buf_printf(
        h,
        "HTTP/1.%c %u %s\r\ncontent-type: %s\r\nserver: fake\r\nrequest-id: req_fake_%06" PRIu64
        "\r\n",
        b->http10 ? '0' : '1', m->p->status, reason(m->p->status), or_else(b->type, m->type),
        m->r ? m->r->id : 0));
    if (m->p->stream)
        need(buf_str(h, STR("cache-control: no-cache\r\n")));
    if (m->gzip)
        need(buf_str(h, STR("content-encoding: gzip\r\n")));
    if (retry_after[0] || b->retry_after)
        need(buf_printf(h, "retry-after: %s\r\n", retry_after[0] ? retry_after : b->retry_after));
    if (b->header)
        need(buf_printf(h, "%s\r\n", b->header));
    if (m->framing == FRAME_CHUNKED)
        need(buf_str(h, STR("transfer-encoding: chunked\r\n")));
    if (m->framing == FRAME_LENGTH)
        need(buf_printf(h, "content-length: %" PRIu64 "\r\n", size));
    if (b->two_lengths)
        need(buf_printf(h, "content-length: %" PRIu64 "\r\n", size + 10));
    if (m->last)
        need(buf_str(h, STR("connection: close\r\n")));
    need(buf_str(h, STR("\r\n")));
}

static enum framing framing_of(const struct behave *b, const struct request *r)
{
    if (b->framing && str_eq(str_c(b->framing), STR("length")))
        return FRAME_LENGTH;
    if (b->framing && str_eq(str_c(b->framing), STR("chunked")))
        return FRAME_CHUNKED;
    if (b->framing || b->endless_body || b->http10)
        return FRAME_EOF;
    return b->stream ||
                   (r && r->stream && b->status == 200 && !b->error && !b->body && !b->empty_200 &&
                    !b->html_200 && !b->gzip_bomb && !reply_is_count_tokens(r))
               ? FRAME_CHUNKED
               : FRAME_LENGTH;
}

/* Makes a reply that is not HTTP, or only the start of one. False: the behaviour wants none. */
static bool broken(struct maker *m)
{
    const struct behave *b = m->b;
    struct play *p = m->p;
    bool later = b->half_head || b->close_after_bytes != BEHAVE_NEVER ||
                 b->close_after_events != BEHAVE_NEVER;
    if (b->raw) {
        play_text(p, str_c(b->raw), 0);
        p->end = b->hang ? PLAY_HANG : b->reset ? PLAY_RESET : PLAY_CLOSE;
    } else if (b->garbage) {
        play_text(p, STR("\x16\x03\x01\x02 no HTTP at all \xff\xfe\r\n\r\n\x01\x02\x03\r\n"), 0);
        p->end = PLAY_CLOSE;
    } else if (b->endless_headers) {
        play_text(p, STR("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"), 0);
        size_t off = p->bytes.len;
        struct str line =
            STR("x-endless: "
                "0123456789012345678901234567890123456789012345678901234567890123456789\r\n");
        need(buf_str(&p->bytes, line));
        play_send(p, off, line.n, UINT64_MAX, 0);
        p->end = PLAY_CLOSE;
    } else if (b->hang && !later) {
        p->end = PLAY_HANG;
    } else if ((b->reset || b->close) && !later) {
        p->end = b->reset ? PLAY_RESET : PLAY_CLOSE;
    } else {
        return false;
    }
    p->status = 0;
    play_lead(p, STR(""), us(b->delay_ms));
    return true;
}

static void whole(struct maker *m, const char *retry_after)
{
    const struct behave *b = m->b;
    struct play *p = m->p;
    m->framing = framing_of(b, m->r);
    m->last = m->framing == FRAME_EOF || b->http10 || b->early_reply || (m->r && !m->r->keep_alive);
    if (m->last)
        p->end = PLAY_CLOSE;
    body(m);
    uint64_t size = play_size(p);
    if (size == UINT64_MAX)
        size = ENDLESS;
    if (m->framing == FRAME_CHUNKED && !p->stream) {
        char line[24];
        int n = snprintf(line, sizeof line, "%" PRIx64 "\r\n", size);
        if (size) {
            play_lead(p, str_make(line, (size_t)n), 0);
            play_text(p, STR("\r\n"), 0);
        }
        play_text(p, STR("0\r\n\r\n"), 0);
    }
    if (p->stream && m->framing == FRAME_LENGTH && p->end != PLAY_KEEP && m->stop != BEHAVE_NEVER)
        size += 100; /* a counted stream that breaks off has a content-length it does not reach */
    if (b->close_after_bytes != BEHAVE_NEVER) {
        play_cut(p, b->close_after_bytes);
        p->end = b->reset ? PLAY_RESET : PLAY_CLOSE;
    }
    if (b->early_reply)
        p->end = PLAY_LINGER;
    if (m->r && str_eq(request_method(m->r), STR("HEAD")))
        play_cut(p, 0);
    struct buf head;
    buf_init(&head, TEXT_MAX);
    char info[64];
    int n = snprintf(info, sizeof info, "HTTP/1.1 %u Early Hints\r\n\r\n",
                     (unsigned)(b->info_status % 1000));
    for (uint64_t i = 0; i < b->continue_1xx; i++)
        need(buf_add(&head, info, (size_t)n));
    head_text(m, &head, size, retry_after);
    if (b->half_head) {
        play_cut(p, 0);
        head.len /= 2;
        p->end = b->hang ? PLAY_HANG : b->reset ? PLAY_RESET : PLAY_CLOSE;
    }
    play_lead(p, buf_view(&head), us(b->delay_ms));
    buf_free(&head);
    if (b->extra_bytes_after_end)
        play_text(p, STR("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstray"), 0);
}

struct play *reply_make(const struct behave *b, const struct request *r, const char *retry_after)
{
    struct maker m = {
        .b = b, .r = r, .p = play_new(), .type = "application/json", .stop = BEHAVE_NEVER};
    buf_init(&m.text, TEXT_MAX);
    m.p->status = (unsigned)(b->status % 1000);
    m.p->trickle_us = us(b->trickle_ms);
    m.p->trickle_bytes = b->trickle_bytes ? b->trickle_bytes : 1;
    if (!broken(&m))
        whole(&m, retry_after);
    if (b->close_idle || b->close_idle_ms)
        m.p->close_idle_us = us(b->close_idle_ms);
    buf_free(&m.text);
    return m.p;
}

struct play *reply_own(unsigned status, const char *type, struct str text, bool keep_alive)
{
    struct play *p = play_new();
    p->status = status;
    p->end = keep_alive ? PLAY_KEEP : PLAY_LINGER;
    char head[160];
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 %u %s\r\ncontent-type: %s\r\ncontent-length: %zu\r\n%s\r\n", status,
                     reason(status), type, text.n, keep_alive ? "" : "connection: close\r\n");
    play_text(p, text, 0);
    play_lead(p, str_make(head, (size_t)n), 0);
    return p;
}
