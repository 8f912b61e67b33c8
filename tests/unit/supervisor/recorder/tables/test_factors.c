/* factors: rows where a factor changes and nowhere else, and the factor of every moment. */
#include "common/policy/price.h"
#include "supervisor/recorder/tables/factors.h"
#include "supervisor/recorder/tables/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static sqlite3 *db;
static struct names names;

static int begin(void **state)
{
    (void)state;
    char dir[] = "/tmp/qcc-history-XXXXXX";
    struct err note, e;
    bool ok = mkdtemp(dir) && chdir(dir) == 0 && schema_open(&db, &note, &e) == SCHEMA_OPEN;
    names = (struct names){.db = db};
    return !ok;
}

static int end(void **state)
{
    static const char *const files[] = {"history.db", "history.db-wal", "history.db-shm"};
    char dir[64];
    (void)state;
    names_forget(&names);
    sqlite3_close(db);
    for (size_t i = 0; i < COUNT_OF(files); i++)
        unlink(files[i]);
    return !getcwd(dir, sizeof dir) || chdir("/") == -1 || rmdir(dir) == -1;
}

static void sent(const char *endpoint, uint64_t ppm, int64_t now_s)
{
    struct factors_sent s = {0};
    assert_true(factors_sent_put(&s, str_c(endpoint), ppm));
    assert_int_equal(factors_sent_write(&s, db, &names, now_s), SQLITE_OK);
    assert_int_equal(s.n, 0);
    factors_sent_free(&s);
}

static size_t rows(void)
{
    struct factors f;
    assert_int_equal(factors_read(&f, db), SQLITE_OK);
    size_t n = f.n;
    factors_free(&f);
    return n;
}

static uint64_t at(const char *endpoint, int64_t at_s)
{
    struct factors f;
    assert_int_equal(factors_read(&f, db), SQLITE_OK);
    const struct factor *x = factors_at(&f, names_id(&names, NAME_ENDPOINT, str_c(endpoint)), at_s);
    uint64_t ppm = x ? x->ppm : PRICE_ONE;
    factors_free(&f);
    return ppm;
}

/* The factor of what was stored with that number in the hour that begins then. */
static uint64_t of(const char *endpoint, int64_t hour_s, unsigned number)
{
    struct factors f;
    assert_int_equal(factors_read(&f, db), SQLITE_OK);
    uint64_t ppm = factors_of(&f, names_id(&names, NAME_ENDPOINT, str_c(endpoint)), hour_s,
                              hour_s + 3600, number);
    factors_free(&f);
    return ppm;
}

static void only_changes_are_rows(void **state)
{
    (void)state;
    sent("a", PRICE_ONE, 1000);
    assert_int_equal(rows(), 1);
    sent("a", PRICE_ONE, 1000);
    assert_int_equal(rows(), 1);
    sent("a", 0, 1500);
    sent("a", 0, 2000);
    sent("b", PRICE_ONE, 2000);
    assert_int_equal(rows(), 3);
    sent("a", PRICE_ONE, 3000);
    sent("b", 500000, 3000);
    sent("b", 250000, 3000);
    assert_int_equal(rows(), 5);
}

static void every_moment_has_a_factor(void **state)
{
    (void)state;
    assert_int_equal(at("a", 999), PRICE_ONE);
    sent("a", 0, 1000);
    sent("a", 2500000, 2000);
    sent("b", PRICE_ONE, 1000);
    sent("b", 500000, 1500);
    assert_int_equal(at("a", 0), 0); /* the first holds from the beginning */
    assert_int_equal(at("a", 1000), 0);
    assert_int_equal(at("a", 1999), 0);
    assert_int_equal(at("a", 2000), 2500000);
    assert_int_equal(at("a", INT64_MAX), 2500000);
    assert_int_equal(at("b", 1499), PRICE_ONE);
    assert_int_equal(at("b", 9999), 500000);
    assert_int_equal(at("c", 9999), PRICE_ONE);
}

/* Before and after a change are told apart by the number, in one hour as well. */
static void every_number_has_a_factor(void **state)
{
    (void)state;
    assert_int_equal(of("a", 0, 0), PRICE_ONE);
    for (unsigned i = 0; i < 2000; i++)
        sent("a", i, i * 8);
    sent("b", 7, 4000);
    sent("b", 9, 7200);
    for (unsigned i = 0; i < 450; i++) /* of the first hour */
        assert_int_equal(of("a", 0, i), i);
    for (unsigned i = 900; i < 1350; i++) /* of the third: also what held when it began */
        assert_int_equal(of("a", 7200, i % FACTOR_NUMBERS), i);
    assert_int_equal(of("a", 7200, 800 % FACTOR_NUMBERS), 1312);
    assert_int_equal(of("a", 36000, 1999 % FACTOR_NUMBERS), 1999);
    assert_int_equal(of("a", 36000, 5), 1999); /* none of that number: the one that held */
    assert_int_equal(of("b", 0, 0), 7);
    assert_int_equal(of("b", 3600, 1), 7); /* the change is not within */
    assert_int_equal(of("b", 7200, 1), 9);
    assert_int_equal(of("b", 10800, 1), 9);
    assert_int_equal(of("c", 0, 3), PRICE_ONE);
}

static void what_waits_is_bounded_and_the_last_word_counts(void **state)
{
    (void)state;
    struct factors_sent s = {0};
    char name[32];
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "e%u", i);
        assert_true(factors_sent_put(&s, str_c(name), i));
    }
    assert_false(factors_sent_put(&s, STR("one-more"), 1));
    assert_false(factors_sent_put(&s, STR(""), 1));
    assert_true(factors_sent_put(&s, STR("e7"), 77));
    assert_int_equal(factors_sent_write(&s, db, &names, 5), SQLITE_OK);
    assert_int_equal(at("e7", 5), 77);
    assert_int_equal(at("e1999", 5), 1999);
    factors_sent_free(&s);
}

static void a_failure_writes_nothing(void **state)
{
    (void)state;
    sqlite3 *other;
    struct factors_sent s = {0};
    assert_true(factors_sent_put(&s, STR("a"), 5));
    assert_int_equal(sqlite3_open("history.db", &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(factors_sent_write(&s, db, &names, 5), SQLITE_BUSY);
    assert_int_equal(s.n, 1);
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    assert_int_equal(factors_sent_write(&s, db, &names, 6), SQLITE_OK);
    assert_int_equal(at("a", 6), 5);
    factors_sent_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_changes_are_rows, begin, end),
        cmocka_unit_test_setup_teardown(every_moment_has_a_factor, begin, end),
        cmocka_unit_test_setup_teardown(every_number_has_a_factor, begin, end),
        cmocka_unit_test_setup_teardown(what_waits_is_bounded_and_the_last_word_counts, begin, end),
        cmocka_unit_test_setup_teardown(a_failure_writes_nothing, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
