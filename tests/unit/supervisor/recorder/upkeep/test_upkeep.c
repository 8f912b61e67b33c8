/* upkeep: a real file and a clock of the test's: what is too old goes in chunks, what is not stays,
 * free pages are given back, a clock that was set stops it, a reader that holds the write-ahead log
 * is reported. */
#include "supervisor/recorder/tables/schema.h"
#include "supervisor/recorder/upkeep/sweep.h"
#include "supervisor/recorder/upkeep/upkeep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)
#define NOW INT64_C(1790000000000)
#define MIB (UINT64_C(1) << 20)

static sqlite3 *db;
static struct store_batch batch;
static struct upkeep u;
static struct retention_time now;

static int begin(void **state)
{
    (void)state;
    char dir[] = "/tmp/qcc-history-XXXXXX";
    struct err note, e;
    batch = (struct store_batch){.rows_kept = HISTORY_ROWS_ALL, .clients = true};
    now = (struct retention_time){.wall_ms = NOW, .boot_ms = 100000};
    u = (struct upkeep){.conf = {0}};
    upkeep_start(&u, now);
    upkeep_conf(&u, &(struct retention_conf){.keep_requests_ms = 30 * DAY,
                                             .keep_usage_ms = 400 * DAY,
                                             .max_size = 1024 * MIB});
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

static void exec(const char *sql)
{
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* Adds n requests, the first at that time and each step_ms after the one before, with a trail of so
 * many bytes. */
static void add_requests(int n, int64_t first_ms, int64_t step_ms, int trail)
{
    char sql[400];
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE i(n) AS (SELECT 0 UNION ALL SELECT n+1 FROM i WHERE n<%d) INSERT INTO"
             " request(k, status, trail) SELECT (%lld + n*%lld)<<12, 200, zeroblob(%d) FROM i",
             n - 1, (long long)first_ms, (long long)step_ms, trail);
    exec(sql);
    struct store_batch b = {.rows_kept = batch.rows_kept};
    assert_int_equal(store_batch_open(&b, db), SQLITE_OK);
    batch.rows = b.rows;
    batch.oldest = b.oldest;
    batch.newest = b.newest;
    store_batch_close(&b);
}

/* Lets time pass and runs; returns how many requests have gone. */
static int64_t run_after(int64_t ms)
{
    struct err note = {""};
    int64_t had = number("SELECT count(*) FROM request");
    now.wall_ms += ms;
    now.boot_ms += ms;
    assert_int_equal(upkeep_run(&u, &batch, now, &note), SQLITE_OK);
    int64_t has = number("SELECT count(*) FROM request");
    assert_int_equal(batch.rows, has);
    assert_int_equal(batch.oldest, number("SELECT coalesce(min(k),0)>>12 FROM request"));
    assert_true(had - has <= SWEEP_ROWS);
    return had - has;
}

/* Until a minute brings nothing. */
static int64_t run_all(void)
{
    int64_t n = 0;
    for (int idle = 0; idle < 3;) {
        int had = sqlite3_total_changes(db);
        n += run_after(upkeep_due_ms(&u) - now.boot_ms);
        idle = sqlite3_total_changes(db) == had ? idle + 1 : 0;
    }
    return n;
}

static void old_requests(void **state)
{
    (void)state;
    add_requests(40 * 240, NOW - 40 * DAY, DAY / 240, 0); /* 40 days of 240 */
    assert_int_equal(run_after(0), 0);
    assert_int_equal(run_after(599000), 0);
    assert_int_equal(run_after(61000), 240); /* a day */
    assert_int_equal(run_all(), 0);
    for (int hour = 0; hour < 14; hour++) {
        int64_t n = run_after(HOUR) + run_all();
        assert_true(n <= 241);
    }
    /* those of 30 days are left, to the minute */
    int64_t kept = 0, limit = now.wall_ms - 30 * DAY;
    for (int64_t ms = NOW - 40 * DAY; ms < NOW; ms += DAY / 240)
        kept += ms >= limit;
    assert_int_equal(number("SELECT count(*) FROM request"), kept);
    assert_int_equal(batch.newest, number("SELECT max(k)>>12 FROM request"));
}

static void a_chunk_at_a_time(void **state)
{
    (void)state;
    add_requests(9000, NOW - 31 * DAY, 1000, 0);
    add_requests(10, NOW - DAY, 1000, 0);
    assert_int_equal(run_after(0), 0);
    assert_int_equal(run_after(HOUR), 2000);
    assert_int_equal(run_after(10), 0); /* not yet again */
    int64_t began = now.boot_ms;
    assert_int_equal(run_all(), 7000);
    assert_true(now.boot_ms - began < 5 * 60000);
    assert_int_equal(number("SELECT count(*) FROM request"), 10);
}

static void old_sums_and_events(void **state)
{
    (void)state;
    char sql[600];
    static const char *const tables[] = {"usage_15", "usage_60", "speed_60", "tries_60"};
    for (size_t i = 0; i < COUNT_OF(tables); i++) {
        int64_t unit = i ? HOUR : HOUR / 4;
        for (int days = 0; days < 500; days++) {
            snprintf(sql, sizeof sql, "INSERT INTO %s(q,endpoint,%s) VALUES(%lld,1,%s)", tables[i],
                     i < 2    ? "model,client,rate"
                     : i == 2 ? "model"
                              : "class",
                     (long long)((NOW - days * DAY) / unit), i < 2 ? "1,1,0" : "1");
            exec(sql);
        }
    }
    for (int days = 0; days < 500; days++) {
        snprintf(sql, sizeof sql, "INSERT INTO event(k,text) VALUES(%lld,'x')",
                 (long long)((NOW - days * DAY) * 4096));
        exec(sql);
    }
    for (int hour = 0; hour < 24; hour++) {
        run_after(HOUR);
        run_all();
    }
    /* a day of each in an hour: the oldest 24 days */
    assert_int_equal(number("SELECT count(*) FROM usage_15"), 500 - 24);
    assert_int_equal(number("SELECT count(*) FROM event"), 500 - 24);
    for (int hour = 24; hour < 500; hour++) {
        run_after(HOUR);
        run_all();
    }
    int64_t days = (now.wall_ms - NOW) / DAY;
    assert_int_equal(number("SELECT count(*) FROM usage_15"), 35 - days);
    for (size_t i = 1; i < COUNT_OF(tables); i++) {
        snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", tables[i]);
        assert_in_range(number(sql), 400 - days - 1, 400 - days);
    }
    assert_in_range(number("SELECT count(*) FROM event"), 400 - days - 1, 400 - days);
}

static void too_large(void **state)
{
    (void)state;
    u.conf.max_size = 16 * MIB;
    add_requests(5 * 2500, NOW - 4 * DAY, DAY / 2500, 1000); /* 5 days of 3.4 MiB */
    assert_true(number("PRAGMA page_count") * 4096 > 16 * (int64_t)MIB);
    run_after(0);
    assert_true(batch.rows_off);
    int64_t rows = batch.rows;
    assert_int_equal(run_after(601000), 2000);
    run_all();
    assert_in_range(rows - batch.rows, 2490, 2510); /* a day */
    assert_false(batch.rows_off);
    /* within a day all goes off, and nothing goes */
    exec("DELETE FROM request");
    add_requests(20000, now.wall_ms - 1000000, 10, 1000);
    assert_int_equal(run_after(2 * HOUR), 0);
    assert_true(batch.rows_off);
    assert_int_equal(run_all(), 0);
    /* a day later they are old enough */
    run_after(DAY);
    run_all();
    run_after(HOUR);
    assert_false(batch.rows_off);
}

static void free_pages(void **state)
{
    (void)state;
    add_requests(5000, NOW - 31 * DAY, 1000, 1000);
    run_after(0);
    int64_t pages = number("PRAGMA page_count");
    run_after(HOUR);
    run_all();
    assert_int_equal(batch.rows, 0);
    for (int i = 0; i < 4; i++)
        run_after(600000);
    assert_true(number("PRAGMA page_count") < pages / 4);
}

static void the_clock_is_set(void **state)
{
    (void)state;
    struct err note = {""};
    add_requests(100, NOW - 25 * DAY, 1000, 0);
    run_after(HOUR);
    assert_false(upkeep_clock(&u, now, &note));
    now.wall_ms += 20 * DAY + HOUR;
    assert_true(upkeep_clock(&u, now, &note));
    assert_string_equal(note.msg, "the clock was set 20 d 1 h ahead");
    assert_int_equal(run_after(0), 0);
    assert_int_equal(run_after(23 * HOUR), 0);
    /* back again before the day is over: nothing is lost */
    now.wall_ms -= 20 * DAY;
    assert_true(upkeep_clock(&u, now, &note));
    assert_int_equal(run_after(DAY) + run_all(), 0);
    assert_int_equal(number("SELECT count(*) FROM request"), 100);
    /* the supervisor makes the event, which comes as all others do */
    assert_int_equal(number("SELECT count(*) FROM event"), 0);
}

/* What fails is not tried again at once. */
static void a_lock(void **state)
{
    (void)state;
    struct err note = {""};
    sqlite3 *other;
    add_requests(100, NOW - 31 * DAY, 1000, 0);
    run_after(0);
    sqlite3_busy_timeout(db, 1);
    assert_int_equal(sqlite3_open("history.db", &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    now.wall_ms += HOUR;
    now.boot_ms += HOUR;
    assert_int_equal(upkeep_run(&u, &batch, now, &note) & 0xff, SQLITE_BUSY);
    assert_int_equal(upkeep_run(&u, &batch, now, &note), SQLITE_OK);
    assert_true(upkeep_due_ms(&u) > now.boot_ms);
    assert_int_equal(batch.rows, 100);
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    assert_int_equal(run_all(), 100);
}

/* A transaction that a reader keeps open: the log cannot be emptied, and grows. */
static void a_reader_without_end(void **state)
{
    (void)state;
    struct err note = {""};
    sqlite3 *other;
    add_requests(10, NOW, 1000, 0);
    assert_int_equal(sqlite3_open("history.db", &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN; SELECT count(*) FROM request", NULL, NULL, NULL),
                     SQLITE_OK);
    for (int i = 1; schema_wal_size() <= WAL_LARGE; i++)
        add_requests(100, NOW + i * HOUR, 1000, 100000);
    assert_int_equal(upkeep_run(&u, &batch, now, &note), SQLITE_OK);
    assert_string_equal(note.msg, "");
    now.boot_ms += WAL_HELD_MS;
    now.wall_ms += WAL_HELD_MS;
    assert_int_equal(upkeep_run(&u, &batch, now, &note), SQLITE_OK);
    assert_non_null(strstr(note.msg, "history.db-wal has been over 64 MiB for 10 minutes"));
    /* once is enough */
    note.msg[0] = '\0';
    now.boot_ms += 60000;
    assert_int_equal(upkeep_run(&u, &batch, now, &note), SQLITE_OK);
    assert_string_equal(note.msg, "");
    /* as soon as it ends, the next writes begin the log anew */
    sqlite3_exec(other, "COMMIT", NULL, NULL, NULL);
    sqlite3_close(other);
    exec("PRAGMA wal_checkpoint");
    add_requests(10, NOW + 1000 * HOUR, 1000, 0);
    assert_true(schema_wal_size() <= 16 * MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(old_requests, begin, end),
        cmocka_unit_test_setup_teardown(a_chunk_at_a_time, begin, end),
        cmocka_unit_test_setup_teardown(old_sums_and_events, begin, end),
        cmocka_unit_test_setup_teardown(too_large, begin, end),
        cmocka_unit_test_setup_teardown(free_pages, begin, end),
        cmocka_unit_test_setup_teardown(the_clock_is_set, begin, end),
        cmocka_unit_test_setup_teardown(a_lock, begin, end),
        cmocka_unit_test_setup_teardown(a_reader_without_end, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
