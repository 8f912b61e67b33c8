/* price: rows by time, costs to the picodollar, what makes a cost unknown, and numbers as text. */
#include "common/price/price_table.h"
#include "common/policy/price.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { DAY = 86400 };

static struct price_row row_of(int64_t from)
{
    return (struct price_row){
        .from_s = from,
        .base = {3000000, 15000000, 300000, 3750000, 6000000},
        .above = {PRICE_NONE, PRICE_NONE, PRICE_NONE, PRICE_NONE, PRICE_NONE},
        .fast = PRICE_NONE,
        .batch = 500000,
        .geo_us = 1100000,
        .web = UINT64_C(10000000000),
    };
}

static void put(struct price_table *t, const char *name, struct price_row *rows, size_t n)
{
    struct price_model m = {.rows = rows, .n = n};
    snprintf(m.name, sizeof m.name, "%s", name);
    assert_true(price_table_put(t, &m));
}

static struct price_table one(const char *name, struct price_row row)
{
    struct price_table t = {0};
    put(&t, name, &row, 1);
    return t;
}

static struct price_use use_of(const char *model, uint64_t input, uint64_t output)
{
    return (struct price_use){.model = str_c(model),
                              .at_s = 1000 * DAY,
                              .factor_ppm = PRICE_ONE,
                              .n = {[PRICE_INPUT] = input, [PRICE_OUTPUT] = output}};
}

/* What it costs as text, or all that is missing. */
static const char *text_of(const struct price_table *t, const struct price_use *u)
{
    static char out[1024];
    char why[PRICE_MISSING_TEXT];
    unsigned missing;
    price_money cost;
    bool known = price_cost(t, u, &cost, &missing);
    assert_int_equal(known, missing == 0);
    price_format(cost, out);
    if (!known)
        out[0] = '\0';
    while (price_missing_next(&missing, u->model, why)) {
        size_t n = strlen(out);
        snprintf(out + n, sizeof out - n, "%s%s", n ? "; " : "", why);
    }
    return out;
}

static void every_kind_has_its_rate(void **state)
{
    (void)state;
    struct price_table t = one("claude-sonnet-4-6", row_of(INT64_MIN));
    struct price_use u = use_of("us.anthropic.claude-sonnet-4-6-20260101-v1:0", 1000000, 1000000);
    assert_string_equal(text_of(&t, &u), "18.000000");
    u = (struct price_use){
        .model = STR("Claude-Sonnet-4.6[1m]"), .factor_ppm = PRICE_ONE, .n = {1, 1, 1, 1, 1, 1}};
    /* 3 + 15 + 0.3 + 3.75 + 6 microdollars and a cent */
    assert_string_equal(text_of(&t, &u), "0.010028");
    price_table_free(&t);
}

static void names_are_exact(void **state)
{
    (void)state;
    struct price_table t = one("claude-sonnet-4", row_of(INT64_MIN));
    const char *const others[] = {"claude-sonnet-9", "claude-sonnet-4-5", "claude-sonnet", "sonnet",
                                  ""};
    struct price_use u;
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        char why[200];
        u = use_of(others[i], 1, 0);
        snprintf(why, sizeof why, "no price for %s", others[i]);
        assert_string_equal(text_of(&t, &u), why);
        assert_string_equal(text_of(NULL, &u), why);
    }
    price_table_free(&t);
}

static void a_row_holds_until_the_next(void **state)
{
    (void)state;
    struct price_table t = {0};
    struct price_row rows[] = {row_of(200 * DAY), row_of(100 * DAY)};
    rows[0].base[PRICE_INPUT] = 2000000;
    put(&t, "m", rows, 2);
    struct price_use u = use_of("m", 1000000, 0);
    assert_true(price_newest(&t, 100 * DAY - 1) == INT64_MIN);
    assert_int_equal(price_newest(&t, 200 * DAY - 1), 100 * DAY);
    assert_int_equal(price_newest(&t, 300 * DAY), 200 * DAY);
    u.at_s = 100 * DAY - 1;
    assert_string_equal(text_of(&t, &u), "no price for m");
    u.at_s = 100 * DAY;
    assert_string_equal(text_of(&t, &u), "3.000000");
    u.at_s = 200 * DAY - 1;
    assert_string_equal(text_of(&t, &u), "3.000000");
    u.at_s = 200 * DAY;
    assert_string_equal(text_of(&t, &u), "2.000000");
    price_table_free(&t);
}

static void a_long_prompt_is_decided_by_its_class(void **state)
{
    (void)state;
    struct price_row row = row_of(INT64_MIN);
    row.above_class = 2;
    row.above[PRICE_INPUT] = 6000000;
    row.above[PRICE_OUTPUT] = 22500000;
    struct price_table t = one("m", row);
    struct price_use u = use_of("m", 1000000, 1000000);
    for (unsigned cls = 0; cls < 4; cls++) {
        u.rate = cls;
        assert_string_equal(text_of(&t, &u), cls < 2 ? "18.000000" : "28.500000");
    }
    u.n[PRICE_CACHE_READ] = 1;
    assert_string_equal(text_of(&t, &u), "no rate for cache_read of m");
    price_table_free(&t);
}

static void what_was_used_and_has_no_rate_is_named(void **state)
{
    (void)state;
    struct price_row row = row_of(INT64_MIN);
    row.base[PRICE_CACHE_READ] = row.base[PRICE_WRITE_1H] = row.web = PRICE_NONE;
    struct price_table t = one("m", row);
    struct price_use u = use_of("m", 1000000, 0);
    assert_string_equal(text_of(&t, &u), "3.000000");
    u.n[PRICE_CACHE_READ] = u.n[PRICE_WRITE_1H] = u.n[PRICE_WEB] = 1;
    assert_string_equal(text_of(&t, &u), "no rate for cache_read of m; no rate for write_1h of m; "
                                         "no rate for web_search of m");
    price_table_free(&t);
}

static void multipliers(void **state)
{
    (void)state;
    struct price_table t = one("m", row_of(INT64_MIN));
    struct price_use u = use_of("m", 1000000, 0);
    u.rate = PRICE_RATE_BATCH;
    assert_string_equal(text_of(&t, &u), "1.500000");
    u.rate = PRICE_RATE_BATCH | PRICE_RATE_US;
    assert_string_equal(text_of(&t, &u), "1.650000");
    u.factor_ppm = 500000;
    assert_string_equal(text_of(&t, &u), "0.825000");
    u.n[PRICE_WEB] = 100; /* its price knows no batch and no region */
    assert_string_equal(text_of(&t, &u), "1.325000");
    u.factor_ppm = PRICE_ONE;
    u.rate = PRICE_RATE_FAST | PRICE_RATE_PRIORITY;
    assert_string_equal(text_of(&t, &u), "fast unpriced for m; priority tier unpriced for m");
    u = use_of("m", 0, 0);
    u.rate = PRICE_RATE_FAST;
    u.n[PRICE_WEB] = 1;
    assert_string_equal(text_of(&t, &u), "0.010000");
    price_table_free(&t);
    struct price_row row = row_of(INT64_MIN);
    row.batch = row.geo_us = PRICE_NONE;
    row.fast = 2000000;
    t = one("m", row);
    u = use_of("m", 1000000, 0);
    u.rate = PRICE_RATE_FAST;
    assert_string_equal(text_of(&t, &u), "6.000000");
    u.rate = PRICE_RATE_BATCH | PRICE_RATE_US;
    assert_string_equal(text_of(&t, &u), "batch unpriced for m; US inference unpriced for m");
    price_table_free(&t);
}

static void nothing_is_known_to_cost_nothing(void **state)
{
    (void)state;
    struct price_use u = use_of("unknown", 5, 5);
    u.factor_ppm = 0;
    assert_string_equal(text_of(NULL, &u), "0.000000");
    u = use_of("unknown", 0, 0);
    u.rate = PRICE_RATE_FAST;
    assert_string_equal(text_of(NULL, &u), "0.000000");
}

static void the_largest_values_do_not_overflow(void **state)
{
    (void)state;
    struct price_row row = row_of(INT64_MIN);
    for (size_t i = 0; i < PRICE_TOKENS; i++)
        row.base[i] = PRICE_TOKEN_MAX;
    row.fast = row.batch = row.geo_us = PRICE_TIMES_MAX;
    row.web = PRICE_WEB_MAX;
    struct price_table t = one("m", row);
    struct price_use u = {.model = STR("m"),
                          .factor_ppm = UINT64_MAX,
                          .rate = PRICE_RATE_FAST | PRICE_RATE_BATCH | PRICE_RATE_US};
    for (size_t i = 0; i < PRICE_KINDS; i++)
        u.n[i] = UINT64_MAX;
    /* (5 × 10^25 × 1000 + 10^26) × 1000 picodollars */
    assert_string_equal(text_of(&t, &u), "50100000000000000000.000000");
    price_table_free(&t);
}

static void a_table_takes_sound_models_alone(void **state)
{
    (void)state;
    struct price_table t = one("m", row_of(0));
    struct price_row rows[PRICE_ROWS_MAX + 1];
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        rows[i] = row_of((int64_t)i);
    struct price_model m = {.name = "m", .rows = rows, .n = 0};
    assert_false(price_table_put(&t, &m));
    m.n = COUNT_OF(rows);
    assert_false(price_table_put(&t, &m));
    m.n = 2;
    rows[1].from_s = 0;
    assert_false(price_table_put(&t, &m));
    rows[1].from_s = 1;
    rows[1].base[0] = PRICE_TOKEN_MAX + 1;
    assert_false(price_table_put(&t, &m));
    rows[1] = row_of(1);
    rows[1].fast = PRICE_TIMES_MAX + 1;
    assert_false(price_table_put(&t, &m));
    rows[1] = row_of(1);
    snprintf(m.name, sizeof m.name, "M-latest");
    assert_false(price_table_put(&t, &m));
    m.name[0] = '\0';
    assert_false(price_table_put(&t, &m));
    assert_int_equal(t.n, 1);
    assert_int_equal(t.rows, 1);
    put(&t, "m", rows, 2);
    put(&t, "a", rows, 3);
    put(&t, "z", rows, 4);
    assert_int_equal(t.n, 3);
    assert_int_equal(t.rows, 9);
    assert_int_equal(price_find(&t, STR("M"))->n, 2);
    assert_int_equal(price_find(&t, STR("anthropic/a"))->n, 3);
    assert_int_equal(price_find(&t, STR("z"))->n, 4);
    price_table_free(&t);
}

static void a_table_is_bounded(void **state)
{
    (void)state;
    struct price_table t = {0};
    struct price_row rows[PRICE_ROWS_MAX];
    struct price_model m = {.rows = rows, .n = PRICE_ROWS_MAX};
    for (size_t i = 0; i < PRICE_ROWS_MAX; i++)
        rows[i] = row_of((int64_t)i);
    unsigned i = 0;
    for (; i < PRICE_MODELS_MAX; i++) {
        snprintf(m.name, sizeof m.name, "m%u", i);
        if (!price_table_put(&t, &m))
            break;
    }
    assert_int_equal(i, PRICE_ROWS_TOTAL / PRICE_ROWS_MAX);
    price_table_free(&t);
    m.n = 1;
    for (i = 0; i <= PRICE_MODELS_MAX; i++) {
        snprintf(m.name, sizeof m.name, "m%u", i);
        assert_int_equal(price_table_put(&t, &m), i < PRICE_MODELS_MAX);
    }
    price_table_free(&t);
}

static void costs_are_rounded_half_up(void **state)
{
    (void)state;
    static const struct {
        int64_t pico;
        const char *text;
    } v[] = {{0, "0.000000"},        {499999, "0.000000"},          {500000, "0.000001"},
             {1499999, "0.000001"},  {999999500000, "1.000000"},    {1234567000000, "1.234567"},
             {-500000, "-0.000001"}, {INT64_MAX, "9223372.036855"}, {12000000000000, "12.000000"}};
    char out[PRICE_TEXT];
    for (size_t i = 0; i < COUNT_OF(v); i++) {
        assert_int_equal(price_format(v[i].pico, out), strlen(v[i].text));
        assert_string_equal(out, v[i].text);
    }
    price_money least = -(price_money)(~(unsigned __int128)0 >> 1) - 1;
    assert_true(price_format(least, out) < PRICE_TEXT);
}

static void decimals_are_read_exactly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t v;
    } good[] = {
        {"0", 0},        {"10", 10000000}, {"0.125", 125000},      {"12.50", 12500000},
        {"0.000001", 1}, {"007", 7000000}, {"1.0000000", 1000000}, {"100000", PRICE_TOKEN_MAX}};
    static const char *const bad[] = {"",
                                      ".",
                                      ".5",
                                      "1.",
                                      "-1",
                                      "+1",
                                      "1e3",
                                      "1,5",
                                      "1.2.3",
                                      "0x1",
                                      "0.0000001",
                                      " 1",
                                      "1 ",
                                      "100000.000001",
                                      "18446744073709551616",
                                      "nan"};
    uint64_t v;
    char out[PRICE_TEXT];
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_true(price_parse(str_c(good[i].text), 6, PRICE_TOKEN_MAX, &v));
        assert_int_equal(v, good[i].v);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(price_parse(str_c(bad[i]), 6, PRICE_TOKEN_MAX, &v));
    assert_false(price_parse(STR("5"), 6, 3, &v));
    price_format_rate(125000, out);
    assert_string_equal(out, "0.125");
    price_format_rate(12500000, out);
    assert_string_equal(out, "12.50");
    price_format_rate(1, out);
    assert_string_equal(out, "0.000001");
    price_format_rate(UINT64_MAX, out);
    assert_string_equal(out, "18446744073709.551615");
}

static void what_a_price_depends_on(void **state)
{
    (void)state;
    const struct str none = STR("");
    static const struct {
        uint64_t prompt;
        unsigned class;
    } classes[] = {{0, 0},      {100000, 0}, {100001, 1}, {200000, 1},
                   {200001, 2}, {272000, 2}, {272001, 3}, {UINT64_MAX, 3}};
    for (size_t i = 0; i < COUNT_OF(classes); i++)
        assert_int_equal(price_rate(classes[i].prompt, none, none, none), classes[i].class);
    assert_int_equal(price_rate(0, STR("fast"), STR("batch"), STR("us")),
                     PRICE_RATE_FAST | PRICE_RATE_BATCH | PRICE_RATE_US);
    assert_int_equal(price_rate(0, STR("standard"), STR("priority"), STR("global")),
                     PRICE_RATE_PRIORITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_has_its_rate),
        cmocka_unit_test(names_are_exact),
        cmocka_unit_test(a_row_holds_until_the_next),
        cmocka_unit_test(a_long_prompt_is_decided_by_its_class),
        cmocka_unit_test(what_was_used_and_has_no_rate_is_named),
        cmocka_unit_test(multipliers),
        cmocka_unit_test(nothing_is_known_to_cost_nothing),
        cmocka_unit_test(the_largest_values_do_not_overflow),
        cmocka_unit_test(a_table_takes_sound_models_alone),
        cmocka_unit_test(a_table_is_bounded),
        cmocka_unit_test(costs_are_rounded_half_up),
        cmocka_unit_test(decimals_are_read_exactly),
        cmocka_unit_test(what_a_price_depends_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
