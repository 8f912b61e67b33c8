/* sse_usage: what a reply says about its model, its tokens and what their price depends on, from
 * the two events of a stream and from one JSON text; nonsense is none of it. */
#include "worker/http/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct sse_usage of_stream(const char *text)
{
    struct sse s;
    size_t n = strlen(text), at = 0;
    sse_init(&s);
    while (at < n)
        at += sse_feed(&s, text + at, n - at);
    sse_finish(&s);
    struct sse_usage u = s.usage;
    sse_free(&s);
    return u;
}

static struct sse_usage of_json(const char *text)
{
    struct sse_usage u;
    assert_true(sse_read_json(str_c(text), &u).whole);
    return u;
}

#define IS(word, text) assert_true(str_eq(str_make((word).p, (word).n), STR(text)))
#define MODEL_IS(u, text) assert_true(str_eq(str_make((u).model, (u).model_n), STR(text)))

#define START                                                                                      \
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":"              \
    "\"claude-x-20250929\",\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":30,"     \
    "\"cache_read_input_tokens\":5,\"cache_creation\":{\"ephemeral_5m_input_tokens\":20,"          \
    "\"ephemeral_1h_input_tokens\":10},\"output_tokens\":1,\"service_tier\":\"standard\","         \
    "\"inference_geo\":\"not_available\"}}}\n\n"

static void later_wins(void **state)
{
    (void)state;
    struct sse_usage u = of_stream(START);
    MODEL_IS(u, "claude-x-20250929");
    assert_true(u.input == 10 && u.output == 1 && u.cache_read == 5 && u.cache_write == 30);
    assert_true(u.write_5m == 20 && u.write_1h == 10 && u.web_searches == -1);
    IS(u.tier, "standard");
    IS(u.geo, "not_available");
    IS(u.speed, "");
    u = of_stream(START "event: message_delta\ndata: {\"usage\":{\"input_tokens\":11,"
                        "\"output_tokens\":50,\"server_tool_use\":{\"web_search_requests\":2},"
                        "\"cache_creation\":{\"ephemeral_1h_input_tokens\":12},\"speed\":\"fast\","
                        "\"service_tier\":\"priority\",\"inference_geo\":null}}\n\n"
                        "event: message_delta\ndata: {\"usage\":{\"output_tokens\":51,"
                        "\"cache_creation_input_tokens\":33}}\n\n");
    MODEL_IS(u, "claude-x-20250929");
    assert_true(u.input == 11 && u.output == 51 && u.cache_read == 5 && u.cache_write == 33);
    assert_true(u.write_5m == 20 && u.write_1h == 12 && u.web_searches == 2);
    IS(u.tier, "priority");
    IS(u.geo, "not_available");
    IS(u.speed, "fast");
}

static void json(void **state)
{
    (void)state;
    struct sse_usage u = of_json("{\"model\":\"m\",\"usage\":{\"input_tokens\":1,\"service_tier\":"
                                 "\"batch\",\"cache_creation_input_tokens\":7}}");
    MODEL_IS(u, "m");
    IS(u.tier, "batch");
    assert_true(u.cache_write == 7 && u.write_5m == -1 && u.write_1h == -1);
    /* only the parts */
    u = of_json("{\"usage\":{\"cache_creation\":{\"ephemeral_5m_input_tokens\":3,"
                "\"ephemeral_1h_input_tokens\":4}}}");
    assert_true(u.cache_write == 7 && u.write_1h == 4 && u.model_n == 0);
    u = of_json("{\"usage\":{\"cache_creation\":{\"ephemeral_1h_input_tokens\":4}}}");
    assert_int_equal(u.cache_write, 4);
}

/* OpenAI counts what was cached within the input. */
static void openai(void **state)
{
    (void)state;
    struct sse_usage u = of_json("{\"model\":\"gpt\",\"usage\":{\"prompt_tokens\":10,"
                                 "\"prompt_tokens_details\":{\"cached_tokens\":4}}}");
    MODEL_IS(u, "gpt");
    assert_true(u.input == 6 && u.cache_read == 4);
    u = of_json(
        "{\"usage\":{\"prompt_tokens\":3,\"prompt_tokens_details\":{\"cached_tokens\":4}}}");
    assert_true(u.input == 0 && u.cache_read == 4);
    u = of_json("{\"usage\":{\"prompt_tokens\":3,\"prompt_tokens_details\":null}}");
    assert_true(u.input == 3 && u.cache_read == -1);
    /* both makes at once: a relay that translates; Anthropic's words hold */
    u = of_json("{\"usage\":{\"prompt_tokens\":13,\"prompt_tokens_details\":{\"cached_tokens\":3},"
                "\"input_tokens\":10,\"cache_read_input_tokens\":3}}");
    assert_true(u.input == 10 && u.cache_read == 3);
    u = of_stream("event: response.created\ndata: {\"response\":{\"model\":\"gpt-5\"}}\n\n"
                  "event: response.completed\ndata: {\"response\":{\"model\":\"gpt-6\",\"usage\":"
                  "{\"input_tokens\":9,\"input_tokens_details\":{\"cached_tokens\":2}}}}\n\n");
    MODEL_IS(u, "gpt-5");
    assert_true(u.input == 7 && u.cache_read == 2);
    u = of_stream("data: {\"model\":\"gpt-7\",\"choices\":[{\"index\":0}]}\n\ndata: [DONE]\n\n");
    MODEL_IS(u, "gpt-7");
}

static void nonsense(void **state)
{
    (void)state;
    struct sse_usage u =
        of_json("{\"model\":7,\"usage\":{\"service_tier\":1,\"speed\":[\"fast\"],"
                "\"inference_geo\":{},\"cache_creation\":[1],\"server_tool_use\":\"x\","
                "\"cache_creation_input_tokens\":9007199254740993}}");
    assert_true(u.model_n == 0 && u.tier.n == 0 && u.speed.n == 0 && u.geo.n == 0);
    assert_true(u.write_1h == -1 && u.web_searches == -1 && u.cache_write == -1);
    u = of_json("{\"usage\":{\"cache_creation\":{\"ephemeral_1h_input_tokens\":-1}}}");
    assert_true(u.write_1h == -1 && u.cache_write == -1);
    u = of_json("{\"model\":\"a\\u0000b\\n\\u001b[31m\\u00e9\\\"\",\"usage\":{\"speed\":"
                "\"\\u0066ast\"}}");
    MODEL_IS(u, "a?b??[31m\xc3\xa9\"");
    IS(u.speed, "fast");
    u = of_json("{\"model\":\"a\xff\xc3\x01z\\q\"}");
    MODEL_IS(u, "a???z");
    u = of_json("{\"model\":\"a\xff\xc3z\"}");
    MODEL_IS(u, "a??z");
}

/* Names of any length: cut at a character, whatever the escapes. */
static void long_names(void **state)
{
    (void)state;
    static const char *const units[] = {"x",       "\xc3\xa9",       "\\u00e9",
                                        "\\u0001", "\\ud83d\\ude00", "\xf0\x9f\x98\x80"};
    size_t size = 80000;
    char *text = malloc(size);
    assert_non_null(text);
    for (size_t k = 0; k < COUNT_OF(units); k++)
        for (unsigned times = 1; times < 10000; times = times < 70 ? times + 1 : times * 3) {
            size_t at = (size_t)snprintf(text, size, "{\"model\":\"");
            for (unsigned i = 0; i < times && at < size - 400; i++)
                at += (size_t)snprintf(text + at, size - at, "%s", units[k]);
            snprintf(text + at, size - at, "\",\"usage\":{\"inference_geo\":\"%s%s%s%s%s\"}}",
                     units[k], units[k], units[k], units[k], units[k]);
            struct sse_usage u = of_json(text);
            assert_true(u.model_n > 0 && u.model_n <= SSE_MODEL_MAX);
            assert_true(u.geo.n > 0 && u.geo.n <= SSE_WORD_MAX);
            struct str m = str_make(u.model, u.model_n);
            while (m.n) {
                size_t len = str_utf8_len(m);
                assert_true(len > 0);
                m = str_make(m.p + len, m.n - len);
            }
        }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(later_wins), cmocka_unit_test(json),       cmocka_unit_test(openai),
        cmocka_unit_test(nonsense),   cmocka_unit_test(long_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
