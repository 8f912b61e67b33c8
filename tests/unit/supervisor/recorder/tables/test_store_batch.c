/* store_batch: rows and sums of what workers send: sums of all tables are those of the rows, names
 * are bounded, keys are unique, and what is no record is found out. */
#include "supervisor/recorder/tables/schema.h"
#include "supervisor/recorder/tables/store_batch.h"
#include "supervisor/recorder/tables/trail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define NOON INT64_C(1790000000000000) /* microseconds; in 2026 */

static sqlite3 *db;
static struct store_batch batch;

static int begin(void **state)
{
    (void)state;
    char dir[] = "/tmp/qcc-history-XXXXXX";
    struct err note, e;
    batch = (struct store_batch){.rows_kept = HISTORY_ROWS_ALL, .clients = true};
    return !mkdtemp(dir) || chdir(dir) == -1 || schema_open(&db, &note, &e) != SCHEMA_OPEN ||
           store_batch_open(&batch, db) != SQLITE_OK;
}

static int end(void **state)
{
    (void)state;
    char dir[64];
    store_batch_close(&batch);
    sqlite3_close(db);
    unlink("history.db");
    return !getcwd(dir, sizeof dir) || chdir("/") == -1 || rmdir(dir) == -1;
}

static int64_t number(const char *sql)
{
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t v = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return v;
}

static struct recent_record record(int64_t at_us, const char *model, const char *client)
{
    struct recent_record r = {.began_us = at_us,
                              .bytes_in = 100,
                              .bytes_out = 200,
                              .tokens = {10, 20, 30, 40},
                              .write_1h = 15,
                              .web_searches = RECENT_UNKNOWN,
                              .first_byte_ms = 250,
                              .total_ms = 1250,
                              .status = 200,
                              .attempts = 1,
                              .told = RECENT_STREAM,
                              .message = true};
    struct recent_texts t = {.client = str_c(client),
                             .model = str_c(model),
                             .method = STR("POST"),
                             .path = STR("/v1/messages"),
                             .endpoint = STR("e"),
                             .end = STR("ok"),
                             .sent = str_c(model),
                             .served = str_c(model)};
    struct recent_attempt a = {OUTCOME_OK, FAULT_NONE,     SCOPE_NONE, 200,    0,
                               1250,       RECENT_UNKNOWN, STR("e"),   STR("")};
    memcpy(r.id, "0123456789abcdef0123", sizeof r.id);
    recent_put(&r, &t);
    assert_true(recent_put_attempt(&r, &a));
    return r;
}

static void sums_are_those_of_the_rows(void **state)
{
    (void)state;
    struct recent_record v[500];
    char model[16];
    int64_t n = 0;
    for (int round = 0; round < 8; round++) {
        for (size_t i = 0; i < COUNT_OF(v); i++, n++) {
            snprintf(model, sizeof model, "m-%d", (int)(n % 7));
            /* in 3 hours, many of one millisecond */
            v[i] = record(NOON + n / 3 * 8100000, model, n % 2 ? "alice" : "bob");
            assert_true(store_batch_sound(&v[i]));
        }
        assert_int_equal(store_batch_write(&batch, v, COUNT_OF(v)), SQLITE_OK);
    }
    assert_int_equal(number("SELECT count(*) FROM request"), n);
    assert_int_equal(batch.rows, n);
    static const char *const tables[] = {"usage_15", "usage_60"};
    char sql[400];
    for (size_t i = 0; i < COUNT_OF(tables); i++) {
        snprintf(sql, sizeof sql,
                 "SELECT sum(requests)=%lld AND sum(ok)=%lld AND sum(input)=10*%lld AND"
                 " sum(write_5m)=25*%lld AND sum(write_1h)=15*%lld AND sum(web)=0 AND"
                 " sum(untold)=0 AND sum(gen_ms)=1000*%lld AND sum(gen_tokens)=20*%lld FROM %s",
                 (long long)n, (long long)n, (long long)n, (long long)n, (long long)n, (long long)n,
                 (long long)n, tables[i]);
        assert_int_equal(number(sql), 1);
    }
    assert_int_equal(number("SELECT count(*) FROM (SELECT q/4, endpoint, model, client, rate,"
                            " sum(requests) FROM usage_15 GROUP BY 1,2,3,4,5 EXCEPT SELECT q,"
                            " endpoint, model, client, rate, requests FROM usage_60)"),
                     0);
    assert_int_equal(number("SELECT sum(n) FROM tries_60"), n);
    assert_int_equal(number("SELECT count(DISTINCT q) FROM usage_60"), 4);
    assert_int_equal(batch.oldest, NOON / 1000 + 1250);
}

static void names_are_bounded(void **state)
{
    (void)state;
    struct recent_record r;
    char model[24];
    for (int i = 0; i < 1200; i++) {
        snprintf(model, sizeof model, "made-up-%d", i);
        r = record(NOON, model, "alice");
        assert_int_equal(store_batch_write(&batch, &r, 1), SQLITE_OK);
    }
    assert_int_equal(number("SELECT count(*) FROM name WHERE kind=1"), 1001);
    assert_int_equal(number("SELECT requests FROM usage_60 JOIN name ON id=model WHERE"
                            " text='(other)'"),
                     200);
    /* what is known stays known */
    r = record(NOON, "made-up-5", "alice");
    assert_int_equal(store_batch_write(&batch, &r, 1), SQLITE_OK);
    assert_int_equal(number("SELECT requests FROM usage_60 JOIN name ON id=model WHERE"
                            " text='made-up-5'"),
                     2);
    assert_int_equal(number("SELECT count(*) FROM request"), 1201);
}

/* A rolled back batch leaves neither rows nor names, and can be written again. */
/* Names of requests that nobody served take half the room; what is served has the rest. */
static void names_that_are_never_served(void **state)
{
    (void)state;
    struct recent_record r;
    char model[24];
    for (int i = 0; i < 600; i++) {
        snprintf(model, sizeof model, "junk-%d", i);
        r = record(NOON, model, "alice");
        r.status = 400;
        assert_int_equal(store_batch_write(&batch, &r, 1), SQLITE_OK);
    }
    assert_int_equal(number("SELECT count(*) FROM name WHERE kind=1 AND text<>'(other)'"), 500);
    for (int i = 0; i < 400; i++) {
        snprintf(model, sizeof model, "real-%d", i);
        r = record(NOON, model, "alice");
        assert_int_equal(store_batch_write(&batch, &r, 1), SQLITE_OK);
    }
    assert_int_equal(number("SELECT count(*) FROM name WHERE kind=1 AND text LIKE 'real-%'"), 400);
    /* a name that is known is known to a failure too */
    r = record(NOON, "real-7", "alice");
    r.status = 529;
    assert_int_equal(store_batch_write(&batch, &r, 1), SQLITE_OK);
    assert_int_equal(number("SELECT sum(requests) FROM usage_60 JOIN name ON id=model WHERE"
                            " text='real-7'"),
                     2);
}

static void all_or_nothing(void **state)
{
    (void)state;
    struct recent_record v[3] = {record(NOON, "a", "x"), record(NOON, "b", "y"),
                                 record(NOON, "c", "z")};
    assert_int_equal(sqlite3_exec(db,
                                  "CREATE TRIGGER no BEFORE INSERT ON usage_60 BEGIN SELECT"
                                  " RAISE(ABORT, 'no'); END",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_not_equal(store_batch_write(&batch, v, 3), SQLITE_OK);
    assert_int_equal(number("SELECT (SELECT count(*) FROM request) + (SELECT count(*) FROM name)"),
                     0);
    assert_int_equal(batch.rows, 0);
    assert_int_equal(sqlite3_exec(db, "DROP TRIGGER no", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(store_batch_write(&batch, v, 3), SQLITE_OK);
    assert_int_equal(number("SELECT sum(requests) FROM usage_60"), 3);
    assert_int_equal(number("SELECT count(*) FROM request JOIN name ON name.id=model"), 3);
}

/* What served and did not come to its end told a part at best. */
static void what_broke_off_is_untold(void **state)
{
    (void)state;
    struct recent_record v[2] = {record(NOON, "m", "a"), record(NOON, "m", "a")};
    struct recent_texts t;
    size_t at;
    struct recent_record from = v[0]; /* t borrows from it */
    assert_true(recent_get(&from, &t, &at));
    t.end = STR("the reply ended too early");
    recent_put(&v[0], &t);
    assert_int_equal(store_batch_write(&batch, v, 2), SQLITE_OK);
    assert_int_equal(
        number("SELECT sum(ok)=1 AND sum(failed)=1 AND sum(untold)=1 AND sum(output)=40"
               " FROM usage_60"),
        1);
}

static void what_is_told(void **state)
{
    (void)state;
    struct recent_record left = record(NOON, "m", "a"), failed = record(NOON, "m", "a");
    struct recent_texts t;
    size_t at;
    struct recent_record from = left; /* t borrows from it */
    assert_true(recent_get(&from, &t, &at));
    left.tokens[TOKENS_OUTPUT] = RECENT_UNKNOWN;
    t.end = STR("client gone");
    t.served = STR("another");
    t.speed = STR("fast");
    recent_put(&left, &t);
    failed.status = 529;
    failed.attempts = 3;
    failed.first_byte_ms = RECENT_UNKNOWN;
    struct recent_record v[2] = {left, failed};
    batch.rows_kept = HISTORY_ROWS_FAILED;
    batch.clients = false;
    assert_int_equal(store_batch_write(&batch, v, 2), SQLITE_OK);
    assert_int_equal(number("SELECT sum(cancelled)=1 AND sum(failed)=1 AND sum(ok)=0 AND"
                            " sum(untold)=1 AND sum(retried)=1 AND sum(client)=0 FROM usage_15"),
                     1);
    assert_int_equal(number("SELECT count(*) FROM request WHERE client IS NULL"), 2);
    assert_int_equal(number("SELECT count(*) FROM request WHERE output IS NULL AND flags & 16 AND"
                            " rate=4"),
                     1);
    assert_int_equal(number("SELECT count(*) FROM request WHERE ttfb_ms IS NULL AND status=529"),
                     1);
}

/* A trail only where there is something to tell, and in the form of trail.h. */
static void trails(void **state)
{
    (void)state;
    struct recent_record v[3] = {record(NOON, "m", "a"), record(NOON, "m", "a"),
                                 record(NOON, "m", "a")};
    const struct choice_skip queued = {2, SEL_SKIP_QUEUED}, below = {2, SEL_SKIP_PRIORITY};
    const struct choice x = {.endpoint = 1, .end = SEL_CHOSEN};
    choice_add(&v[0].choices, &x, &below, 1);
    choice_add(&v[1].choices, &x, &queued, 1);
    v[2].status = 529;
    assert_int_equal(store_batch_write(&batch, v, 3), SQLITE_OK);
    assert_int_equal(number("SELECT count(trail) FROM request"), 2);
    assert_int_equal(number("SELECT count(trail) FROM request WHERE status=529"), 1);
    sqlite3_stmt *st;
    const char *sql = "SELECT trail FROM request WHERE trail IS NOT NULL ORDER BY k";
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    struct trail t;
    struct trail_choice c;
    size_t n = (size_t)sqlite3_column_bytes(st, 0);
    assert_true(trail_read(&t, str_make(sqlite3_column_blob(st, 0), n)));
    assert_true(t.choices == 1 && t.attempts == 1 && trail_choice(&t, &c));
    assert_true(str_eq(c.name, STR("e")));
    sqlite3_finalize(st);
}

/* Rows of several endpoints, models and clients within a few hours, of which one in 20 was tried
 * again. The goal is 110 bytes a request. */
static void room_a_request_takes(void **state)
{
    (void)state;
    enum { N = 20000, BATCH = 20 };
    static const struct choice_skip off[] = {{2, SEL_SKIP_DISABLED}, {3, SEL_SKIP_DRAINING}};
    const struct choice x = {.endpoint = 1, .end = SEL_CHOSEN};
    struct recent_record v[BATCH];
    struct recent_attempt again = {
        OUTCOME_TRANSIENT, FAULT_ENDPOINT, SCOPE_ENDPOINT,   503, 0, 1250,
        RECENT_UNKNOWN,    STR("e"),       STR("overloaded")};
    char model[16], client[16];
    for (int i = 0; i < N; i++) {
        snprintf(model, sizeof model, "model-%d", i / BATCH % 4);
        snprintf(client, sizeof client, "client-%d", i % 30);
        struct recent_record *r = &v[i % BATCH];
        *r = record(NOON + (int64_t)i * 2000000, model, client);
        r->bytes_in = 100000 + (uint64_t)i;
        r->bytes_out = 5000 + (uint64_t)i;
        r->tokens[TOKENS_INPUT] = 300 + (uint32_t)i % 1000;
        r->tokens[TOKENS_OUTPUT] = 500 + (uint32_t)i % 1000;
        r->tokens[TOKENS_CACHE_READ] = 40000 + (uint32_t)i;
        r->tokens[TOKENS_CACHE_WRITE] = 3000 + (uint32_t)i % 1000;
        choice_add(&r->choices, &x, off, COUNT_OF(off));
        if (i % 20 == 0 && recent_put_attempt(r, &again))
            r->attempts = 2;
        if (i % BATCH == BATCH - 1)
            assert_int_equal(store_batch_write(&batch, v, BATCH), SQLITE_OK);
    }
    assert_int_equal(number("SELECT count(trail) FROM request"), N / 20);
    int64_t bytes = number("PRAGMA page_count") * number("PRAGMA page_size");
    if (bytes > 110 * (int64_t)N)
        fail_msg("%lld bytes a request", (long long)(bytes / N));
}

static void no_record(void **state)
{
    (void)state;
    struct recent_record good = record(NOON, "m", "a"), r;
    assert_true(store_batch_sound(&good));
#define REFUSED(change)                                                                            \
    do {                                                                                           \
        r = good;                                                                                  \
        change;                                                                                    \
        assert_false(store_batch_sound(&r));                                                       \
    } while (0)
    REFUSED(r.began_us = 0);
    REFUSED(r.began_us = -1);
    REFUSED(r.began_us = INT64_MIN);
    REFUSED(r.began_us = INT64_MAX);
    REFUSED(r.began_us = INT64_C(4102444800000000));
    REFUSED(r.len = 3);
    REFUSED(r.len = RECENT_TEXT + 1);
    REFUSED(r.listed = 9);
    REFUSED(r.id[3] = 'x');
    REFUSED(r.bytes_in = UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sums_are_those_of_the_rows, begin, end),
        cmocka_unit_test_setup_teardown(names_are_bounded, begin, end),
        cmocka_unit_test_setup_teardown(names_that_are_never_served, begin, end),
        cmocka_unit_test_setup_teardown(all_or_nothing, begin, end),
        cmocka_unit_test_setup_teardown(what_broke_off_is_untold, begin, end),
        cmocka_unit_test_setup_teardown(what_is_told, begin, end),
        cmocka_unit_test_setup_teardown(trails, begin, end),
        cmocka_unit_test_setup_teardown(room_a_request_takes, begin, end),
        cmocka_unit_test(no_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
