#include "worker/json/json_end.h"

#include "worker/json/json_skip.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Feeds copies of exact size, in pieces of up to `most` bytes. */
static bool whole(const char *p, size_t n, size_t most)
{
    struct json_end e = {0};
    for (size_t at = 0; at < n;) {
        size_t len = 1 + (size_t)rand() % most;
        if (len > n - at)
            len = n - at;
        char *copy = malloc(len);
        assert_non_null(copy);
        memcpy(copy, p + at, len);
        json_end_feed(&e, str_make(copy, len));
        free(copy);
        at += len;
    }
    return e.whole;
}

static void test_table(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool whole;
    } rows[] = {
        {"", false},
        {" \r\n", false},
        {"{}", true},
        {"\xef\xbb\xbf {} ", true},
        {"{", false},
        {"[[]", false},
        {"[[]]", true},
        {"{\"a\":\"}\"", false},
        {"{\"a\":\"}\"}", true},
        {"{\"a\":\"\\\"}", false},
        {"{\"a\":\"\\\\\"}", true},
        {"{\"a\":\"\\", false},
        {"{\"a\":\"\\u007d", false},
        {"{\"a{[\":[1,{\"b\":null}]}\n", true},
        {"{\"a\":1}{", true}, /* what follows is not looked at */
        {"}", false},
        {"]}{}", true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (size_t most = 1; most < 4; most++)
            if (whole(rows[i].text, strlen(rows[i].text), most) != rows[i].whole)
                fail_msg("%s", rows[i].text);
}

/* Each prefix of a message is not whole, in any pieces. */
static void test_prefixes(void **state)
{
    (void)state;
    static const char text[] =
        "{\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":\"a long text with \\\"}]} "
        "in it, and with \\\\\"},{\"type\":\"tool_use\",\"input\":{\"a\":[[],{}]}}],\"usage\":{}}";
    size_t n = sizeof text - 1;
    for (size_t len = 0; len <= n; len++)
        for (size_t most = 1; most < 40; most += 7)
            assert_true(whole(text, len, most) == (len == n));
}

/* It ends where json_skip says that the value does. */
static void test_like_json_skip(void **state)
{
    (void)state;
    static const char alphabet[] = "{}[]\"\\\\\"aaaaaaaaaaaaaaaaaaaaaaaa ";
    srand(7);
    for (int round = 0; round < 20000; round++) {
        char text[200] = "{";
        size_t n = 2 + (size_t)rand() % (sizeof text - 2);
        for (size_t i = 1; i < n; i++)
            text[i] = alphabet[(size_t)rand() % (sizeof alphabet - 1)];
        bool ends = json_skip_best()->nested(text + 1, n - 1, UINT_MAX) != JSON_NO_END;
        assert_true(whole(text, n, 1 + (size_t)rand() % 70) == ends);
    }
}

static void test_deep(void **state)
{
    (void)state;
    enum { DEEP = 300000 };
    char *text = malloc(2 * DEEP);
    assert_non_null(text);
    memset(text, '[', DEEP);
    memset(text + DEEP, ']', DEEP);
    assert_false(whole(text, 2 * DEEP - 1, 5000));
    assert_true(whole(text, 2 * DEEP, 5000));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_like_json_skip),
        cmocka_unit_test(test_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
