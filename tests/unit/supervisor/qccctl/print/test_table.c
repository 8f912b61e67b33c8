/* table: aligned, cut to a terminal's width, colored without changing the layout. */
#include "supervisor/qccctl/print/human.h"
#include "supervisor/qccctl/print/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static const struct column columns[] = {{"NAME", false, true, 0},
                                        {"N", true, false, 0},
                                        {"MORE", false, false, 2},
                                        {"LEAST", false, false, 3},
                                        {"NOTE", false, true, 1}};

static void fill(struct table *t)
{
    table_init(t, columns, COUNT_OF(columns));
    const char *rows[][5] = {{"official", "1", "abcdef", "ghijkl", "all is well"},
                             {"a-very-long-name-of-an-endpoint", "1000", "m", "",
                              "and something to say that is long, too"}};
    for (size_t r = 0; r < COUNT_OF(rows); r++)
        for (size_t c = 0; c < 5; c++)
            table_text(t, c == 0 ? TINT_BOLD : c == 1 ? TINT_BAD : TINT_NONE, rows[r][c]);
}

static void printed(struct table *t, size_t width, bool color, char *out, size_t size)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    table_print(t, width, color, &b);
    snprintf(out, size, STR_FMT, STR_ARG(buf_view(&b)));
    buf_free(&b);
}

static void as_wide_as_its_content(void **state)
{
    (void)state;
    struct table t;
    char got[4096];
    fill(&t);
    printed(&t, 0, false, got, sizeof got);
    assert_string_equal(got, "NAME                                N  MORE    LEAST   NOTE\n"
                             "official                            1  abcdef  ghijkl  all is well\n"
                             "a-very-long-name-of-an-endpoint  1000  m               and something "
                             "to say that is long, too\n");
    table_fini(&t);
}

/* No line is wider than the terminal as long as what must be shown fits at all. */
static void cut_to_the_terminal(void **state)
{
    (void)state;
    for (size_t width = 14; width < 120; width++) {
        struct table t;
        char got[4096];
        fill(&t);
        printed(&t, width, false, got, sizeof got);
        for (char *p = got; *p;) {
            char *end = strchr(p, '\n');
            assert_true(human_width(str_make(p, (size_t)(end - p))) <= width);
            assert_true(end == p || end[-1] != ' ');
            p = end + 1;
        }
        assert_non_null(strstr(got, "1000"));
        assert_true((strstr(got, "LEAST") == NULL) || strstr(got, "MORE")); /* missed first */
        table_fini(&t);
    }
    struct table t;
    char got[4096];
    fill(&t);
    printed(&t, 40, false, got, sizeof got);
    assert_non_null(strstr(got, "…"));
    table_fini(&t);
}

static void colors_take_no_room(void **state)
{
    (void)state;
    struct table t;
    char plain[4096], colored[4096], stripped[4096];
    size_t n = 0;
    fill(&t);
    printed(&t, 60, false, plain, sizeof plain);
    printed(&t, 60, true, colored, sizeof colored);
    for (const char *p = colored; *p; p++) {
        if (*p == '\033') {
            p = strchr(p, 'm');
            continue;
        }
        stripped[n++] = *p;
    }
    stripped[n] = '\0';
    assert_string_equal(plain, stripped);
    assert_true(strstr(plain, "\033") == NULL && strstr(colored, "\033[31m"));
    table_fini(&t);
}

static void foreign_cells(void **state)
{
    (void)state;
    static const struct column two[] = {
        {"A", false, false, 0}, {"B", false, false, 0}, {"C", false, false, 0}};
    struct table t;
    char got[512];
    table_init(&t, two, 3);
    table_foreign(&t, TINT_NONE, STR("x\033]0;y\007"));
    table_foreign(&t, TINT_NONE, STR(""));
    table_text(&t, TINT_NONE, "");
    printed(&t, 0, false, got, sizeof got);
    assert_string_equal(
        got, "A              B\nx\\x1b]0;y\\x07  -\n"); /* a column of nothing is not shown */
    table_fini(&t);
    table_init(&t, two, 3);
    printed(&t, 0, false, got, sizeof got);
    assert_string_equal(got, "A  B  C\n");
    table_fini(&t);
}

static void last_column_wraps(void **state)
{
    (void)state;
    static const struct column two[] = {{"A", false, false, 0}, {"NOTE", false, true, 0}};
    struct table t;
    char got[512];
    table_init(&t, two, 2);
    t.wrap = true;
    table_text(&t, TINT_NONE, "one");
    table_text(&t, TINT_NONE, "a word, and others behind it");
    table_text(&t, TINT_NONE, "two");
    table_text(&t, TINT_NONE, "averylongword");
    printed(&t, 15, false, got, sizeof got);
    assert_string_equal(got, "A    NOTE\n"
                             "one  a word,\n"
                             "     and others\n"
                             "     behind it\n"
                             "two  averylongw\n"
                             "     ord\n");
    printed(&t, 0, false, got, sizeof got);
    assert_non_null(strstr(got, "one  a word, and others behind it\n"));
    table_fini(&t);
}

static void a_narrow_last_column_goes_below(void **state)
{
    (void)state;
    static const struct column two[] = {{"A", false, false, 0}, {"NOTE", false, true, 0}};
    struct table t;
    char got[512];
    table_init(&t, two, 2);
    t.wrap = true;
    table_text(&t, TINT_NONE, "a first column of some width");
    table_text(&t, TINT_NONE, "certificate not accepted: expired yesterday");
    table_text(&t, TINT_NONE, "two");
    table_text(&t, TINT_NONE, "short");
    printed(&t, 40, false, got, sizeof got);
    assert_string_equal(got, "A                             NOTE\n"
                             "a first column of some width\n"
                             "    certificate not accepted: expired\n"
                             "    yesterday\n"
                             "two                           short\n");
    table_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_wide_as_its_content), cmocka_unit_test(cut_to_the_terminal),
        cmocka_unit_test(colors_take_no_room),    cmocka_unit_test(foreign_cells),
        cmocka_unit_test(last_column_wraps),      cmocka_unit_test(a_narrow_last_column_goes_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
