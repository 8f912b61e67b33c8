/* human: units at their borders; foreign text harmless; widths of what it wrote. */
#include "supervisor/qccctl/print/human.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void is(void (*put)(struct buf *, int64_t), int64_t v, const char *want)
{
    struct buf b;
    buf_init(&b, 64);
    put(&b, v);
    char got[64] = "";
    memcpy(got, buf_view(&b).p, b.len);
    assert_string_equal(got, want);
    buf_free(&b);
}

static void counts(void **state)
{
    (void)state;
    is(human_count, 0, "0");
    is(human_count, 9999, "9999");
    is(human_count, 10000, "10.0k");
    is(human_count, 12345, "12.3k");
    is(human_count, 999949, "999.9k");
    is(human_count, 999950, "1.0M");
    is(human_count, -12345, "-12.3k");
    is(human_count, 4500000, "4.5M");
    is(human_count, INT64_MAX, "9.2E");
}

static void bytes(void **state)
{
    (void)state;
    is(human_bytes, 0, "0 B");
    is(human_bytes, 1023, "1023 B");
    is(human_bytes, 1024, "1.0 KiB");
    is(human_bytes, 1258291, "1.2 MiB");
    is(human_bytes, (1 << 20) - 1, "1.0 MiB");
    is(human_bytes, INT64_C(6) << 30, "6.0 GiB");
}

static void times(void **state)
{
    (void)state;
    is(human_ms, -5, "0ms");
    is(human_ms, 450, "450ms");
    is(human_ms, 999, "999ms");
    is(human_ms, 1240, "1.2s");
    is(human_ms, 9949, "9.9s");
    is(human_ms, 9950, "10s");
    is(human_ms, 34499, "34s");
    is(human_ms, 59499, "59s");
    is(human_ms, 59500, "1m00s");
    is(human_ms, 60000, "1m00s");
    is(human_ms, 200000, "3m20s");
    is(human_ms, 3599999, "59m59s");
    is(human_ms, 18120000, "5h02m");
    is(human_ms, INT64_C(1047600000), "12d03h");
}

static void text_is(const char *in, size_t n, const char *want, size_t width)
{
    struct buf b;
    buf_init(&b, 256);
    human_text(&b, str_make(in, n));
    assert_true(str_eq(buf_view(&b), str_c(want)));
    assert_int_equal(human_width(buf_view(&b)), width);
    buf_free(&b);
}

static void foreign_text(void **state)
{
    (void)state;
#define IS(in, want, width) text_is(in, sizeof(in) - 1, want, width)
    IS("claude-sonnet-4-5", "claude-sonnet-4-5", 17);
    IS("a\033[31mb\r\n", "a\\x1b[31mb\\x0d\\x0a", 18);
    IS("\0", "\\x00", 4);
    IS("x\xff", "x?", 2);
    IS("\xc2\x9b"
       "31m",
       "\\u{9b}31m", 9); /* CSI as one character */
    IS("\xe2\x80\xae"
       "evil",
       "\\u{202e}evil", 12); /* right to left */
    IS("\xe6\xa8\xa1\xe5\x9e\x8b", "\xe6\xa8\xa1\xe5\x9e\x8b", 4);
    IS("e\xcc\x81", "e\xcc\x81", 1);
    IS("\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", 2);
#undef IS
}

static void cut(void **state)
{
    (void)state;
    assert_int_equal(human_cut(STR("abc"), 2), 2);
    assert_int_equal(human_cut(STR("abc"), 9), 3);
    assert_int_equal(human_cut(STR("\xe6\xa8\xa1\xe5\x9e\x8b"), 3), 3); /* never half a character */
    assert_int_equal(human_cut(STR("e\xcc\x81x"), 1), 3);
}

static void cut_colored(void **state)
{
    (void)state;
    static const struct {
        size_t width;
        const char *want;
    } rows[] = {{2, "ab\033[31m\033[0m"},
                {4, "ab\033[31mcd\033[0m"},
                {9, "ab\033[31mcd\033[0mef"},
                {0, "\033[31m\033[0m"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf b;
        buf_init(&b, 128);
        human_cut_colored(&b, STR("ab\033[31mcd\033[0mef"), rows[i].width);
        assert_true(str_eq(buf_view(&b), str_c(rows[i].want)));
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts), cmocka_unit_test(bytes),        cmocka_unit_test(times),
        cmocka_unit_test(cut),    cmocka_unit_test(foreign_text), cmocka_unit_test(cut_colored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
