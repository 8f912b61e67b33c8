/* model_name: one model has one name, and no two models share one. */
#include "common/policy/model_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void names(void **state)
{
    (void)state;
    static const struct {
        const char *name, *is;
    } rows[] = {
        {"claude-sonnet-4-5", "claude-sonnet-4-5"},
        {"Claude-Sonnet-4-5", "claude-sonnet-4-5"},
        {"claude-sonnet-4-5-20250929", "claude-sonnet-4-5"},
        {"claude-sonnet-4-5@20250929", "claude-sonnet-4-5"},
        {"claude-sonnet-4.5", "claude-sonnet-4-5"},
        {"anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"},
        {"anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"},
        {"us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"},
        {"global.anthropic.claude-sonnet-4-5-20250929-v1:0[1m]", "claude-sonnet-4-5"},
        {"us-gov.anthropic.claude-sonnet-4-5", "claude-sonnet-4-5"},
        {"claude-sonnet-4-5[1m]", "claude-sonnet-4-5"},
        {"claude-sonnet-4-5[1M]", "claude-sonnet-4-5"},
        {"claude-3-5-haiku-latest", "claude-3-5-haiku"},
        {"claude-3-5-sonnet-20241022-v2:0", "claude-3-5-sonnet"},
        {"claude-3-5-sonnet-v2@20241022", "claude-3-5-sonnet-v2"},
        {"claude-opus-4-1-20250805-latest[1m]", "claude-opus-4-1"},
        {"claude-opus-4.1.2", "claude-opus-4-1-2"},
        {"gpt-5.1", "gpt-5-1"},
        {"qwen/qwen3-32b", "qwen/qwen3-32b"},
        {"m", "m"},
        {"", ""},
        /* no model is taken for another one */
        {"claude-sonnet-9", "claude-sonnet-9"},
        {"claude-sonnet-4-5-99999999", "claude-sonnet-4-5-99999999"},
        {"claude-sonnet-4-5-20251301", "claude-sonnet-4-5-20251301"},
        {"claude-sonnet-4-5-20250900", "claude-sonnet-4-5-20250900"},
        {"claude-sonnet-4-5-19990101", "claude-sonnet-4-5-19990101"},
        {"claude-sonnet-4-5-120250929", "claude-sonnet-4-5-120250929"},
        {"claude-sonnet-4-520250929", "claude-sonnet-4-520250929"},
        {"claude-sonnet-4-5:20250929", "claude-sonnet-4-5:20250929"},
        {"claude-opus-4-6-v1", "claude-opus-4-6-v1"},
        {"claude-x-v:0", "claude-x-v:0"},
        {"claude-xv1:0", "claude-xv1:0"},
        {"claude-x[2m]", "claude-x[2m]"},
        {"claude-x-latest-y", "claude-x-latest-y"},
        {"myanthropic/claude-x", "myanthropic/claude-x"},
        {"us.anthropic/claude-x", "us.anthropic/claude-x"},
        {"us2.anthropic.claude-x", "us2.anthropic.claude-x"},
        {"region-too-long.anthropic.claude-x", "region-too-long.anthropic.claude-x"},
        {"x/anthropic/claude-x", "x/anthropic/claude-x"},
        {"anthropic.anthropic.claude-x", "anthropic.claude-x"},
        {"claude.x.5", "claude.x.5"},
        {".5.", ".5."},
        /* what would leave nothing stays */
        {"anthropic", "anthropic"},
        {"anthropic/", "anthropic/"},
        {"us.anthropic.", "us.anthropic."},
        {"-latest", "-latest"},
        {"[1m]", "[1m]"},
        {"[1m][1m]", "[1m]"},
        {"-20250929", "-20250929"},
        {"20250929", "20250929"},
        {"-v1:0", "-v1:0"},
        {":0", ":0"},
    };
    char out[MODEL_NAME_MAX];
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct str s = model_name(str_c(rows[i].name), out);
        if (!str_eq(s, str_c(rows[i].is)))
            fail_msg("%s: " STR_FMT ", not %s", rows[i].name, STR_ARG(s), rows[i].is);
    }
}

static void too_long(void **state)
{
    (void)state;
    char name[MODEL_NAME_MAX + 1], out[MODEL_NAME_MAX];
    memset(name, 'A', sizeof name);
    assert_int_equal(model_name(str_make(name, MODEL_NAME_MAX), out).n, MODEL_NAME_MAX);
    assert_int_equal(out[0], 'a');
    assert_int_equal(model_name(str_make(name, sizeof name), out).n, 0);
}

/* A name that is normalized stays as it is, and all bytes are taken. */
static void twice(void **state)
{
    (void)state;
    static const char *const parts[] = {"anthropic", "us.", "/",    ".",    "-",
                                        "20250929",  "@",   "v1:0", "[1m]", "-latest",
                                        "claude",    "4",   "5",    "\xff"};
    unsigned seed = 7;
    for (int round = 0; round < 200000; round++) {
        char name[MODEL_NAME_MAX], one[MODEL_NAME_MAX], two[MODEL_NAME_MAX];
        size_t n = 0;
        for (int k = 0; k < 8; k++) {
            seed = seed * 1103515245 + 12345;
            struct str part = str_c(parts[(seed >> 16) % COUNT_OF(parts)]);
            memcpy(name + n, part.p, part.n);
            n += part.n;
        }
        /* an exact copy: the sanitizer sees a read behind its end */
        char *exact = malloc(n);
        memcpy(exact, name, n);
        struct str a = model_name(str_make(exact, n), one);
        free(exact);
        assert_true(a.n > 0 && a.n <= n && a.p >= one && a.p + a.n <= one + n);
        /* a second vendor's name may come off, nothing else */
        if (str_find(a, STR("anthropic")) < 0)
            assert_true(str_eq(a, model_name(a, two)));
    }
}

static void families(void **state)
{
    (void)state;
    static const struct {
        const char *name, *is;
    } rows[] = {
        {"claude-opus-4-8", "opus"},
        {"claude-3-5-haiku-latest", "haiku"},
        {"claude-3-opus-20240229", "opus"},
        {"us.anthropic.claude-sonnet-4-5-20250929-v1:0", "sonnet"},
        {"anthropic/claude-sonnet-4.5[1m]", "sonnet"},
        {"Claude-Fable-5", "fable"},
        {"claude-9x-4", "claude-9x-4"},
        {"claude-", "claude-"},
        {"claude", "claude"},
        {"claude-2--opus", "opus"},
        {"gpt-5.1", "gpt-5-1"},
        {"my-claude-opus", "my-claude-opus"},
        {"other", "other"},
        {"", ""},
    };
    char out[MODEL_NAME_MAX];
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct str s = model_family(str_c(rows[i].name), out);
        if (!str_eq(s, str_c(rows[i].is)))
            fail_msg("%s: %.*s", rows[i].name, (int)s.n, s.p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(families),
        cmocka_unit_test(too_long),
        cmocka_unit_test(twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
