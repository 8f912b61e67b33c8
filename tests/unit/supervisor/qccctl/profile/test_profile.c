/* profile: each shape that a v0.6 file may have, and what is said of what was not understood;
 * quoting is read back as it was (the whole file is checked by the supervisor in
 * tests/system/operate/test_qccctl.py). */
#include "supervisor/qccctl/profile/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct profile p;
static char warnings[8192], yaml[16384];
static struct err why;

static bool read_it(const char *json, const char *only)
{
    json_error_t e;
    json_t *doc = json_loads(json, 0, &e);
    assert_non_null(doc);
    bool ok = profile_read(&p, doc, only, &why);
    json_decref(doc);
    snprintf(warnings, sizeof warnings, STR_FMT, STR_ARG(buf_view(&p.warnings)));
    struct buf b;
    buf_init(&b, sizeof yaml - 1);
    assert_true(profile_write(&p, "old.json", &b));
    snprintf(yaml, sizeof yaml, STR_FMT, STR_ARG(buf_view(&b)));
    buf_free(&b);
    return ok;
}

static void one(const char *json, const char *name, const char *url, const char *key)
{
    assert_true(read_it(json, NULL));
    assert_int_equal(p.n, 1);
    assert_string_equal(p.v[0].name, name);
    assert_string_equal(p.v[0].url, url);
    if (key)
        assert_string_equal(p.v[0].key, key);
    else
        assert_null(p.v[0].key);
    assert_true(p.v[0].enabled);
    profile_free(&p);
}

static void shapes(void **state)
{
    (void)state;
    one("{\"base_url\":\"https://h/\",\"api_key\":\"k\"}", "h", "https://h", "k");
    one("{\"name\":\"n\",\"url\":\" https://h/v1 \",\"auth_token\":\"k\"}", "n", "https://h", "k");
    one("[{\"name\":\"n\",\"base_url\":\"https://h:8/a\",\"key\":\"k\"}]", "n", "https://h:8/a",
        "k");
    one("{\"endpoints\":[{\"base_url\":\"https://h\"}],\"api_key\":\"k\"}", "h", "https://h", "k");
    one("{\"profiles\":{\"w\":{\"base_url\":\"https://h\",\"api_key\":\"k\"}}}", "w", "https://h",
        "k");
    one("{\"profiles\":[{\"name\":\"w\",\"base_url\":\"https://h\",\"api_key\":\"k\"}]}", "w",
        "https://h", "k");
    one("{\"profiles\":{\"w\":{\"endpoints\":[{\"base_url\":\"https://h\",\"api_key\":\"k\"}]}}}",
        "w", "https://h", "k");
    one("{\"profiles\":{\"w\":{\"endpoints\":{\"e\":{\"base_url\":\"https://h\"}}}}}", "e",
        "https://h", NULL);
    one("{\"env\":{\"ANTHROPIC_BASE_URL\":\"http://h\",\"ANTHROPIC_AUTH_TOKEN\":\"t\"}}", "h",
        "http://h", "t");
}

static void nothing_in_it(void **state)
{
    (void)state;
    const char *docs[] = {"{}",
                          "[]",
                          "[1]",
                          "{\"profiles\":{}}",
                          "{\"profiles\":7}",
                          "{\"endpoints\":[]}",
                          "{\"profiles\":{\"a\":{\"api_key\":\"k\"}}}",
                          "{\"base_url\":7}",
                          "{\"base_url\":\"ftp://h\"}"};
    for (size_t i = 0; i < COUNT_OF(docs); i++) {
        assert_false(read_it(docs[i], NULL));
        profile_free(&p);
    }
    assert_false(read_it("{\"profiles\":{\"a\":{\"base_url\":\"http://h\"}}}", "b"));
    assert_non_null(strstr(why.msg, "no profile b"));
    profile_free(&p);
}

static void the_active_profile(void **state)
{
    (void)state;
    const char *doc = "{\"default_profile\":\"b\",\"profiles\":{\"a\":{\"base_url\":\"http://"
                      "a\",\"api_key\":\"k\"},"
                      "\"b\":{\"base_url\":\"http://b\",\"api_key\":\"k\"}}}";
    assert_true(read_it(doc, NULL));
    assert_int_equal(p.n, 2);
    assert_true(!p.v[0].enabled && p.v[1].enabled);
    assert_non_null(strstr(yaml, "enabled: false # not of the active profile"));
    profile_free(&p);
    assert_true(read_it(doc, "a"));
    assert_true(p.n == 1 && p.v[0].enabled);
    assert_string_equal(p.v[0].name, "a");
    profile_free(&p);
    assert_true(
        read_it("{\"active\":\"x\",\"profiles\":{\"a\":{\"base_url\":\"http://a\"}}}", NULL));
    assert_true(p.n == 1 && p.v[0].enabled);
    assert_non_null(strstr(warnings, "active: names no profile"));
    profile_free(&p);
}

static void names_are_valid_and_unique(void **state)
{
    (void)state;
    assert_true(read_it(
        "[{\"name\":\"a "
        "b\",\"base_url\":\"http://a\"},{\"name\":\"a/b\",\"base_url\":\"http://b\"},"
        "{\"name\":\"\\u6a21\",\"base_url\":\"http://c\"},"
        "{\"name\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\","
        "\"base_url\":\"http://d\"},"
        "{\"name\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\","
        "\"base_url\":\"http://e\"}]",
        NULL));
    assert_string_equal(p.v[0].name, "a-b");
    assert_string_equal(p.v[1].name, "a-b-2");
    assert_string_equal(p.v[2].name, "endpoint");
    assert_int_equal(strlen(p.v[3].name), 64);
    assert_true(strlen(p.v[4].name) <= 64 && strcmp(p.v[3].name, p.v[4].name) != 0);
    assert_non_null(strstr(warnings, "[0]: the name a b becomes a-b\n"));
    profile_free(&p);
}

static void numbers_and_doubles(void **state)
{
    (void)state;
    assert_true(read_it("{\"max_failures\":5,\"timeout\":\"30s\",\"endpoints\":["
                        "{\"base_url\":\"http://"
                        "a\",\"api_key\":\"k\",\"weight\":\"7\",\"priority\":2,\"max_failures\":2},"
                        "{\"base_url\":\"http://a/\",\"api_key\":\"k\"},"
                        "{\"base_url\":\"http://"
                        "a\",\"api_key\":\"l\",\"weight\":-3,\"enabled\":\"no\",\"timeout\":1.5},"
                        "{\"base_url\":\"http://b\",\"priority\":5000,\"hue\":1}]}",
                        NULL));
    assert_int_equal(p.n, 3);
    assert_true(p.v[0].weight == 7 && p.v[0].priority == 2);
    assert_true(p.v[1].weight == -1 && !p.v[1].enabled);
    assert_int_equal(p.v[2].priority, 1000);
    assert_int_equal(p.max_failures, 2);
    assert_int_equal(p.timeout_ms, 30000);
    assert_non_null(strstr(warnings, "endpoints[1]: is the same endpoint as a"));
    assert_non_null(strstr(warnings, "endpoints[2].weight: no number"));
    assert_non_null(strstr(warnings, "endpoints[3].priority: 5000 is out of range"));
    assert_non_null(strstr(warnings, "endpoints[3].hue: not understood"));
    assert_non_null(strstr(yaml, "failure_threshold: 2 # the smallest"));
    assert_non_null(strstr(yaml, "first_byte_timeout: 30s # the largest"));
    assert_non_null(strstr(yaml, "use_priority: true"));
    profile_free(&p);
}

static void where_it_listened(void **state)
{
    (void)state;
    assert_true(read_it("{\"host\":\"0.0.0.0\",\"port\":8000,\"base_url\":\"http://a\"}", NULL));
    assert_string_equal(p.listen, "127.0.0.1:8000");
    assert_non_null(strstr(warnings, "host: 0.0.0.0 is open to others"));
    profile_free(&p);
    assert_true(read_it("{\"host\":\"::1\",\"base_url\":\"http://a\"}", NULL));
    assert_string_equal(p.listen, "[::1]:7860");
    profile_free(&p);
}

static void quoted(const char *in, size_t n, const char *want)
{
    struct buf b;
    buf_init(&b, 512);
    assert_true(profile_quote(str_make(in, n), &b));
    assert_true(str_eq(buf_view(&b), str_c(want)));
    buf_free(&b);
}

static void quoting(void **state)
{
    (void)state;
#define IS(in, want) quoted(in, sizeof(in) - 1, want)
    IS("", "\"\"");
    IS("plain: # 'x'", "\"plain: # 'x'\"");
    IS("a\"b\\c", "\"a\\\"b\\\\c\"");
    IS("${X} $${Y} $ {", "\"$${X} $$${Y} $ {\"");
    IS("a\n\t\0\x7f", "\"a\\x0A\\x09\\x00\\x7F\"");
    IS("\xc2\x85\xe2\x80\xa8\xef\xbb\xbf", "\"\\u0085\\u2028\\uFEFF\"");
    IS("\xc3\xbc\xe6\xa8\xa1", "\"\xc3\xbc\xe6\xa8\xa1\"");
    IS("\xff", "\"?\"");
#undef IS
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes),
        cmocka_unit_test(nothing_in_it),
        cmocka_unit_test(the_active_profile),
        cmocka_unit_test(names_are_valid_and_unique),
        cmocka_unit_test(numbers_and_doubles),
        cmocka_unit_test(where_it_listened),
        cmocka_unit_test(quoting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
