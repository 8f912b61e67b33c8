#include "worker/evidence/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define MESSAGE                                                                                    \
    "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":"        \
    "\"text\","                                                                                    \
    "\"text\":\"hi\"}],\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":3}}"
#define CHAT                                                                                       \
    "{\"id\":\"c\",\"object\":\"chat.completion\",\"choices\":[{\"index\":0}],\"error\":null}"
#define RESPONSE "{\"id\":\"r\",\"object\":\"response\",\"error\":null,\"output\":[]}"
#define COMPLETION "{\"type\":\"completion\",\"completion\":\" hi\"}"

struct row {
    const char *body;
    enum sse_api wanted;
    enum answer is;
};

static void test_bodies(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {MESSAGE, SSE_API_MESSAGES, ANSWER_GOOD},
        {" \r\n" MESSAGE "\n\n", SSE_API_MESSAGES, ANSWER_GOOD},
        {"\xef\xbb\xbf" MESSAGE, SSE_API_MESSAGES, ANSWER_GOOD},
        {CHAT, SSE_API_CHAT, ANSWER_GOOD},
        {RESPONSE, SSE_API_RESPONSES, ANSWER_GOOD},
        {COMPLETION, SSE_API_COMPLETE, ANSWER_GOOD},
        {"{\"completion\":\"\",\"stop_reason\":\"max_tokens\"}", SSE_API_COMPLETE, ANSWER_GOOD},
        {"{\"ty\\u0070e\":\"mess\\u0061ge\"}", SSE_API_MESSAGES, ANSWER_GOOD},
        {"{\"choice\\u0073\":[]}", SSE_API_CHAT, ANSWER_GOOD},
        {"{\"type\":\"mess\\u0061\"}", SSE_API_MESSAGES, ANSWER_OTHER},
        {"{\"type\":\"\\u0065rror\"}", SSE_API_MESSAGES, ANSWER_ERROR},
        {"{\"typ\\u0065\":\"error\",\"message\":\"x\"}", SSE_API_MESSAGES, ANSWER_ERROR},
        {"{\"type\":\"message\",\"content\":[],}", SSE_API_MESSAGES,
         ANSWER_GOOD}, /* not strictly */
        {"{\"type\":\"message\",}{}", SSE_API_MESSAGES, ANSWER_OTHER},
        /* another API's */
        {CHAT, SSE_API_MESSAGES, ANSWER_OTHER},
        {MESSAGE, SSE_API_CHAT, ANSWER_GOOD},
        {RESPONSE, SSE_API_MESSAGES, ANSWER_OTHER},
        {COMPLETION, SSE_API_MESSAGES, ANSWER_OTHER},
        /* nothing, blanks, text, pages */
        {"", SSE_API_MESSAGES, ANSWER_EMPTY},
        {" ", SSE_API_MESSAGES, ANSWER_OTHER},
        {"\r\n\t\n", SSE_API_MESSAGES, ANSWER_OTHER},
        {"ok", SSE_API_MESSAGES, ANSWER_OTHER},
        {"Service is up", SSE_API_CHAT, ANSWER_OTHER},
        {"<html><body>welcome</body></html>", SSE_API_MESSAGES, ANSWER_OTHER},
        /* other JSON */
        {"{}", SSE_API_MESSAGES, ANSWER_OTHER},
        {"[]", SSE_API_MESSAGES, ANSWER_OTHER},
        {"null", SSE_API_MESSAGES, ANSWER_OTHER},
        {"true", SSE_API_CHAT, ANSWER_OTHER},
        {"17", SSE_API_MESSAGES, ANSWER_OTHER},
        {"\""
         "text"
         "\"",
         SSE_API_MESSAGES, ANSWER_OTHER},
        {"[" MESSAGE "]", SSE_API_MESSAGES, ANSWER_OTHER},
        {"{\"detail\":\"Not Found\"}", SSE_API_MESSAGES, ANSWER_OTHER},
        {"{\"type\":\"ping\"}", SSE_API_MESSAGES, ANSWER_OTHER},
        {"{\"type\":null,\"content\":[]}", SSE_API_MESSAGES, ANSWER_OTHER},
        {"{\"choices\":null}", SSE_API_CHAT, ANSWER_OTHER},
        {"{\"data\":" MESSAGE "}", SSE_API_MESSAGES, ANSWER_OTHER},
        /* something behind it */
        {MESSAGE "\ndata: [DONE]\n\n", SSE_API_MESSAGES, ANSWER_OTHER},
        {CHAT "data: [DONE]", SSE_API_CHAT, ANSWER_OTHER},
        {MESSAGE MESSAGE, SSE_API_MESSAGES, ANSWER_OTHER},
        {MESSAGE "}", SSE_API_MESSAGES, ANSWER_OTHER},
        /* streams */
        {"data: [DONE]\n\n", SSE_API_CHAT, ANSWER_OTHER},
        {"event: ping\ndata: {}\n\n", SSE_API_MESSAGES, ANSWER_OTHER},
        /* cut */
        {"{", SSE_API_MESSAGES, ANSWER_CUT},
        {"{\"id\":\"msg_1\",\"type\":\"message\",\"content\":[{\"te", SSE_API_MESSAGES, ANSWER_CUT},
        {"{\"id\":\"c\",\"choices\":[{\"message\":{\"content\":\"}", SSE_API_CHAT, ANSWER_CUT},
        /* errors */
        {"{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}", SSE_API_MESSAGES,
         ANSWER_ERROR},
        {"{\"error\":{\"message\":\"quota\"}}", SSE_API_CHAT, ANSWER_ERROR},
        {"{\"error\":\"no channel\",\"type\":\"message\"}", SSE_API_MESSAGES, ANSWER_ERROR},
        {"{\"base_resp\":{\"status_code\":1004}}", SSE_API_CHAT, ANSWER_ERROR},
        {"{\"choices\":[],\"error\":{\"message\":\"quota\"}}", SSE_API_CHAT, ANSWER_ERROR},
        {"{\"type\":\"message\",\"content\":[ ],\"error\":{\"type\":\"x\"}}", SSE_API_MESSAGES,
         ANSWER_ERROR},
        /* content all the same */
        {"{\"choices\":[],\"usage\":{},\"error\":null}", SSE_API_CHAT, ANSWER_GOOD},
        {"{\"choices\":[{\"index\":0}],\"error\":{\"code\":1}}", SSE_API_CHAT, ANSWER_GOOD},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sse_usage u;
        enum answer is = answer_of_body(str_c(rows[i].body), rows[i].wanted, &u);
        if (is != rows[i].is)
            fail_msg("%s: %d in place of %d", rows[i].body, (int)is, (int)rows[i].is);
    }
}

static void test_usage(void **state)
{
    (void)state;
    struct sse_usage u;
    assert_int_equal(answer_of_body(STR(MESSAGE), SSE_API_MESSAGES, &u), ANSWER_GOOD);
    assert_int_equal(u.input, 3);
}

static void test_fronts(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"id\":\"msg_1\",\"type\":\"message\",\"content\":[{\"te", SSE_API_MESSAGES,
         ANSWER_GOOD},
        {"{\"type\":\"message\"}", SSE_API_MESSAGES, ANSWER_GOOD},
        {"{\"type\":\"other\"}", SSE_API_MESSAGES, ANSWER_OTHER},
        /* what tells it may follow */
        {"{\"content\":[{\"text\":\"aaaa", SSE_API_MESSAGES, ANSWER_GOOD},
        {" {\"id\":\"c\",\"choices\":[{\"message\":", SSE_API_CHAT, ANSWER_GOOD},
        {"{\"id\":\"c\",\"type\":\"image\",\"data\":\"aaaa", SSE_API_MESSAGES, ANSWER_OTHER},
        {"{\"choices\":[],\"data\":\"aaaa", SSE_API_MESSAGES, ANSWER_OTHER},
        {"aaaaaaaaaaaaaa", SSE_API_MESSAGES, ANSWER_OTHER},
        {"[[[[[[[", SSE_API_MESSAGES, ANSWER_OTHER},
        {"<html>", SSE_API_MESSAGES, ANSWER_OTHER},
        {"{}aaaaaaaa", SSE_API_MESSAGES, ANSWER_OTHER},
        {"", SSE_API_MESSAGES, ANSWER_OTHER},
        {"{\"type\":\"error\",\"error\":{\"message\":\"aaaa", SSE_API_MESSAGES, ANSWER_ERROR},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        enum answer is = answer_of_front(str_c(rows[i].body), rows[i].wanted);
        if (is != rows[i].is)
            fail_msg("%s: %d in place of %d", rows[i].body, (int)is, (int)rows[i].is);
    }
}

static void test_streams(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum sse_api wanted;
        bool good;
    } rows[] = {
        {"event: message_start\ndata: {\"type\":\"message_start\"}\n\n", SSE_API_MESSAGES, true},
        {"data: {\"type\":\"message_start\"}\n\n", SSE_API_MESSAGES, true},
        {"data: {\"t\\u0079pe\":\"message_st\\u0061rt\"}\n\n", SSE_API_MESSAGES, true},
        {": hi\n\nevent: ping\ndata: {}\n\ndata: {\"type\":\"message_start\"}\n\n",
         SSE_API_MESSAGES, true},
        {"event: keepalive\ndata: {}\n\nevent: content_block_start\ndata: {}\n\n", SSE_API_MESSAGES,
         true},
        {"event: completion\ndata: {\"completion\":\"a\"}\n\n", SSE_API_COMPLETE, true},
        {"data: {\"choices\":[]}\n\n", SSE_API_CHAT, true},
        {"data: {\"id\":\"c\",\"choices\":[{\"delta\":{}}]}\n\n", SSE_API_CHAT, true},
        {"event: response.created\ndata: {}\n\n", SSE_API_RESPONSES, true},
        {"data: {\"type\":\"response.created\"}\n\n", SSE_API_RESPONSES, true},
        {"event: response.output_text.delta\ndata: {\"delta\":\"x\"}\n\n", SSE_API_RESPONSES, true},
        {"event: response.completed\ndata: {}\n\n", SSE_API_RESPONSES, true},
        /* an unknown event in front decides nothing */
        {"event: news\ndata: {}\n\nevent: message_start\ndata: {}\n\n", SSE_API_MESSAGES, true},
        {"data: {\"detail\":\"x\"}\n\ndata: [DONE]\n\n", SSE_API_CHAT, false},
        {"data: [DONE]\n\n", SSE_API_CHAT, false},
        {"data: [DONE]\n\n", SSE_API_MESSAGES, false},
        {"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", SSE_API_MESSAGES, false},
        {"data: {\"choices\":[{\"delta\":{}}]}\n\n", SSE_API_MESSAGES, false},
        {"event: message_start\ndata: {\"type\":\"message_start\"}\n\n", SSE_API_CHAT, true},
        {"data: {\"detail\":\"x\"}\n\n", SSE_API_MESSAGES, false},
        {"data: hello\n\n", SSE_API_MESSAGES, false},
        {"event: hello\ndata: {}\n\n", SSE_API_MESSAGES, false},
        {"data: null\n\n", SSE_API_CHAT, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (size_t step = 1; step < 40; step += 7) {
            struct sse s;
            struct str text = str_c(rows[i].text);
            sse_init(&s);
            for (size_t at = 0; at < text.n && s.first == SSE_EV_NONE; at += step)
                for (size_t from = at, n = min_size(step, text.n - at); n;) {
                    size_t used = sse_feed(&s, text.p + from, n);
                    from += used;
                    n -= used;
                }
            if (answer_of_stream(&s, rows[i].wanted) != rows[i].good)
                fail_msg("%s: not %d", rows[i].text, rows[i].good);
            sse_free(&s);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_fronts),
        cmocka_unit_test(test_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
