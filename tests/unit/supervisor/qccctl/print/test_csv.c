/* csv: quoting, formulas, numbers, times with their offset. */
#include "supervisor/qccctl/print/csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct buf out;
static struct csv csv;

static void begin(void)
{
    buf_init(&out, 4096);
    csv_begin(&csv, &out);
}

static void is(struct str want)
{
    csv_end(&csv);
    assert_int_equal(out.len, want.n + 2);
    assert_memory_equal(buf_data(&out), want.p, want.n);
    assert_memory_equal(buf_data(&out) + want.n, "\r\n", 2);
    buf_free(&out);
}

static void one_text(struct str s, struct str want)
{
    begin();
    csv_text(&csv, s);
    is(want);
}

static void texts(void **state)
{
    (void)state;
    one_text(STR("plain words"), STR("plain words"));
    one_text(STR(""), STR(""));
    one_text(STR("a,b"), STR("\"a,b\""));
    one_text(STR("say \"so\""), STR("\"say \"\"so\"\"\""));
    one_text(STR("two\nlines"), STR("\"two\nlines\""));
    one_text(STR("cr\r"), STR("\"cr\r\""));
    one_text(STR("naïve 模型"), STR("naïve 模型"));
    one_text(STR("bad \xff\xc3"), STR("bad ??"));
}

static void formulas(void **state)
{
    (void)state;
    one_text(STR("=1+1"), STR("'=1+1"));
    one_text(STR("+1"), STR("'+1"));
    one_text(STR("-1"), STR("'-1"));
    one_text(STR("@SUM(A1)"), STR("'@SUM(A1)"));
    one_text(STR("\tx"), STR("'\tx"));
    one_text(STR("=\"a\",b"), STR("\"'=\"\"a\"\",b\""));
    one_text(STR("a=b"), STR("a=b"));
    one_text(str_make("\0x", 2), str_make("\0x", 2));
}

static void numbers(void **state)
{
    (void)state;
    begin();
    csv_number(&csv, 0);
    csv_number(&csv, -5);
    csv_number(&csv, INT64_MAX);
    csv_none(&csv);
    csv_decimal(&csv, 1234567, 6);
    csv_decimal(&csv, -1, 3);
    csv_decimal(&csv, 70, 0);
    csv_decimal(&csv, INT64_MIN, 6);
    is(STR("0,-5,9223372036854775807,,1.234567,-0.001,70,-9223372036854.775808"));
}

static void records(void **state)
{
    (void)state;
    begin();
    csv_none(&csv);
    csv_text(&csv, STR("b"));
    csv_none(&csv);
    csv_end(&csv);
    csv_begin(&csv, &out);
    csv_number(&csv, 2);
    is(STR(",b,\r\n2"));
}

static void times(void **state)
{
    (void)state;
    begin();
    csv_time(&csv, 0, 0);
    csv_time(&csv, 1774746000, 120);
    csv_time(&csv, 1774746000, -210);
    csv_time(&csv, 1774746000, 330);
    is(STR("1970-01-01T00:00:00+00:00,2026-03-29T03:00:00+02:00,2026-03-28T21:30:00-03:30,"
           "2026-03-29T06:30:00+05:30"));
}

static void ceiling(void **state)
{
    (void)state;
    buf_init(&out, 8);
    csv_begin(&csv, &out);
    csv_text(&csv, STR("far too long for that"));
    csv_end(&csv);
    assert_true(out.len <= 8);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),   cmocka_unit_test(formulas), cmocka_unit_test(numbers),
        cmocka_unit_test(records), cmocka_unit_test(times),    cmocka_unit_test(ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
