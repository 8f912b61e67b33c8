#include "tests/fake_upstream/reply/reply.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "tests/fake_upstream/reply/bomb.h"
#include "tests/fake_upstream/reply/gzip.h"
#include "tests/fake_upstream/reply/maker.h"
#include "tests/fake_upstream/reply/openai.h"
#include "tests/fake_upstream/site.h"
#include "tests/fake_upstream/reply/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    ENDLESS = 1 << 30, /* content-length of an endless reply */
    NO_CONTENT = 204,
    BOMB_MAX = 4 * 1024 * 1024
};

static const struct {
    unsigned status;
    const char *reason, *type;
} statuses[] = {
    {200, "OK", "api_error"},
    {204, "No Content", "api_error"},
    {302, "Found", "api_error"},
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

/* ---- bodies that are no stream */

static void message(struct maker *m)
{
    struct buf *t = &m->text;
    struct str user = maker_said(m);
    maker_need(buf_printf(t,
                          "{\"id\":\"msg_fake_%06" PRIu64
                          "\",\"type\":\"message\",\"role\":\"assistant\",\"model\":",
                          m->r ? m->r->id : 0) &&
               json_text(t, maker_model(m)) &&
               buf_str(t, STR(",\"content\":[{\"type\":\"text\",\"text\":")) && json_text(t, user));
    size_t split = t->len - 1;
    maker_need(
        buf_printf(t,
                   "}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_"
                   "tokens\":%" PRIu64 ",\"output_tokens\":%" PRIu64 "}",
                   m->b->in_tokens, m->b->out_tokens));
    if (m->b->echo && m->r)
        maker_need(maker_echo_json(t, m->r));
    maker_need(buf_str(t, STR("}")));
    uint64_t fill = m->b->reply_bytes > t->len ? m->b->reply_bytes - t->len : 0;
    struct str all = buf_view(t);
    if (fill < FILL_FROM) {
        play_text(m->p, str_make(all.p, split), 0);
        size_t off = m->p->bytes.len;
        maker_need(buf_reserve(&m->p->bytes, fill + 1));
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
    maker_need(buf_str(t, STR("{\"data\":[")));
    for (size_t i = 0; i < COUNT_OF(names); i++)
        maker_need(buf_printf(t,
                              "%s{\"type\":\"model\",\"id\":\"%s\",\"display_name\":\"%s\","
                              "\"created_at\":\"2025-01-01T00:00:00Z\"}",
                              i ? "," : "", names[i], names[i]));
    maker_need(buf_printf(t, "],\"has_more\":false,\"first_id\":\"%s\",\"last_id\":\"%s\"}",
                          names[0], names[COUNT_OF(names) - 1]));
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
    char room[256];
    if (b->openai) {
        const char *message = openai_refuses(b, m->r) ? openai_refusal(b, room) : b->message;
        openai_error_body(m, status, or_else(b->error, error_type(status)),
                          or_else(message, "simulated failure"));
        return;
    }
    maker_need(maker_error_json(&m->text, or_else(b->error, error_type(status)),
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
    bool stream =
        post && !b->json && (b->stream || (r && r->stream)) && !(r && reply_is_count_tokens(r));
    if (b->status == NO_CONTENT) {
        return;
    }
    if (b->html || b->html_200) {
        html(m);
    } else if (openai_refuses(b, r)) {
        error_body(m, 400);
    } else if (b->status != 200 || b->error || b->body) {
        error_body(m, (unsigned)b->status);
    } else if (b->empty_200) {
        return;
    } else if (b->gzip_bomb) {
        m->gzip = true;
        maker_need(bomb_gzip(&m->p->bytes));
        play_send(m->p, 0, m->p->bytes.len, 1, 0);
    } else if (r && reply_is_count_tokens(r)) {
        if (b->count_tokens != 200) {
            error_body(m, (unsigned)b->count_tokens);
            return;
        }
        maker_need(buf_printf(&m->text, "{\"input_tokens\":%" PRIu64 "}", b->in_tokens));
        play_content(m->p);
        play_text(m->p, buf_view(&m->text), 0);
    } else if (stream) {
        stream_make(m);
    } else if (b->sse_error_first) {
        maker_need(
            maker_error_json(&m->text, b->sse_error_first, or_else(b->message, "Overloaded")));
        play_text(m->p, buf_view(&m->text), 0);
    } else if (r && str_ends(path_of(r), STR("/v1/models"))) {
        models(m);
    } else if (!post) {
        play_text(m->p, STR("{}"), 0);
    } else if (b->endless_body) {
        play_fill(m->p, UINT64_MAX, 0);
    } else {
        play_content(m->p);
        if (b->openai)
            openai_whole(m);
        else
            message(m);
    }
}

/* ---- heads */

/* The false clock of `date`, and a moment by it. */
static void head_date(struct maker *m, struct buf *h)
{
    time_t now = time(NULL) + strtol(or_else(m->b->date, "0"), NULL, 10);
    time_t reset = now + (time_t)(m->b->reset_s % 1000000);
    struct tm tm;
    char text[64];
    strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
    maker_need(buf_printf(h, "date: %s\r\n", text));
    if (!m->b->reset_s)
        return;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&reset, &tm));
    maker_need(buf_printf(h,
                          "anthropic-ratelimit-requests-remaining: 0\r\n"
                          "anthropic-ratelimit-requests-reset: %s\r\n",
                          text));
}

static void head_text(struct maker *m, struct buf *h, uint64_t size, const char *retry_after)
{
    const struct behave *b = m->b;
    maker_need(buf_printf(
        h,
        "HTTP/1.%c %u %s\r\ncontent-type: %s\r\nserver: fake\r\nrequest-id: req_fake_%06" PRIu64
        "\r\n",
        b->http10 ? '0' : '1', m->p->status, reason(m->p->status), or_else(b->type, m->type),
        m->r ? m->r->id : 0));
    if (m->p->stream)
        maker_need(buf_str(h, STR("cache-control: no-cache\r\n")));
    if (m->gzip)
        maker_need(buf_str(h, STR("content-encoding: gzip\r\n")));
    if (retry_after[0] || b->retry_after)
        maker_need(
            buf_printf(h, "retry-after: %s\r\n", retry_after[0] ? retry_after : b->retry_after));
    if (b->date || b->reset_s)
        head_date(m, h);
    if (b->header)
        maker_need(buf_printf(h, "%s\r\n", b->header));
    if (m->framing == FRAME_CHUNKED)
        maker_need(buf_str(h, STR("transfer-encoding: chunked\r\n")));
    if (m->framing == FRAME_LENGTH && m->p->status != NO_CONTENT)
        maker_need(buf_printf(h, "content-length: %" PRIu64 "\r\n", size));
    if (b->two_lengths)
        maker_need(buf_printf(h, "content-length: %" PRIu64 "\r\n", size + 10));
    if (m->last)
        maker_need(buf_str(h, STR("connection: close\r\n")));
    maker_need(buf_str(h, STR("\r\n")));
}

static enum framing framing_of(const struct behave *b, const struct request *r)
{
    if (b->framing && str_eq(str_c(b->framing), STR("length")))
        return FRAME_LENGTH;
    if (b->framing && str_eq(str_c(b->framing), STR("chunked")))
        return FRAME_CHUNKED;
    if (b->framing || b->endless_body || b->http10)
        return FRAME_EOF;
    return b->stream || (r && r->stream && !b->json && !b->html && b->status == 200 && !b->error &&
                         !b->body && !b->empty_200 && !b->html_200 && !b->gzip_bomb &&
                         !reply_is_count_tokens(r) && !openai_refuses(b, r))
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
        maker_need(buf_str(&p->bytes, line));
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
    play_lead(p, STR(""), maker_us(b->delay_ms));
    return true;
}

/* Adds bytes of a compressed body, as a chunk if the body is made of chunks. */
static void squeezed(struct play *p, struct buf *b, bool chunked, int64_t gap_us)
{
    struct buf out;
    buf_init(&out, BOMB_MAX);
    maker_need(!chunked || buf_printf(&out, "%x\r\n", b->len));
    maker_need(buf_str(&out, buf_view(b)) && (!chunked || buf_str(&out, STR("\r\n"))));
    play_text(p, buf_view(&out), gap_us);
    buf_free(&out);
    b->len = b->off = 0;
}

/* Makes the body of a play one in gzip, with the same gaps. Filler is left out. */
static void squeeze(struct maker *m, bool chunked)
{
    struct play *p = m->p;
    struct step *steps = p->v;
    size_t n = p->n;
    p->v = NULL;
    p->n = p->cap = 0;
    struct gzip g = {0};
    struct buf b;
    buf_init(&b, BOMB_MAX);
    for (size_t i = 0; i < n; i++)
        for (uint64_t k = 0; steps[i].kind == STEP_SEND && k < steps[i].count && k < 1000; k++) {
            struct str piece = str_make(buf_data(&p->bytes) + steps[i].off, steps[i].len);
            maker_need(gzip_add(&g, &b, piece));
            squeezed(p, &b, chunked, steps[i].gap_us);
        }
    if (p->end == PLAY_KEEP || m->stop == BEHAVE_NEVER) {
        maker_need(gzip_end(&g, &b));
        squeezed(p, &b, chunked, 0);
        if (chunked)
            play_text(p, STR("0\r\n\r\n"), 0);
    }
    buf_free(&b);
    mem_free(steps);
    m->gzip = true;
}

static void whole(struct maker *m, const char *retry_after)
{
    const struct behave *b = m->b;
    struct play *p = m->p;
    m->framing = framing_of(b, m->r);
    m->last = m->framing == FRAME_EOF || b->http10 || b->early_reply || (m->r && !m->r->keep_alive);
    if (m->last)
        p->end = PLAY_CLOSE;
    enum framing framing = m->framing;
    m->framing = b->gzip ? FRAME_EOF : framing; /* chunks are made of what is compressed */
    body(m);
    m->framing = framing;
    if (b->gzip)
        squeeze(m, p->stream && framing == FRAME_CHUNKED);
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
        maker_need(buf_add(&head, info, (size_t)n));
    head_text(m, &head, size, retry_after);
    if (b->half_head) {
        play_cut(p, 0);
        head.len /= 2;
        p->end = b->hang ? PLAY_HANG : b->reset ? PLAY_RESET : PLAY_CLOSE;
    }
    play_lead(p, buf_view(&head), maker_us(b->delay_ms));
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
    m.p->trickle_us = maker_us(b->trickle_ms);
    m.p->trickle_bytes = b->trickle_bytes ? b->trickle_bytes : 1;
    if (!broken(&m))
        whole(&m, retry_after);
    if (b->close_idle || b->close_idle_ms)
        m.p->close_idle_us = maker_us(b->close_idle_ms);
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
