#include "worker/http/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define EVENT(name, data) "event: " name "\ndata: " data "\n\n"
#define START                                                                                      \
    EVENT("message_start", "{\"type\":\"message_start\",\"message\":{\"stop_reason\":null}}")
#define BLOCK EVENT("content_block_start", "{\"type\":\"content_block_start\",\"index\":0}")
#define DELTA                                                                                      \
    EVENT("content_block_delta", "{\"delta\":{\"text\":\"{\\\"stop_reason\\\":\\\"x\\\"}\"}}")
#define BLOCK_STOP EVENT("content_block_stop", "{\"type\":\"content_block_stop\",\"index\":0}")
#define DELTA_DATA "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}"
#define REASON "event: message_delta\n" DELTA_DATA "\n\n"
#define TOLD START BLOCK DELTA BLOCK_STOP REASON
#define STOP EVENT("message_stop", "{\"type\":\"message_stop\"}")
#define PIECE(index, text, reason)                                                                 \
    "data: {\"choices\":[{\"index\":" index ",\"delta\":{\"content\":\"" text                      \
    "\"},\"finish_reason\":" reason "}]}\n\n"
#define DONE "data: [DONE]\n\n"
#define PING "event: ping\n\n"

/* The stream in drops of `step` bytes, and its end. */
static bool close_of(const char *text, size_t step, char tail[static SSE_TAIL])
{
    struct sse s;
    size_t n = strlen(text);
    sse_init(&s);
    for (size_t at = 0; at < n;) {
        size_t len = min_size(step, n - at);
        char *copy = malloc(len);
        assert_non_null(copy);
        memcpy(copy, text + at, len);
        at += sse_feed(&s, copy, len);
        free(copy);
    }
    bool boundary = sse_at_boundary(&s), line = sse_at_line_start(&s), whole = sse_close(&s, tail);
    if (whole) {
        assert_true(s.stopped || s.error);
    } else {
        assert_string_equal(tail, "");
        assert_int_equal(sse_at_boundary(&s), boundary);
        assert_int_equal(sse_at_line_start(&s), line);
        assert_false(s.stopped);
    }
    sse_free(&s);
    return whole;
}

/* NULL: the stream is not whole; else what it lacks. */
static const struct {
    const char *text, *tail;
} cases[] = {
    /* it says its end */
    {TOLD STOP, ""},
    {TOLD "event: message_stop\ndata: {\"type\":\"message_stop\"}\n", "\n"},
    {TOLD "event: message_stop\ndata: {\"type\":\"message_stop\"}", "\n\n"},
    {TOLD "event: message_stop\r\ndata: {\"type\":\"message_stop\"}\r", "\n\n"},
    {START BLOCK "event: message_stop\ndata: {}", "\n\n"},
    {TOLD STOP "event: frag", ""},
    /* it has told all else */
    {TOLD, STOP},
    {START REASON, STOP},
    {START REASON PING ": bye\n\n", STOP},
    {START BLOCK BLOCK_STOP "event: message_delta\n" DELTA_DATA "\n", "\n" STOP},
    {START BLOCK BLOCK_STOP "event: message_delta\n" DELTA_DATA, "\n\n" STOP},
    {START BLOCK BLOCK_STOP "event: message_delta\r\n" DELTA_DATA "\r\n", "\n" STOP},
    {START BLOCK BLOCK_STOP "event: message_delta\r" DELTA_DATA "\r", "\n\n" STOP},
    {START BLOCK BLOCK_STOP DELTA_DATA, "\n\n" STOP},
    {START BLOCK REASON BLOCK_STOP, STOP},
    {TOLD "event: message_sto", "\n" PING STOP},
    {TOLD "event: message_stop\n", PING STOP},
    {TOLD "event: message_stop\ndata: {\"type\":\"mess", "\n" PING STOP},
    {TOLD "event: ping\ndata: {}\n", PING STOP},
    {TOLD ": comment", "\n" PING STOP},
    {"data: {\"type\":\"content_block_start\"}\n\ndata: "
     "{\"type\":\"content_block_stop\"}\n\n" DELTA_DATA "\n\n",
     STOP},
    /* it has not */
    {"", NULL},
    {START, NULL},
    {START BLOCK DELTA, NULL},
    {START BLOCK DELTA BLOCK_STOP, NULL},
    {START BLOCK DELTA REASON, NULL},
    {START BLOCK "event: content_block_delta\ndata: {}\n", NULL},
    {START BLOCK "event: other\ndata: {}\n", NULL},
    {START BLOCK "event: message_delta\n" DELTA_DATA "\n", NULL},
    {TOLD BLOCK, NULL},
    {TOLD BLOCK "event: content_block_stop\ndata: {\"type\":\"content_block_stop\"", NULL},
    {START BLOCK BLOCK_STOP "event: message_delta\ndata: {\"delta\":{\"stop_reason\":\"end_turn\"}",
     NULL},
    {START BLOCK BLOCK_STOP EVENT("message_delta", "{\"delta\":{\"stop_reason\":null}}"), NULL},
    {START BLOCK BLOCK_STOP EVENT("message_delta", "{\"delta\":{\"stop_reason\":\"\"}}"), NULL},
    {START BLOCK BLOCK_STOP EVENT("message_delta", "{\"delta\":{\"stop_reason\":\"x\"}"), NULL},
    {START BLOCK "event: message_stop\ndata: {\"ty", NULL},
    {"data: {\"completion\":\"x\",\"stop_reason\":\"stop_sequence\"}\n\n", NULL},
    /* an error is a last word too */
    {START EVENT("error", "{}"), ""},
    {START "event: error\ndata: {\"error\":{}}\n", "\n"},
    {START "data: {\"error\":{\"message\":\"no", "\n\n"},
    {START "event: error\n", NULL},
    {TOLD "event: error", "\n" PING STOP},
    /* choices */
    {PIECE("0", "a", "null") PIECE("0", "", "\"stop\"") DONE, ""},
    {PIECE("0", "a", "null") PIECE("0", "", "\"stop\""), DONE},
    {PIECE("0", "a", "null")
         PIECE("0", "", "\"stop\"") "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n",
     DONE},
    {PIECE("0", "a", "\"stop\"") PIECE("0", "", "null"), DONE},
    {PIECE("0", "a", "\"stop\"") "data: [DONE]", "\n\n"},
    {PIECE("0", "a", "null") "data: [DONE]\n", "\n"},
    {PIECE("0", "a", "\"stop\"") "data: [DON", NULL},
    {PIECE("0", "a", "\"stop\"") "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}",
     "\n\n" DONE},
    {PIECE("0", "a", "\"stop\"") ": bye", "\n\n" DONE},
    {PIECE("0", "a", "\"stop\"") "dat", "\n\n" DONE},
    {"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}\n", "\n" DONE},
    {PIECE("0", "a", "null"), NULL},
    {PIECE("0", "\\\"finish_reason\\\":\\\"stop\\\"", "null"), NULL},
    {PIECE("0", "a", "\"\""), NULL},
    {PIECE("0", "a", "null") PIECE("1", "b", "null") PIECE("0", "", "\"stop\""), NULL},
    {PIECE("0", "a", "null") PIECE("1", "b", "null") PIECE("0", "", "\"stop\"")
         PIECE("1", "", "\"stop\""),
     DONE},
    {"data: "
     "{\"choices\":[{\"index\":0,\"finish_reason\":null},{\"index\":1,\"finish_reason\":\"stop\"}]}"
     "\n\n",
     NULL},
    {"data: {\"choices\":[{\"index\":0,\"finish_reason\" : "
     "\"stop\"},{\"index\":1,\"finish_reason\":\"stop\"}]}\n\n",
     DONE},
    {"data: {\"choices\":[{\"index\":-1,\"finish_reason\":\"stop\"}]}\n\n", NULL},
    {"data: {\"choices\":[{\"index\":99,\"finish_reason\":\"stop\"}]}\n\n", DONE},
    {"data: {\"choices\":[1,null,\"x\"]}\n\n", NULL},
    {"data: {\"choices\":[]}\n\n", NULL},
};

static void test_close(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (size_t step = 1; step < 600; step = step < 40 ? step + 1 : step * 3) {
            char tail[SSE_TAIL];
            bool whole = close_of(cases[i].text, step, tail);
            if (whole != (cases[i].tail != NULL) || (whole && strcmp(tail, cases[i].tail) != 0))
                fail_msg("case %zu by %zu: %s, tail \"%s\"", i, step, whole ? "whole" : "not whole",
                         tail);
        }
}

/* What is put behind it makes it a stream that says its end. */
static void test_closed_is_complete(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char all[4096], tail[SSE_TAIL];
        if (!cases[i].tail)
            continue;
        (void)snprintf(all, sizeof all, "%s%s", cases[i].text, cases[i].tail);
        assert_true(close_of(all, 1000, tail));
        if (*tail)
            fail_msg("case %zu: it still lacks \"%s\"", i, tail);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_closed_is_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
