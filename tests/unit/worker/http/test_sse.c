#include "worker/http/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define EVENT(name, data) "event: " name "\ndata: " data "\n\n"

static const char anthropic[] = EVENT(
    "message_start",
    "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_01\",\"type\":\"message\",\"role\":"
    "\"assistant\","
    "\"content\":[],\"usage\":{\"input_tokens\":429,\"cache_creation_input_tokens\":17,"
    "\"cache_read_input_tokens\":2048,\"output_tokens\":1}}}") EVENT("ping", "{\"type\":\"ping\"}")
    EVENT("content_block_start",
          "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\"}}")
        EVENT("content_block_delta",
              "{\"type\":\"content_block_delta\",\"delta\":{\"text\":\"\\n\\nevent: error\"}}")
            EVENT("content_block_stop", "{\"type\":\"content_block_stop\",\"index\":0}")
                EVENT("message_delta",
                      "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},"
                      "\"usage\":{\"output_tokens\":57}}")
                    EVENT("message_stop", "{\"type\":\"message_stop\"}");

static const char openai[] =
    ": connected\n\n"
    "data: {\"id\":\"c1\",\"choices\":[],\"prompt_filter_results\":[]}\n\n"
    "data: "
    "{\"id\":\"c1\",\"error\":null,\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}],"
    "\"usage\":null}\n\n"
    "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"[DONE] error\"}}]}\n\n"
    "data: {\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":22,"
    "\"prompt_tokens_details\":{\"cached_tokens\":8}}}\n\n"
    "data: [DONE]\n\n";

/* What a stream looked like to a caller, whatever the pieces it came in. */
struct seen {
    struct sse_usage usage;
    enum sse_kind first;
    bool content, stopped, error, boundary;
    uint64_t events, meant;
    char error_data[256];
    size_t stops, stop_at[4]; /* offsets where sse_feed stopped for the caller to look */
};

static void feed(struct sse *s, struct seen *o, const char *text, size_t from, size_t to)
{
    /* Of the exact size, for the sanitizer. */
    size_t n = to - from, at = 0;
    char *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, text + from, n);
    while (at < n) {
        enum sse_kind first = s->first;
        bool content = s->content, error = s->error;
        at += sse_feed(s, copy + at, n - at);
        if (s->first != first || s->content != content || s->error != error) {
            assert_true(o->stops < COUNT_OF(o->stop_at));
            assert_true(sse_at_boundary(s));
            o->stop_at[o->stops++] = from + at;
        } else {
            assert_int_equal(at, n);
        }
    }
    free(copy);
}

static void finish(struct sse *s, struct seen *o, bool end)
{
    o->boundary = sse_at_boundary(s);
    if (end)
        sse_finish(s);
    o->usage = s->usage;
    o->first = s->first;
    o->content = s->content;
    o->stopped = s->stopped;
    o->error = s->error;
    o->events = s->events;
    o->meant = s->meant;
    struct str e = buf_view(&s->error_data);
    (void)snprintf(o->error_data, sizeof o->error_data, "%.*s", STR_ARG(e));
}

static bool same(const struct seen *a, const struct seen *b)
{
    return a->usage.input == b->usage.input && a->usage.output == b->usage.output &&
           a->usage.cache_read == b->usage.cache_read &&
           a->usage.cache_write == b->usage.cache_write && a->first == b->first &&
           a->content == b->content && a->stopped == b->stopped && a->error == b->error &&
           a->boundary == b->boundary && a->events == b->events && a->meant == b->meant &&
           strcmp(a->error_data, b->error_data) == 0 && a->stops == b->stops;
}

/* Feeds the text whole, in two pieces cut at every place, and in drops of 1 to 7 bytes: all the
 * same. CR and LF of one line end may be told apart by the cut, so stop_at may differ by that one
 * byte. */
static struct seen see_n(const char *text, size_t n, bool end)
{
    struct seen whole = {0};
    struct sse s;
    sse_init(&s);
    feed(&s, &whole, text, 0, n);
    finish(&s, &whole, end);
    sse_free(&s);
    for (size_t cut = 1; cut < n; cut++) {
        struct seen o = {0};
        sse_init(&s);
        feed(&s, &o, text, 0, cut);
        feed(&s, &o, text, cut, n);
        finish(&s, &o, end);
        sse_free(&s);
        if (!same(&o, &whole))
            fail_msg("cut at %zu differs", cut);
        for (size_t i = 0; i < o.stops; i++)
            assert_true(o.stop_at[i] == whole.stop_at[i] || o.stop_at[i] + 1 == whole.stop_at[i]);
    }
    for (size_t step = 1; step < 8; step++) {
        struct seen o = {0};
        sse_init(&s);
        for (size_t at = 0; at < n; at += step)
            feed(&s, &o, text, at, min_size(at + step, n));
        finish(&s, &o, end);
        sse_free(&s);
        if (!same(&o, &whole))
            fail_msg("drops of %zu differ", step);
    }
    return whole;
}

/* The same text with other line ends. */
static size_t with_ends(const char *text, const char *end, char *out)
{
    size_t n = 0;
    for (; *text; text++) {
        if (*text != '\n') {
            out[n++] = *text;
            continue;
        }
        for (const char *e = end; *e; e++)
            out[n++] = *e;
    }
    return n;
}

/* Sees the text with LF, CRLF and CR; all the same. */
static struct seen see(const char *text, bool end)
{
    static const char *const ends[] = {"\n", "\r\n", "\r"};
    struct seen first = {0};
    char *copy = malloc(strlen(text) * 2 + 1);
    assert_non_null(copy);
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        size_t n = with_ends(text, ends[i], copy);
        struct seen o = see_n(copy, n, end);
        if (i == 0)
            first = o;
        else if (!same(&o, &first))
            fail_msg("line end %zu differs", i);
    }
    free(copy);
    return first;
}

static void test_anthropic(void **state)
{
    (void)state;
    struct seen o = see(anthropic, false);
    assert_int_equal(o.first, SSE_EV_START);
    assert_true(o.content && o.stopped && o.boundary);
    assert_false(o.error);
    assert_int_equal(o.events, 7);
    assert_int_equal(o.usage.input, 429);
    assert_int_equal(o.usage.output, 57);
    assert_int_equal(o.usage.cache_read, 2048);
    assert_int_equal(o.usage.cache_write, 17);
    /* The caller looks behind the head and behind the first content, and at nothing else. */
    assert_int_equal(o.stops, 2);
    const char *start = strstr(anthropic, "event: ping");
    const char *delta = strstr(anthropic, "event: content_block_delta");
    o = see_n(anthropic, sizeof anthropic - 1, false);
    assert_int_equal(o.stop_at[0], start - anthropic);
    assert_int_equal(o.stop_at[1], delta - anthropic);
}

static void test_openai(void **state)
{
    (void)state;
    struct seen o = see(openai, false);
    assert_int_equal(o.first, SSE_EV_START);
    assert_true(o.content && o.stopped);
    assert_false(o.error);
    assert_int_equal(o.events, 5);
    assert_int_equal(o.usage.input, 3); /* without the cached ones */
    assert_int_equal(o.usage.output, 22);
    assert_int_equal(o.usage.cache_read, 8);
    assert_int_equal(o.usage.cache_write, -1);
}

static void test_responses(void **state)
{
    (void)state;
    struct seen o = see(
        EVENT("response.created", "{\"type\":\"response.created\",\"response\":{\"usage\":null}}")
            EVENT("response.output_text.delta", "{\"delta\":\"x\"}") EVENT(
                "response.completed",
                "{\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":3,"
                "\"input_tokens_details\":{\"cached_tokens\":2},\"output_tokens\":4}}}"),
        false);
    assert_int_equal(o.first, SSE_EV_START);
    assert_true(o.content && o.stopped);
    assert_int_equal(o.usage.input, 1);
    assert_int_equal(o.usage.cache_read, 2);
    assert_int_equal(o.usage.output, 4);
    o = see(EVENT("response.failed", "{\"type\":\"response.failed\"}"), false);
    assert_true(o.error);
}

/* The first event of a stream: what it is, and what of it is kept. */
static void test_first(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum sse_kind first;
        const char *error;
        uint64_t events;
    } cases[] = {
        {EVENT("error", "{\"type\":\"error\",\"error\":{}}"), SSE_EV_ERROR,
         "{\"type\":\"error\",\"error\":{}}", 1},
        {"event:error\ndata:x\ndata: y\ndata\ndata:  z\n\n", SSE_EV_ERROR, "x\ny\n\n z", 1},
        {"data: x\nevent: error\n\n", SSE_EV_ERROR, "x", 1},
        {"event: error\n\n", SSE_EV_ERROR, "", 1},
        {"event: ping\nevent: error\ndata: x\n\n", SSE_EV_ERROR, "x", 1},
        {"data: {\"error\":{\"type\":\"overloaded_error\"}}\n\n", SSE_EV_ERROR,
         "{\"error\":{\"type\":\"overloaded_error\"}}", 1},
        {"data: {\"type\":\"error\",\"message\":\"m\"}\n\n", SSE_EV_ERROR,
         "{\"type\":\"error\",\"message\":\"m\"}", 1},
        {"data: {\"error\":\ndata: \"no\"}\n\n", SSE_EV_ERROR, "{\"error\":\n\"no\"}", 1},
        {"event: message\ndata: {\"error\":\"no\"}\n\n", SSE_EV_ERROR, "{\"error\":\"no\"}", 1},
        {"event: fault\ndata: {\"error\":\"no\"}\n\n", SSE_EV_ERROR, "{\"error\":\"no\"}", 1},
        {"id: 1\nretry: 5\nevent: a_name_longer_than_all_those_we_know\ndata: {\"error\":1}\n\n",
         SSE_EV_ERROR, "{\"error\":1}", 1},
        {"data: {\"choices\":[1],\"error\":{\"code\":502}}\n\n", SSE_EV_ERROR,
         "{\"choices\":[1],\"error\":{\"code\":502}}", 1},
        {"event: content_block_start\ndata: {\"error\":\"no\"}\n\n", SSE_EV_CONTENT, NULL, 1},
        {"event: content_block_with_a_name_longer_than_all\ndata: {\"error\":\"no\"}\n\n",
         SSE_EV_CONTENT, NULL, 1},
        {"data: {\"error\":null,\"x\":1}\n\n", SSE_EV_NONE, NULL, 1},
        {"data: {\"error\":\"\"}\n\n", SSE_EV_NONE, NULL, 1},
        {"data: {\"x\":{\"error\":1,\"type\":\"error\"}}\n\n", SSE_EV_NONE, NULL, 1},
        {"data: {\"choices\":[{}]}\n\n", SSE_EV_CONTENT, NULL, 1},
        {"data: {\"choices\":[ ]}\n\n", SSE_EV_START, NULL, 1},
        {"data: {\"type\":\"message_start\"}\n\n", SSE_EV_START, NULL, 1},
        {"data: {\"type\":\"content_block_delta\"}\n\n", SSE_EV_CONTENT, NULL, 1},
        {"data: {\"type\":\"message_stop\"}\n\n", SSE_EV_STOP, NULL, 1},
        {"data: [DONE]\n\n", SSE_EV_STOP, NULL, 1},
        {"data:[DONE] \n\n", SSE_EV_STOP, NULL, 1},
        {"data: some text\n\n", SSE_EV_NONE, NULL, 1},
        {"event: unknown\ndata: some text\n\n", SSE_EV_NONE, NULL, 1},
        {"event: ping\ndata: {}\n\n", SSE_EV_NONE, NULL, 1},
        {"data: {\"type\":\"ping\"}\n\n", SSE_EV_NONE, NULL, 1},
        {"data:\n\n", SSE_EV_NONE, NULL, 1},
        {"data\n\n", SSE_EV_NONE, NULL, 1},
        {": comment\n\n", SSE_EV_NONE, NULL, 0},
        {"\n\n\n", SSE_EV_NONE, NULL, 0},
        {"id: 7\n\n", SSE_EV_NONE, NULL, 0},
        {"retry: 7\n: c\n\n", SSE_EV_NONE, NULL, 0},
        {"database: x\ndata : y\neventx: error\nevent : error\n event: error\nEvent: error\n\n",
         SSE_EV_NONE, NULL, 0},
        {"event: error\ndata: x\n", SSE_EV_NONE, NULL, 0},
        {"event: error", SSE_EV_NONE, NULL, 0},
        {"event: errors\ndata: x\n\n", SSE_EV_NONE, NULL, 1},
        {"event:  error\ndata: x\n\n", SSE_EV_NONE, NULL, 1},
        {"\xef\xbb\xbf"
         "event: error\ndata: x\n\n",
         SSE_EV_ERROR, "x", 1},
        {"\xef\xbb"
         "event: error\ndata: x\n\n",
         SSE_EV_NONE, NULL, 1},
        {"\xef\xbb\xbf\xef\xbb\xbf"
         "event: error\ndata: x\n\n",
         SSE_EV_NONE, NULL, 1},
        {"\xef\xbb\xbf\n: c\n\ndata: [DONE]\n\n", SSE_EV_STOP, NULL, 1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct seen o = see(cases[i].text, false);
        if (o.first != cases[i].first || o.error != (cases[i].error != NULL) ||
            o.events != cases[i].events)
            fail_msg("case %zu: first %d, error %d, events %d", i, o.first, o.error, (int)o.events);
        if (cases[i].error)
            assert_string_equal(o.error_data, cases[i].error);
    }
}

/* What a stream mostly consists of, and what is nearly that: counted alike whole and in pieces. */
static void test_deltas(void **state)
{
    (void)state;
#define DELTA "event: content_block_delta\ndata: "
    static const struct {
        const char *text;
        uint64_t events;
        bool error;
    } cases[] = {
        {DELTA "{}\n\n" DELTA "{\"type\":\"error\"}\n\n", 2, false},
        {"event: content_block_delta\ndata:\n\n", 1, false},
        {DELTA "x\ndata: y\n\n", 1, false},
        {DELTA "x\nevent: error\ndata: y\n\n", 1, true},
        {DELTA "x\r\ndata: y\n\n", 1, false},
        {DELTA "x\r\nevent: error\ndata: y\n\n", 1, true},
        {DELTA "x\r\n\r\n" DELTA "x\r\r", 2, false},
        {DELTA "x\n\r\n" DELTA "x\r\n\n", 2, false},
        {DELTA "x\n\revent: error\ndata: y\n\n", 2, true},
        {DELTA "x\rdata: y\n\n", 1, false},
        {"event: content_block_delta\ndatax: x\n\n", 1, false},
        {"event: content_block_deltas\ndata: x\n\n", 1, false},
        {"event: content_block_delta\rdata: x\n\n", 1, false},
        {": c\n" DELTA "x\n\n", 1, false},
        {"event: error\n" DELTA "x\n\n", 1, false},
        {"data: x\n" DELTA "y\n\n", 1, false},
        {DELTA "x\n", 0, false},
        {DELTA "x", 0, false},
        {DELTA, 0, false},
        {DELTA "x\n\nevent: error\ndata: y\n\n", 2, true},
    };
    static const char begin[] = EVENT("message_start", "{}") EVENT("content_block_start", "{}");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[400];
        int n = snprintf(text, sizeof text, "%s%s%s%s", begin, DELTA "x\n\n", cases[i].text,
                         cases[i].text);
        assert_true(n > 0 && (size_t)n < sizeof text);
        size_t once = (size_t)n - strlen(cases[i].text);
        struct seen o = see_n(text, once, false);
        if (o.events != 3 + cases[i].events || o.error != cases[i].error || o.meant != o.events)
            fail_msg("case %zu: events %d, error %d", i, (int)o.events, o.error);
        (void)see_n(text, (size_t)n, true);
    }
#undef DELTA
}

/* Line ends of all kinds in one stream, and a CR as the last byte of a piece. */
static void test_mixed_ends(void **state)
{
    (void)state;
    static const char text[] =
        "event: error\rdata: a\r\ndata: b\n\revent: ping\n\r\ndata: x\r\n\r\n";
    struct seen o = see_n(text, sizeof text - 1, false);
    assert_true(o.error);
    assert_string_equal(o.error_data, "a\nb");
    assert_int_equal(o.events, 3);
    assert_true(o.content);
}

static void test_finish(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool error, stopped;
        const char *data;
    } cases[] = {
        {"event: error\ndata: x\n", true, false, "x"},
        {"event: error\ndata: x", true, false, "x"},
        {"event: error\ndata:", true, false, ""},
        {"event: error", true, false, ""},
        {"event: err", false, false, ""},
        {"data: {\"error\":\"no\"}", true, false, "{\"error\":\"no\"}"},
        {"data: {\"error\":\"no\"", true, false, "{\"error\":\"no\""},
        {"data: {\"error", false, false, ""},
        {"data: [DONE]", false, true, ""},
        {"event: message_stop\ndata: {}\n", false, true, ""},
        {"event: content_block_delta\ndata: {}\n", false, false, ""},
        {"", false, false, ""},
        {"\xef\xbb", false, false, ""},
        {": comment", false, false, ""},
        {EVENT("error", "x") "event: error\ndata: y", true, false, "x"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct seen o = see(cases[i].text, true);
        if (o.error != cases[i].error || o.stopped != cases[i].stopped)
            fail_msg("case %zu", i);
        assert_string_equal(o.error_data, cases[i].data);
        assert_int_equal(o.first, o.error ? SSE_EV_ERROR : SSE_EV_NONE);
        assert_false(o.content);
    }
}

static void test_places(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool boundary, line_start;
    } cases[] = {
        {"", true, true},
        {"d", false, false},
        {"data: x", false, false},
        {"data: x\n", false, true},
        {"data: x\r", false, false},
        {"data: x\r\n", false, true},
        {"data: x\n\n", true, true},
        {"data: x\n\r", true, false},
        {"data: x\r\n\r\n", true, true},
        {": c\n", false, true},
        {": c\n\n", true, true},
        {"event: ping", false, false},
        {"event: ping\n", false, true},
        {"\xef\xbb\xbf", true, true},
        {"\xef\xbb", false, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct sse s;
        struct seen o = {0};
        sse_init(&s);
        feed(&s, &o, cases[i].text, 0, strlen(cases[i].text));
        if (sse_at_boundary(&s) != cases[i].boundary ||
            sse_at_line_start(&s) != cases[i].line_start)
            fail_msg("case %zu", i);
        sse_free(&s);
    }
}

/* Data over the ceiling: an error is cut, usage is not read; the rest goes on. */
static void test_huge(void **state)
{
    (void)state;
    enum { SIZE = 200000 };
    char *text = malloc(SIZE + 4096);
    assert_non_null(text);
    static const char *const heads[] = {
        "event: error\ndata: {\"error\":{\"message\":\"",
        "data: {\"error\":{\"message\":\"",
        "event: message_delta\ndata: {\"usage\":{\"output_tokens\":5},\"x\":\"",
        "data: {\"choices\":[{\"x\":\"",
        "event: content_block_delta\ndata: \"",
    };
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        size_t head = strlen(heads[i]), n = head;
        memcpy(text, heads[i], head);
        memset(text + n, 'x', SIZE);
        n += SIZE;
        static const char tail[] = "\"}}\n\n" EVENT("message_stop", "{}");
        memcpy(text + n, tail, sizeof tail - 1);
        n += sizeof tail - 1;
        static const size_t steps[] = {1000, 16384, 65536, 1 << 20};
        for (size_t k = 0; k < COUNT_OF(steps); k++) {
            struct sse s;
            struct seen o = {0};
            sse_init(&s);
            for (size_t at = 0; at < n; at += steps[k])
                feed(&s, &o, text, at, min_size(at + steps[k], n));
            assert_true(s.stopped);
            assert_int_equal(s.events, 2);
            assert_int_equal(s.usage.output, -1);
            assert_int_equal(s.error, i < 2);
            if (i < 2) {
                assert_int_equal(s.error_data.len, SSE_DATA_MAX);
                assert_memory_equal(buf_data(&s.error_data), strstr(heads[i], "{"), 10);
            } else {
                assert_int_equal(s.first, i == 2 ? SSE_EV_DELTA : SSE_EV_CONTENT);
            }
            /* Memory of the great event is given back. */
            assert_true(s.keep.cap <= 4096);
            sse_free(&s);
        }
    }
    /* Many lines of data: their sum has the same ceiling. */
    size_t n = (size_t)snprintf(text, 64, "event: error\n");
    while (n < SIZE)
        n += (size_t)snprintf(text + n, 64, "data: 0123456789\n");
    text[n++] = '\n';
    struct sse s;
    struct seen o = {0};
    sse_init(&s);
    feed(&s, &o, text, 0, n);
    assert_true(s.error);
    assert_int_equal(s.error_data.len, SSE_DATA_MAX);
    sse_free(&s);
    free(text);
}

static void test_usage_of_json(void **state)
{
    (void)state;
    struct sse_usage u;
    (void)sse_read_json(
        STR("{\"type\":\"message\",\"content\":[{\"usage\":1}],\"usage\":{\"input_tokens\":5,"
            "\"output_tokens\":6,\"cache_creation\":{\"output_tokens\":9},\"service_tier\":\"x\"}"
            "}"),
        &u);
    assert_int_equal(u.input, 5);
    assert_int_equal(u.output, 6);
    assert_int_equal(u.cache_read, -1);
    assert_int_equal(u.cache_write, -1);
    (void)sse_read_json(STR("{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":6}}"), &u);
    assert_int_equal(u.input, 5);
    assert_int_equal(u.output, 6);
    static const char *const none[] = {
        "",
        "[]",
        "{}",
        "{\"usage\":null}",
        "{\"usage\":[1]}",
        "{\"usage\":{}",
        "{\"usage\":{\"input_tokens\":-1,\"output_tokens\":\"1\"}}",
        "{\"usage\":{\"input_tokens\":1.5,\"output_tokens\":99999999999999999999}}"};
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        (void)sse_read_json(str_c(none[i]), &u);
        assert_int_equal(u.input, -1);
        assert_int_equal(u.output, -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_anthropic),  cmocka_unit_test(test_openai),
        cmocka_unit_test(test_responses),  cmocka_unit_test(test_first),
        cmocka_unit_test(test_mixed_ends), cmocka_unit_test(test_deltas),
        cmocka_unit_test(test_finish),     cmocka_unit_test(test_places),
        cmocka_unit_test(test_huge),       cmocka_unit_test(test_usage_of_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
