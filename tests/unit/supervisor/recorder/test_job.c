/* job: a check, a prune and a backup in steps, one at a time: what each leaves in the file, what it
 * says, and what becomes of it when nobody asks or the file is closed. */
#include "supervisor/recorder/job.h"
#include "supervisor/recorder/schema.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NOON INT64_C(1790000000000) /* ms; in 2026 */

static sqlite3 *db;
static struct store_batch batch;
static struct job job;
static struct doc answer;

static void sql(const char *text)
{
    char *e = NULL;
    if (sqlite3_exec(db, text, NULL, NULL, &e) != SQLITE_OK)
        fail_msg("%s: %s", text, e);
}

static int begin(void **state)
{
    (void)state;
    char dir[] = "/tmp/qcc-job-XXXXXX";
    struct err note, e;
    batch = (struct store_batch){.rows_kept = HISTORY_ROWS_ALL, .clients = true};
    job = (struct job){.batch = &batch};
    if (!mkdtemp(dir) || chdir(dir) == -1 || schema_open(&db, &note, &e) != SCHEMA_OPEN)
        return -1;
    sql("INSERT INTO name VALUES(1,2,'alice'),(2,2,'bob'),(3,0,'e'),(4,1,'m'),(5,4,'ok')");
    /* 9,000 requests, one a minute, of two clients in turn; the oldest is of NOON. */
    sql("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i<8999)"
        " INSERT INTO request SELECT (1790000000000+i*60000)<<12, randomblob(10), 3, 4, 4, 4, "
        "1+i%2,"
        " NULL, 5, 200, 1, 0, 0, 5, 10, 1, 1, 1, 1, 1, 1, 1, 0, NULL FROM n");
    sql("INSERT INTO usage_15(q,endpoint,model,client,rate,requests) SELECT "
        "(k>>12)/900000,3,4,client,0,count(*)"
        " FROM request GROUP BY 1,4");
    sql("INSERT INTO usage_60(q,endpoint,model,client,rate,requests) SELECT "
        "(k>>12)/3600000,3,4,client,0,count(*)"
        " FROM request GROUP BY 1,4");
    sql("INSERT INTO speed_60 SELECT DISTINCT q,3,4,x'00' FROM usage_60");
    sql("INSERT INTO tries_60 SELECT DISTINCT q,3,'ok',1,0 FROM usage_60");
    sql("INSERT INTO event VALUES(1790000000000<<12,3,'breaker','opened')");
    return store_batch_open(&batch, db) != SQLITE_OK;
}

static int end(void **state)
{
    (void)state;
    char dir[64];
    job_free(&job);
    doc_free(&answer);
    store_batch_close(&batch);
    sqlite3_close(db);
    unlink("history.db");
    unlink("history.db-wal");
    unlink("history.db-shm");
    job_backup_clean();
    return !getcwd(dir, sizeof dir) || chdir("/") == -1 || rmdir(dir) == -1;
}

static int64_t number(const char *text)
{
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t v = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return v;
}

static void begin_job(const struct job_kind *kind)
{
    doc_free(&answer);
    doc_init(&answer, 1 << 20);
    assert_false(job_busy(&job, &answer));
    assert_int_equal(job_begin(&job, kind, 0, NOON, &answer), 200);
}

/* Does all steps; returns how many. */
static unsigned run(void)
{
    unsigned n = 0;
    while (job.state == JOB_RUNNING && n < 10000) {
        job_turn(&job, 0);
        n++;
    }
    return n;
}

static void prune(int64_t before_s, int64_t client)
{
    assert_int_equal(job_prune_open(&job, before_s, client), SQLITE_OK);
    begin_job(&job_prune_kind);
    assert_true(run() > 6);
    assert_int_equal(job.state, JOB_DONE);
}

static void prune_by_time(void **state)
{
    (void)state;
    /* rounded down to the hour, so that rows and sums are of one time */
    int64_t hour = (NOON + 90 * 60000) / 3600000, gone = (hour * 3600000 - NOON + 59999) / 60000;
    prune(NOON / 1000 + 90 * 60 + 30, 0);
    assert_int_equal(job.prune.before_s, hour * 3600);
    assert_int_equal(job.prune.requests, gone);
    assert_int_equal(job.prune.events, 1);
    assert_int_equal(number("SELECT count(*) FROM request"), 9000 - gone);
    assert_int_equal(batch.rows, 9000 - gone);
    assert_int_equal(batch.oldest, NOON + gone * 60000);
    assert_int_equal(number("SELECT min(q) FROM usage_15"), hour * 4);
    assert_int_equal(number("SELECT min(q) FROM usage_60"), hour);
    assert_int_equal(number("SELECT sum(requests) FROM usage_15"), 9000 - gone);
    assert_int_equal(number("SELECT sum(requests) FROM usage_60"), 9000 - gone);
    assert_int_equal(number("SELECT min(q) FROM speed_60"), number("SELECT min(q) FROM usage_60"));
    assert_int_equal(number("SELECT count(*) FROM event"), 0);
    assert_int_equal(number("SELECT count(*) FROM name"), 5);
}

static void prune_of_all(void **state)
{
    (void)state;
    prune(INT64_MAX, 0);
    assert_int_equal(job.prune.requests, 9000);
    assert_int_equal(job.done, job.total);
    assert_int_equal(batch.rows, 0);
    assert_int_equal(batch.oldest, 0);
    assert_int_equal(
        number("SELECT count(*) FROM usage_15") + number("SELECT count(*) FROM tries_60"), 0);
    assert_int_equal(number("PRAGMA freelist_count"), 0);
}

static void prune_of_a_client(void **state)
{
    (void)state;
    assert_int_equal(names_id(&batch.names, NAME_CLIENT, STR("alice")), 1);
    prune(INT64_MAX, 1);
    assert_int_equal(job.prune.requests, 4500);
    assert_int_equal(job.prune.events, 0);
    assert_int_equal(number("SELECT count(*) FROM request WHERE client=2"), 4500);
    assert_int_equal(number("SELECT count(*) FROM usage_60 WHERE client=1"), 0);
    assert_int_not_equal(number("SELECT count(*) FROM usage_60 WHERE client=2"), 0);
    assert_int_not_equal(number("SELECT count(*) FROM speed_60"), 0);
    assert_int_equal(number("SELECT count(*) FROM name WHERE text='alice'"), 0);
    assert_int_equal(number("SELECT count(*) FROM name"), 4);
    /* the number is not used for it any more */
    assert_int_equal(names_id(&batch.names, NAME_CLIENT, STR("bob")), 2);
    assert_true(names_id(&batch.names, NAME_CLIENT, STR("alice")) > 5);
}

static void prune_of_a_part_of_a_client(void **state)
{
    (void)state;
    prune(NOON / 1000 + 100 * 60, 1);
    assert_true(job.prune.name_kept && job.prune.requests > 0);
    static const char *const tables[] = {"usage_15", "usage_60"};
    char text[120];
    for (size_t i = 0; i < COUNT_OF(tables); i++) {
        snprintf(text, sizeof text, "SELECT sum(requests) FROM %s WHERE client=1", tables[i]);
        assert_int_equal(number(text), 4500 - job.prune.requests);
    }
    assert_int_equal(number("SELECT sum(requests) FROM usage_60 WHERE client=2"), 4500);
    assert_int_equal(number("SELECT count(*) FROM name WHERE text='alice'"), 1);
}

static void a_check(void **state)
{
    (void)state;
    for (uint64_t full = 0; full < 2; full++) {
        assert_int_equal(job_check_open(&job, full << 30), SQLITE_OK);
        begin_job(&job_check_kind);
        assert_true(run() >= 10);
        assert_int_equal(job.state, JOB_DONE);
        assert_int_equal(job.check.nfaults, 0);
        assert_int_equal(job.check.full, full);
        assert_int_equal(job.done, 9000);
    }
}

static void a_check_of_damage(void **state)
{
    (void)state;
    assert_int_equal(sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL),
                     0);
    int fd = open("history.db", O_WRONLY);
    char rubbish[4096];
    memset(rubbish, 0xaa, sizeof rubbish);
    for (int page = 60; page < 64; page++)
        assert_int_equal(pwrite(fd, rubbish, sizeof rubbish, page * 4096), sizeof rubbish);
    close(fd);
    assert_int_equal(job_check_open(&job, 0), SQLITE_OK); /* found by reading the rows alone */
    begin_job(&job_check_kind);
    run();
    assert_int_equal(job.state, JOB_DONE);
    assert_in_range(job.check.nfaults, 1, 20);
}

/* More pages than one step copies. */
static void grow(void)
{
    sql("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i<500)"
        " INSERT INTO event SELECT i, 3, 'filler', printf('%.*c', 4000, 'x') FROM n");
}

static void a_backup(void **state)
{
    (void)state;
    grow();
    struct err e;
    struct stat st;
    sqlite3 *copy;
    assert_true(job_backup_open(&job, 0, &e));
    begin_job(&job_backup_kind);
    assert_true(job_busy(&job, &answer));
    job_turn(&job, 0);
    sql("UPDATE request SET status=500 WHERE k=(SELECT min(k) FROM request)");
    run();
    assert_int_equal(job.state, JOB_DONE);
    assert_int_equal(stat("history.db.backup", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, job.backup.bytes);
    assert_int_equal(access("history.db.backup-part", F_OK), -1);
    sqlite3 *was = db;
    assert_int_equal(sqlite3_open_v2("history.db.backup", &copy, SQLITE_OPEN_READONLY, NULL), 0);
    db = copy;
    assert_int_equal(number("SELECT count(*) FROM request"), 9000);
    assert_int_equal(number("SELECT count(*) FROM request WHERE status=500"), 1);
    db = was;
    sqlite3_close(copy);
    /* nobody takes it */
    job_turn(&job, 9999);
    assert_int_equal(stat("history.db.backup", &st), 0);
    assert_int_equal(job_due(&job), 10000);
    job_turn(&job, 10000);
    assert_int_equal(stat("history.db.backup", &st), -1);
    assert_int_equal(job_due(&job), INT64_MAX);
}

static void a_backup_without_room(void **state)
{
    (void)state;
    struct err e;
    assert_false(job_backup_open(&job, UINT64_C(1) << 60, &e));
    assert_non_null(strstr(e.msg, "no room"));
}

static void a_backup_that_is_left(void **state)
{
    (void)state;
    grow();
    struct err e;
    assert_true(job_backup_open(&job, 0, &e));
    begin_job(&job_backup_kind);
    job_turn(&job, 0);
    assert_int_equal(access("history.db.backup-part", F_OK), 0);
    assert_true(job_turn(&job, 10000));
    assert_int_equal(job.state, JOB_FAILED);
    assert_int_equal(access("history.db.backup-part", F_OK), -1);
    doc_free(&answer);
    doc_init(&answer, 1024);
    assert_int_equal(job_show(&job, job.id, 0, &answer), 500);
    doc_free(&answer);
    doc_init(&answer, 1024);
    assert_int_equal(job_show(&job, job.id + 1, 0, &answer), 404);
}

/* A prune that was begun is done, also when nobody asks; a file that is closed ends it. */
static void a_prune_that_is_left(void **state)
{
    (void)state;
    assert_int_equal(job_prune_open(&job, INT64_MAX, 0), SQLITE_OK);
    begin_job(&job_prune_kind);
    job_turn(&job, 0);
    job_turn(&job, 60000);
    assert_int_equal(job.state, JOB_RUNNING);
    assert_int_equal(number("SELECT count(*) FROM request"), 5000);
    job_abort(&job, "the file was closed");
    assert_int_equal(job.state, JOB_FAILED);
    assert_int_equal(job_due(&job), INT64_MAX);
}

static void a_lock(void **state)
{
    (void)state;
    sqlite3 *other;
    assert_int_equal(job_prune_open(&job, NOON / 1000 + 7200, 0), SQLITE_OK);
    begin_job(&job_prune_kind);
    assert_int_equal(sqlite3_open("history.db", &other), 0);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), 0);
    sqlite3_busy_timeout(db, 0);
    assert_false(job_turn(&job, 0));
    assert_int_equal(job_due(&job), 200);
    assert_int_equal(number("SELECT count(*) FROM request"), 9000);
    sqlite3_close(other);
    job_turn(&job, 200);
    assert_int_equal(number("SELECT count(*) FROM request"), 9000 - 107);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(prune_by_time),
        TEST(prune_of_all),
        TEST(prune_of_a_client),
        TEST(prune_of_a_part_of_a_client),
        TEST(a_check),
        TEST(a_check_of_damage),
        TEST(a_backup),
        TEST(a_backup_without_room),
        TEST(a_backup_that_is_left),
        TEST(a_prune_that_is_left),
        TEST(a_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
