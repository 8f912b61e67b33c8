/* json_raw and json_valid. */
#include "worker/json/json_raw.h"

#include "worker/json/json_valid.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { ROOM = 1 << 16 };

#define FFFD "\xef\xbf\xbd"

/* A copy of exact size, so that the sanitizer sees reads beyond it; kept until the next. */
static struct str exact(const char *s)
{
    static char *copy;
    size_t n = strlen(s);
    free(copy);
    copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, s, n);
    return str_make(copy, n);
}

/* Sixteen bytes at once is the fast path: each text is tried at every place of such a step. */
static void test_copy(void **state)
{
    static const struct {
        const char *raw, *copied, *decoded;
    } rows[] = {
        {"", "", ""},
        {"plain", "plain", "plain"},
        {"\\u0041\\n", "\\u0041\\n", "A\n"},
        {"\\ud83d\\ude00", "\\ud83d\\ude00", "\xf0\x9f\x98\x80"},
        {"\\uD83D\\uDE00", "\\uD83D\\uDE00", "\xf0\x9f\x98\x80"},
        {"\\ud83d", FFFD, FFFD},
        {"\\ude00", FFFD, FFFD},
        {"\\ud83d\\u0041", FFFD "\\u0041", FFFD "A"},
        {"\\ud83d\\n", FFFD "\\n", FFFD "\n"},
        {"\\ud83dx", FFFD "x", FFFD "x"},
        {"\\\\ud83d", "\\\\ud83d", "\\ud83d"},
        {"\xc3\xa9", "\xc3\xa9", "\xc3\xa9"},
        {"\xc3", FFFD, FFFD},
        {"\xff\xfe", FFFD FFFD, FFFD FFFD},
        {"\xed\xa0\x80", FFFD FFFD FFFD, FFFD FFFD FFFD},
        {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
        {"\\\"\\/", "\\\"\\/", "\"/"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (int pad = 0; pad < 34; pad++) {
            char raw[128], copied[128], decoded[128], room[384];
            snprintf(raw, sizeof raw, "%.*s%s", pad, "0123456789abcdefghijklmnopqrstuvwxyz",
                     rows[i].raw);
            snprintf(copied, sizeof copied, "%.*s%s", pad, "0123456789abcdefghijklmnopqrstuvwxyz",
                     rows[i].copied);
            snprintf(decoded, sizeof decoded, "%.*s%s", pad, "0123456789abcdefghijklmnopqrstuvwxyz",
                     rows[i].decoded);
            struct buf out;
            buf_init(&out, ROOM);
            struct str s = exact(raw);
            assert_true(json_raw_copy(s, &out));
            if (!str_eq(buf_view(&out), str_c(copied)))
                fail_msg("%s: %.*s", raw, STR_ARG(buf_view(&out)));
            struct str d = json_raw_decode(s, room);
            if (!str_eq(d, str_c(decoded)))
                fail_msg("%s: %.*s", raw, STR_ARG(d));
            assert_int_equal(json_raw_plain(s), d.p == s.p);
            assert_true(json_raw_is(s, str_c(decoded)) || strstr(rows[i].copied, FFFD));
            buf_free(&out);
        }
}

/* What is quoted and parsed again is what was copied. */
static void test_quote(void **state)
{
    static const char *const rows[] = {
        "{}",
        "{\"a\":\"b\\\"\\\\\\n\\u00e9\\ud83d\\ude00\\ud83d\xc3\xa9\"}",
        "{ \"long\" : \"0123456789abcdef0123456789abcdef\\n\" ,\n\t\"x\":1.0}",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf quoted, copied;
        buf_init(&quoted, ROOM);
        buf_init(&copied, ROOM);
        assert_true(buf_add(&quoted, "[\"", 2));
        assert_true(json_raw_quote(exact(rows[i]), &quoted));
        assert_true(buf_add(&quoted, "\"]", 2));
        assert_true(json_raw_copy(exact(rows[i]), &copied));
        json_t *list = json_loadb(buf_view(&quoted).p, quoted.len, 0, NULL);
        assert_non_null(list);
        json_t *text = json_array_get(list, 0);
        assert_true(
            str_eq(str_make(json_string_value(text), json_string_length(text)), buf_view(&copied)));
        json_decref(list);
        for (size_t max = 0; max < copied.len; max++) {
            struct buf small;
            buf_init(&small, max);
            assert_false(json_raw_copy(exact(rows[i]), &small));
            buf_free(&small);
            buf_init(&small, max);
            assert_false(json_raw_quote(exact(rows[i]), &small));
            buf_free(&small);
        }
        buf_free(&quoted);
        buf_free(&copied);
    }
}

static void test_words(void **state)
{
    static const char *const blank[] = {"",
                                        " ",
                                        "\\n\\t\\r\\u0020",
                                        "\xc2\xa0\xe3\x80\x80\\u2003",
                                        "\xe2\x80\x83\xe2\x80\xa8",
                                        "\\u000b\\f\\u001c"};
    static const char *const not_blank[] = {"a",        " a",   "\\u0041", "\\u200b",
                                            "\xc3\xa9", "\xff", "\\u0000", "\\x"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(blank); i++)
        assert_true(json_raw_blank(exact(blank[i])));
    for (size_t i = 0; i < COUNT_OF(not_blank); i++)
        assert_false(json_raw_blank(exact(not_blank[i])));
    assert_true(json_raw_starts(exact("\\u0045rror: x"), STR("Error: ")));
    assert_true(json_raw_starts(exact("Error: "), STR("Error: ")));
    assert_false(json_raw_starts(exact("Error:"), STR("Error: ")));
    assert_false(json_raw_starts(exact("Erro\\"), STR("Error: ")));
    assert_true(json_raw_is(exact("te\\u0078t"), STR("text")));
    assert_false(json_raw_is(exact("texts"), STR("text")));
    assert_false(json_raw_is(exact("tex"), STR("text")));
}

/* json_valid says what jansson says, but for numbers that jansson cannot hold and bytes that are no
 * UTF-8. */
static void test_valid(void **state)
{
    static const char *const good[] = {
        "{}",          "[]",
        "\"\"",        "0",
        "-0",          "1.5e+10",
        "-12.0E-3",    "true",
        "false",       "null",
        " [ ] ",       "{\"a\":[1,{\"b\":null}],\"c\":\"\\u00e9\\\"\\/\\b\\f\\n\\r\\t\\\\\"}",
        "[[[[]]],{}]", "\"0123456789abcdef0123456789abcdef\"",
        "\n\t\r 1 \n"};
    static const char *const bad[] = {"",           " ",         "{",
                                      "[",          "}",         "{]",
                                      "[}",         "[1,]",      "{\"a\":1,}",
                                      "{,}",        "[,]",       "{\"a\"}",
                                      "{\"a\":}",   "{a:1}",     "{1:1}",
                                      "01",         "-",         "1.",
                                      ".5",         "1e",        "1e+",
                                      "+1",         "tru",       "nulll",
                                      "1 2",        "[] []",     "\"",
                                      "\"\\\"",     "\"\\x\"",   "\"\\u12g4\"",
                                      "\"\\u123\"", "\"a\nb\"",  "\"0123456789abcdef\t\"",
                                      "{\"a\" 1}",  "[1 2]",     "{\"a\":1 \"b\":2}",
                                      "[\"a\":1]",  "{\"a\",1}", "NaN",
                                      "'a'",        "//",        "\"\\"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++)
        if (json_valid(exact(good[i])) != JSON_VALID)
            fail_msg("%s", good[i]);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (json_valid(exact(bad[i])) != JSON_MALFORMED)
            fail_msg("%s", bad[i]);
    assert_int_equal(json_valid(STR("\"\xff\"")), JSON_VALID);
    assert_int_equal(json_valid(STR("\"\0\"")), JSON_MALFORMED);
    assert_int_equal(json_valid(STR("\"\\\0\"")), JSON_MALFORMED);
}

static void test_depth(void **state)
{
    char text[2 * JSON_VALID_DEPTH + 2];
    (void)state;
    for (size_t n = JSON_VALID_DEPTH - 1; n <= JSON_VALID_DEPTH + 1; n++) {
        memset(text, '[', n);
        memset(text + n, ']', n);
        assert_int_equal(json_valid(str_make(text, 2 * n)),
                         n <= JSON_VALID_DEPTH ? JSON_VALID : JSON_TOO_DEEP);
        assert_int_equal(json_valid(str_make(text, 2 * n - 1)),
                         n <= JSON_VALID_DEPTH ? JSON_MALFORMED : JSON_TOO_DEEP);
    }
    /* objects and arrays in turn: which bracket closes is known at every level */
    size_t n = 0;
    for (size_t i = 0; i < 200; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, i % 2 ? "[" : "{\"a\":");
    n += (size_t)snprintf(text + n, sizeof text - n, "1");
    for (size_t i = 200; i-- > 0;)
        text[n++] = i % 2 ? ']' : '}';
    assert_int_equal(json_valid(str_make(text, n)), JSON_VALID);
    text[n - 1] = ']';
    assert_int_equal(json_valid(str_make(text, n)), JSON_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy),  cmocka_unit_test(test_quote), cmocka_unit_test(test_words),
        cmocka_unit_test(test_valid), cmocka_unit_test(test_depth),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    exact("");
    return failed;
}
