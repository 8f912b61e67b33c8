#include "tests/fake_upstream/reply/stream.h"

#include "common/base/mem.h"
#include "tests/fake_upstream/reply/openai.h"
#include "tests/fake_upstream/site.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    BLOCK = 65536, /* bytes of a stream at full speed that one write sends */
    WORDS_MAX = 64 /* streams with more events than this repeat one event */
};

static int64_t gap(const struct behave *b)
{
    return maker_us(b->gap_ms) + (int64_t)(b->gap_us < INT32_MAX ? b->gap_us : INT32_MAX);
}

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
        maker_need(buf_printf(t, "%" PRIx64 "\r\n", size));
    maker_need(buf_printf(t, "event: %s%sdata: ", name, nl));
    *split += t->len;
    maker_need(buf_str(t, data) && buf_printf(t, "%s%s", nl, nl));
    if (m->framing == FRAME_CHUNKED)
        maker_need(buf_str(t, STR("\r\n")));
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
    maker_need(
        buf_str(t, STR("{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_"
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
        maker_need(buf_reserve(&t, fill + data.n));
        struct buf text;
        buf_init(&text, TEXT_MAX);
        maker_need(buf_str(&text, STR(" and")) && buf_add(&text, x, fill));
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
        maker_need(buf_str(&p->bytes, buf_view(&m->text)));
        for (uint64_t i = 0; i < n; i++) {
            play_send(p, off, split, 1, g);
            play_fill(p, fill, 0);
            play_send(p, off + split, len - split, 1, 0);
        }
    } else if (g) {
        maker_need(buf_str(&p->bytes, buf_view(&m->text)));
        play_send(p, off, len, n, g);
    } else {
        uint64_t k = BLOCK / len ? BLOCK / len : 1;
        k = k < n ? k : n;
        for (uint64_t i = 0; i < k; i++)
            maker_need(buf_str(&p->bytes, buf_view(&m->text)));
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
    maker_need(buf_printf(&t,
                          "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_fake_%06" PRIu64
                          "\",\"type\":\"message\",\"role\":\"assistant\",\"model\":",
                          m->r ? m->r->id : 0) &&
               json_text(&t, maker_model(m)) &&
               buf_printf(&t,
                          ",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{"
                          "\"input_tokens\":%" PRIu64 ",\"output_tokens\":1}",
                          m->b->in_tokens));
    if (m->b->echo && m->r)
        maker_need(maker_echo_json(&t, m->r));
    maker_need(buf_str(&t, STR("}}")));
    event(m, "message_start", buf_view(&t));
    buf_free(&t);
    play_content(m->p);
    event(m, "content_block_start",
          STR("{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\","
              "\"text\":\"\"}}"));
}

/* Adds one ping, or pings for ever. They count as no event. */
static void sse_ping(struct maker *m, uint64_t times)
{
    size_t split = 0;
    event_text(m, "ping", STR("{\"type\": \"ping\"}"), 0, &split);
    size_t off = m->p->bytes.len;
    maker_need(buf_str(&m->p->bytes, buf_view(&m->text)));
    play_send(m->p, off, m->text.len, times, maker_us(m->b->ping_ms));
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
            delta(m, maker_said(m));
        deltas(m, m->r ? n - 1 : n);
        return;
    }
    delta(m, maker_said(m));
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

void stream_make(struct maker *m)
{
    const struct behave *b = m->b;
    m->type = "text/event-stream; charset=utf-8";
    m->p->stream = true;
    uint64_t stops[] = {b->close_after_events, b->end_after_events, b->hang_after_events,
                        b->sse_error_first ? 0 : b->sse_error_after, b->pings_after};
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
    for (uint64_t i = 0; i < b->pings && i < 1000; i++)
        sse_ping(m, 1);
    if (b->openai) {
        openai_stream(m);
    } else {
        sse_start(m);
        sse_content(m);
        sse_end(m);
    }
    bool stopped = m->emitted == m->stop && m->stop != BEHAVE_NEVER;
    if (stopped && m->stop == stops[3]) {
        struct buf t;
        buf_init(&t, TEXT_MAX);
        maker_need(maker_error_json(
            &t, or_else(b->sse_error_first, or_else(b->sse_error, "overloaded_error")),
            or_else(b->message, "Overloaded")));
        m->stop = BEHAVE_NEVER;
        event(m, "error", buf_view(&t));
        buf_free(&t);
        stopped = false;
    }
    if (stopped && m->stop == stops[4]) {
        sse_ping(m, UINT64_MAX);
        return;
    }
    bool torn = stopped && m->stop != stops[1];
    if (torn)
        m->p->end = m->stop == stops[2] ? PLAY_HANG : b->reset ? PLAY_RESET : PLAY_CLOSE;
    else if (m->framing == FRAME_CHUNKED)
        play_text(m->p, STR("0\r\n\r\n"), 0);
}
