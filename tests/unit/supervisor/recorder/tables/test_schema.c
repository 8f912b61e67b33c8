/* schema, migrate: files of every schema that there was are read; a step from one to the next is
 * done whole or not at all. */
#include "supervisor/recorder/tables/schema.h"

#include "common/base/fd.h"
#include "common/ipc/ipc.h"
#include "supervisor/recorder/ask/ask.h"
#include "supervisor/recorder/tables/migrate.h"
#include "supervisor/recorder/tables/store_batch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char root[512]; /* where the tests were started */

static int begin(void **state)
{
    (void)state;
    char dir[] = "/tmp/qcc-schema-XXXXXX";
    return !getcwd(root, sizeof root) || !mkdtemp(dir) || chdir(dir) == -1;
}

static int end(void **state)
{
    (void)state;
    char dir[64];
    unlink("history.db");
    unlink("history.db-wal");
    unlink("history.db-shm");
    return !getcwd(dir, sizeof dir) || chdir(root) == -1 || rmdir(dir) == -1;
}

static int64_t number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t v = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return v;
}

static void put_file(const char *name)
{
    char path[640], bytes[65536];
    snprintf(path, sizeof path, "%s/tests/unit/data/history/%s", root, name);
    int from = open(path, O_RDONLY | O_CLOEXEC);
    int to = open("history.db", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ssize_t n = read(from, bytes, sizeof bytes);
    assert_in_range(n, 4096, sizeof bytes - 1);
    assert_int_equal(write(to, bytes, (size_t)n), n);
    fd_close(&from);
    fd_close(&to);
}

/* schema-1.db: what a QCC of schema 1 stored of three streams and a whole reply, each after a first
 * attempt that failed, of an operator's action and of a price factor. */
static void schema_1(void **state)
{
    (void)state;
    static const char *const tables[] = {"name",     "request",  "usage_15", "usage_60",
                                         "speed_60", "tries_60", "event",    "factor"};
    struct store_batch b = {.rows_kept = HISTORY_ROWS_ALL, .clients = true};
    struct err note = {""}, e;
    struct doc d;
    sqlite3 *db;
    char sql[64];
    put_file("schema-1.db");
    assert_int_equal(schema_open(&db, &note, &e), SCHEMA_OPEN);
    assert_string_equal(note.msg, "");
    for (size_t i = 0; i < COUNT_OF(tables); i++) {
        snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", tables[i]);
        assert_in_range(number(db, sql), 1, 100);
    }
    assert_int_equal(store_batch_open(&b, db), SQLITE_OK);
    assert_int_equal(b.rows, 4);
    assert_true(b.oldest > 0 && b.newest >= b.oldest);
    assert_int_equal(number(db, "SELECT sum(requests) FROM usage_60"), 4);
    assert_int_equal(number(db, "SELECT sum(input) FROM request"),
                     number(db, "SELECT sum(input) FROM usage_15"));
    doc_init(&d, IPC_ANSWER_MAX);
    struct ask a = {.db = db, .arg = STR("endpoint=relay&limit=1000"), .now_ms = 1, .d = &d};
    assert_int_equal(ask_answer(&a, STR("events")), 200);
    assert_true(str_find(buf_view(&d.b), STR("drain no -> draining")) > 0);
    doc_free(&d);
    store_batch_close(&b);
    sqlite3_close(db);
}

/* ---- steps */

static int failing_once;

static int step_1(sqlite3 *db)
{
    return sqlite3_exec(db, "ALTER TABLE t ADD COLUMN one INT", NULL, NULL, NULL);
}

static int step_2(sqlite3 *db)
{
    int rc = sqlite3_exec(db, "CREATE TABLE two(x)", NULL, NULL, NULL);
    if (rc == SQLITE_OK && failing_once-- > 0)
        return SQLITE_FULL;
    return rc;
}

static migrate_step *const steps[] = {NULL, step_1, step_2};

static sqlite3 *old_file(void)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open("history.db", &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "PRAGMA journal_mode=WAL; PRAGMA user_version=1;"
                                  "CREATE TABLE t(x); INSERT INTO t VALUES(7)",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    return db;
}

static void a_version_at_a_time(void **state)
{
    (void)state;
    sqlite3 *db = old_file();
    failing_once = 1;
    assert_int_equal(migrate_run(db, steps, 3), SQLITE_FULL);
    assert_int_equal(number(db, "PRAGMA user_version"), 2);
    assert_int_equal(number(db, "SELECT count(*) FROM sqlite_schema WHERE name='two'"), 0);
    assert_int_equal(number(db, "SELECT count(*) FROM t WHERE x=7 AND one IS NULL"), 1);
    assert_int_equal(migrate_run(db, steps, 3), SQLITE_OK);
    assert_int_equal(number(db, "PRAGMA user_version"), 3);
    assert_int_equal(number(db, "SELECT count(*) FROM sqlite_schema WHERE name='two'"), 1);
    assert_int_equal(migrate_run(db, steps, 3), SQLITE_OK); /* nothing to do */
    sqlite3_close(db);
}

/* Another process has done it meanwhile, or does it now. */
static void two_at_a_time(void **state)
{
    (void)state;
    sqlite3 *other, *db = old_file();
    failing_once = 0;
    assert_int_equal(sqlite3_open("history.db", &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(migrate_run(db, steps, 3) & 0xff, SQLITE_BUSY);
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(migrate_run(other, steps, 3), SQLITE_OK);
    assert_int_equal(migrate_run(db, steps, 3), SQLITE_OK);
    assert_int_equal(number(db, "PRAGMA user_version"), 3);
    sqlite3_close(other);
    sqlite3_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(schema_1, begin, end),
        cmocka_unit_test_setup_teardown(a_version_at_a_time, begin, end),
        cmocka_unit_test_setup_teardown(two_at_a_time, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
