/* price_file: the list that QCC brings along, files of prices with their faults, and overrides. The
 * faults of a list one by one are in tests/unit/data/yaml/prices.case. */
#include "common/base/buf.h"
#include "supervisor/config/load.h"
#include "supervisor/config/price_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/qcc-prices-XXXXXX";

static int64_t day_of(const char *text)
{
    int year, month, day;
    assert_int_equal(sscanf(text, "%d-%d-%d", &year, &month, &day), 3);
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    return timegm(&tm);
}

static void write_file(const char *name, const char *text, char path[static 128])
{
    snprintf(path, 128, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* All faults as text. */
static const char *lines_of(const struct faults *f)
{
    static char out[4096];
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < f->n; i++) {
        faults_line(f, i, out + n, sizeof out - n - 2);
        n += strlen(out + n);
        out[n++] = '\n';
        out[n] = '\0';
    }
    return out;
}

static const struct price_row *row(const struct conf *c, const char *model, int64_t at)
{
    const struct price_model *m = price_find(&c->price_list, str_c(model));
    return m ? price_row_at(m, at) : NULL;
}

static void is_priced(const struct conf *c, const char *model, const char *from, const char *rates)
{
    char text[256] = "";
    const struct price_row *r = row(c, model, *from ? day_of(from) : 0);
    assert_non_null(r);
    assert_true(*from ? r->from_s == day_of(from) : r->from_s == INT64_MIN);
    static const enum price_kind order[] = {PRICE_INPUT, PRICE_WRITE_5M, PRICE_WRITE_1H,
                                            PRICE_CACHE_READ, PRICE_OUTPUT};
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        char one[PRICE_TEXT];
        price_format_rate(r->base[order[i]], one);
        size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, "%s%s", n ? " " : "", one);
    }
    assert_string_equal(text, rates);
    assert_int_equal(r->batch, 500000);
    assert_int_equal(r->web, 10000000000);
    assert_true(!*from || row(c, model, day_of(from) - 1) != r);
}

static struct conf *load(const char *text, struct faults *f)
{
    char path[128];
    write_file("qcc.yaml", text, path);
    return conf_load(path, f);
}

#define ENDPOINT "endpoints: [{name: a, base_url: 'http://127.0.0.1:9'}]\n"

static void the_list_that_qcc_brings_along(void **state)
{
    (void)state;
    struct faults f = {0};
    struct conf *c = load(ENDPOINT, &f);
    assert_string_equal(lines_of(&f), "");
    assert_non_null(c);
    is_priced(c, "claude-fable-5-2", "2026-11-09", "8.00 10.00 16.00 0.20 40.00");
    is_priced(c, "claude-fable-5-1", "2026-09-01", "10.00 12.50 20.00 0.25 50.00");
    is_priced(c, "claude-mythos-5-1", "2026-09-01", "10.00 12.50 20.00 0.25 50.00");
    is_priced(c, "claude-fable-5", "2026-06-09", "10.00 12.50 20.00 1.00 50.00");
    is_priced(c, "claude-mythos-5", "2026-06-09", "10.00 12.50 20.00 1.00 50.00");
    is_priced(c, "claude-opus-5-5", "2026-09-22", "4.00 5.00 8.00 0.20 20.00");
    is_priced(c, "claude-opus-5", "2026-07-24", "5.00 6.25 10.00 0.50 25.00");
    for (const char *v = "8765"; *v; v++) {
        char name[] = "claude-opus-4-x-20260101";
        name[14] = *v;
        is_priced(c, name, "", "5.00 6.25 10.00 0.50 25.00");
        assert_true(row(c, name, 0)->fast == PRICE_NONE);
    }
    is_priced(c, "claude-opus-4-1", "", "15.00 18.75 30.00 1.50 75.00");
    is_priced(c, "claude-opus-4-20250514", "", "15.00 18.75 30.00 1.50 75.00");
    is_priced(c, "claude-3-opus-latest", "", "15.00 18.75 30.00 1.50 75.00");
    is_priced(c, "claude-sonnet-5-5", "2026-09-28", "2.00 2.50 4.00 0.20 10.00");
    is_priced(c, "claude-sonnet-5-5", "2026-10-07", "2.00 2.50 4.00 0.10 10.00");
    is_priced(c, "claude-sonnet-5", "2026-06-30", "2.00 2.50 4.00 0.20 10.00");
    is_priced(c, "claude-sonnet-4-6", "", "3.00 3.75 6.00 0.30 15.00");
    is_priced(c, "claude-sonnet-4-5-20250929", "", "3.00 3.75 6.00 0.30 15.00");
    is_priced(c, "claude-sonnet-4-20250514", "", "3.00 3.75 6.00 0.30 15.00");
    is_priced(c, "claude-3-7-sonnet-latest", "", "3.00 3.75 6.00 0.30 15.00");
    is_priced(c, "claude-haiku-5-5", "2026-10-07", "0.10 0.125 0.20 0.01 0.50");
    is_priced(c, "claude-haiku-4-5", "", "1.00 1.25 2.00 0.10 5.00");
    is_priced(c, "claude-3-5-haiku", "", "0.80 1.00 1.60 0.08 4.00");
    is_priced(c, "claude-3-haiku", "", "0.25 0.30 0.50 0.03 1.25");
    assert_null(price_find(&c->price_list, STR("claude-sonnet-9")));
    assert_int_equal(row(c, "claude-opus-5-5", day_of("2026-11-01"))->fast, 2000000);
    assert_int_equal(row(c, "claude-sonnet-4-6", 0)->geo_us, 1100000);
    assert_true(row(c, "claude-sonnet-4-5", 0)->geo_us == PRICE_NONE);
    conf_unref(c);
    faults_free(&f);
}

static void long_prompts_cost_more(void **state)
{
    (void)state;
    struct faults f = {0};
    struct conf *c = load(ENDPOINT, &f);
    assert_non_null(c);
    const struct price_row *r = row(c, "claude-haiku-5-5", day_of("2026-11-01"));
    static const uint64_t haiku[] = {500000, 2500000, 50000, 625000, 1000000};
    assert_int_equal(r->above_class, 1);
    assert_memory_equal(r->above, haiku, sizeof haiku);
    r = row(c, "claude-sonnet-4-5", 0);
    assert_int_equal(r->above_class, 2);
    assert_int_equal(r->above[PRICE_INPUT], 6000000);
    assert_int_equal(r->above[PRICE_OUTPUT], 22500000);
    assert_true(r->above[PRICE_CACHE_READ] == PRICE_NONE && r->above[PRICE_WRITE_5M] == PRICE_NONE);
    assert_int_equal(row(c, "claude-3-7-sonnet", 0)->above_class, 0);
    conf_unref(c);
    faults_free(&f);
}

static void an_override_replaces_all_rows_of_its_model(void **state)
{
    (void)state;
    struct faults f = {0};
    struct conf *c = load("prices:\n  models:\n    - match: [claude-sonnet-5.5, own]\n"
                          "      batch: 0.25\n      rates:\n"
                          "        - {from: 2026-01-01, input: 1, output: 2}\n"
                          "        - {from: 2026-02-01, input: 3, batch: null}\n" ENDPOINT,
                          &f);
    assert_string_equal(lines_of(&f), "");
    assert_non_null(c);
    const struct price_model *m = price_find(&c->price_list, STR("claude-sonnet-5-5"));
    assert_true(m && m->override && m->n == 2);
    assert_int_equal(m->rows[0].base[PRICE_INPUT], 1000000);
    assert_int_equal(m->rows[0].batch, 250000);
    assert_true(m->rows[0].base[PRICE_CACHE_READ] == PRICE_NONE);
    assert_true(m->rows[1].base[PRICE_OUTPUT] == PRICE_NONE && m->rows[1].batch == PRICE_NONE);
    assert_true(price_find(&c->price_list, STR("own"))->override);
    assert_false(price_find(&c->price_list, STR("claude-opus-5"))->override);
    conf_unref(c);
    faults_free(&f);
}

static void a_named_file_must_be_sound(void **state)
{
    (void)state;
    struct faults f = {0};
    char path[128], want[1024];
    write_file("own.yaml", "- match: own\n  rates: [{input: 1}]\n", path);
    struct conf *c = load("prices: {file: own.yaml}\n" ENDPOINT, &f);
    assert_string_equal(lines_of(&f), "");
    assert_non_null(c);
    assert_int_equal(c->price_list.n, 1);
    assert_non_null(price_find(&c->price_list, STR("own")));
    conf_unref(c);
    write_file("own.yaml", "- match: own\n  rates: [{input: x}]\n- {match: own, rates: [{}]}\n",
               path);
    assert_null(load("log: {level: info}\nprices: {file: own.yaml}\n" ENDPOINT, &f));
    snprintf(want, sizeof want,
             "%s/qcc.yaml:2:16: prices.file: %s:2:19: [0].rates[0].input: must be a number of USD "
             "per million tokens, 0 to 100000 with up to 6 decimals, not \"x\"\n"
             "%s/qcc.yaml:2:16: prices.file: %s:3:11: [1].match: the model own stands twice in the "
             "list\n",
             dir, path, dir, path);
    assert_string_equal(lines_of(&f), want);
    unlink(path);
    assert_null(load("prices: {file: own.yaml}\n" ENDPOINT, &f));
    snprintf(want, sizeof want,
             "%s/qcc.yaml:1:16: prices.file: %s: cannot be opened: No such file or directory\n",
             dir, path);
    assert_string_equal(lines_of(&f), want);
    write_file("own.yaml", "# nothing\n", path);
    assert_null(load("prices: {file: own.yaml}\n" ENDPOINT, &f));
    snprintf(want, sizeof want, "%s/qcc.yaml:1:16: prices.file: %s: is empty\n", dir, path);
    assert_string_equal(lines_of(&f), want);
    unlink(path);
    faults_free(&f);
}

static void a_faulty_list_of_qcc_itself_is_a_warning(void **state)
{
    (void)state;
    struct faults f = {0};
    char path[128], want[1024];
    write_file("shipped.yaml", "- {match: a, rates: [{input: 1}]}\n- {match: b}\n", path);
    setenv("QCC_PRICES", path, 1);
    struct conf *c = load("prices: {models: [{match: own, rates: [{input: 1}]}]}\n" ENDPOINT, &f);
    unsetenv("QCC_PRICES");
    snprintf(want, sizeof want, "%s/qcc.yaml:1:9: warning: prices: %s:2:3: [1]: needs rates\n", dir,
             path);
    assert_string_equal(lines_of(&f), want);
    assert_non_null(c);
    assert_int_equal(c->price_list.n, 1);
    assert_non_null(price_find(&c->price_list, STR("own")));
    conf_unref(c);
    unlink(path);
    faults_free(&f);
}

static void a_list_is_bounded(void **state)
{
    (void)state;
    struct faults f = {0};
    struct buf b;
    char path[128];
    buf_init(&b, 1 << 20);
    for (unsigned i = 0; i <= PRICE_MODELS_MAX; i++)
        assert_true(buf_printf(&b, "- {match: m%u, rates: [{input: 1}]}\n", i));
    assert_true(buf_add(&b, "", 1));
    write_file("own.yaml", buf_data(&b), path);
    assert_null(load("prices: {file: own.yaml}\n" ENDPOINT, &f));
    assert_non_null(strstr(
        lines_of(&f), ":1001:11: [1000].match: there are more than 1000 models or 3000 rows\n"));
    assert_int_equal(f.n, 1);
    unlink(path);
    buf_free(&b);
    faults_free(&f);
}

static int before(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int after(void **state)
{
    char path[128];
    (void)state;
    snprintf(path, sizeof path, "%s/qcc.yaml", dir);
    unlink(path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_list_that_qcc_brings_along),
        cmocka_unit_test(long_prompts_cost_more),
        cmocka_unit_test(an_override_replaces_all_rows_of_its_model),
        cmocka_unit_test(a_named_file_must_be_sound),
        cmocka_unit_test(a_faulty_list_of_qcc_itself_is_a_warning),
        cmocka_unit_test(a_list_is_bounded),
    };
    return cmocka_run_group_tests(tests, before, after);
}
