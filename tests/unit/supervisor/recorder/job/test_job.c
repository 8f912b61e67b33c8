/* job: a check, a prune and a backup in steps, one at a time: what each leaves in the file, what it
 * says, and what becomes of it when nobody asks or the file is closed. */
#include "supervisor/recorder/job/job.h"
#include "supervisor/recorder/tables/schema.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* Does all steps, the wait of a prune too; returns how many. */
static unsigned run(void)
{
    unsigned n = 0;
    int64_t now = 0;
    while (job.state == JOB_RUNNING && n < 10000) {
        job_turn(&job, now);
        now = job.at_ms > now ? job.at_ms : now;
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

/* What the workers had reported when it began is stored late, once the recorder can. */
static bool late_rows(void *arg)
{
    int *calls = arg;
    if (++*calls < 3)
        return false;
    sql("INSERT INTO request(k, client, model) VALUES(1790000000001<<12, 1, 4)");
    sql("INSERT INTO usage_60(q,endpoint,model,client,rate,requests) VALUES(1,3,4,1,0,1)");
    return true;
}

static void a_prune_of_what_is_late(void **state)
{
    (void)state;
    int calls = 0;
    job.flush = late_rows;
    job.flush_arg = &calls;
    prune(INT64_MAX, 1);
    assert_int_equal(calls, 3);
    assert_int_equal(job.prune.requests, 4501);
    assert_int_equal(number("SELECT count(*) FROM request WHERE client=1"), 0);
    assert_int_equal(number("SELECT count(*) FROM usage_60 WHERE client=1"), 0);
    assert_int_equal(number("SELECT count(*) FROM name WHERE id=1"), 0);
    assert_false(job.prune.name_kept);
    /* one of a time that has long passed waits for nothing */
    calls = 0;
    prune(NOON / 1000 - 20, 2);
    assert_int_equal(calls, 0);
    assert_true(job.prune.name_kept);
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static void a_prune_that_cannot_settle(void **state)
{
    (void)state;
    job.flush = never;
    assert_int_equal(job_prune_open(&job, INT64_MAX, 0), SQLITE_OK);
    begin_job(&job_prune_kind);
    run();
    assert_int_equal(job.state, JOB_FAILED);
    assert_non_null(strstr(job.why.msg, "wait to be stored"));
}

/* Names of models and clients go with what referred to them; what is stored meanwhile keeps its
 * own. */
static bool new_name(void *arg)
{
    (void)arg;
    sql("INSERT INTO name VALUES(20,1,'of a rolled back batch')");
    return true;
}

static void names_that_nothing_refers_to(void **state)
{
    (void)state;
    sql("INSERT INTO name VALUES(10,1,'made up'),(11,2,'long "
        "gone'),(12,3,'/v1/messages'),(13,0,'f'),"
        "(14,1,'of a sum')");
    sql("INSERT INTO usage_15(q,endpoint,model,client,rate,requests) VALUES(9999999,3,14,0,0,1)");
    job.flush = new_name;
    assert_int_equal(job_prune_open(&job, NOON / 1000 + 3600, 0), SQLITE_OK);
    begin_job(&job_prune_kind);
    while (job.prune.table < 11 && job.state == JOB_RUNNING) /* its names were scanned for */
        job_turn(&job, job.at_ms);
    int64_t fresh = names_id(&batch.names, NAME_MODEL, str_c("fresh"));
    run();
    assert_int_equal(job.state, JOB_DONE);
    assert_int_equal(number("SELECT count(*) FROM name WHERE id IN (10, 11, 20)"), 0);
    assert_int_equal(number("SELECT count(*) FROM name WHERE id IN (1,2,3,4,5,12,13,14)"), 8);
    char text[80];
    snprintf(text, sizeof text, "SELECT count(*) FROM name WHERE id=%lld", (long long)fresh);
    assert_int_equal(number(text), 1);
}

static void results_are_kept(void **state)
{
    (void)state;
    struct doc first, again;
    prune(NOON / 1000 - 20, 0);
    int64_t id = job.id;
    doc_init(&first, 1 << 16);
    assert_int_equal(job_show(&job, id, 0, &first), 200);
    for (int i = 0; i < 8; i++) {
        doc_init(&again, 1 << 16);
        assert_int_equal(job_show(&job, id, 0, &again), 200);
        assert_true(str_eq(buf_view(&first.b), buf_view(&again.b)));
        doc_free(&again);
        assert_int_equal(job_check_open(&job, 1 << 30), SQLITE_OK);
        begin_job(&job_check_kind);
        assert_true(job.id > id);
        run();
        assert_int_equal(job.state, JOB_DONE);
    }
    doc_init(&again, 1 << 16);
    assert_int_equal(job_show(&job, id, 0, &again), 404);
    doc_free(&again);
    doc_free(&first);
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

/* The end of the wait for one that was taken does not touch the next. */
static void a_backup_after_another(void **state)
{
    (void)state;
    struct err e;
    struct stat st;
    assert_true(job_backup_open(&job, 0, &e));
    begin_job(&job_backup_kind);
    run();
    assert_int_equal(rename("history.db.backup", "taken.db"), 0);
    grow();
    assert_true(job_backup_open(&job, 0, &e));
    assert_int_equal(job_begin(&job, &job_backup_kind, 5000, NOON, &answer), 200);
    job_turn(&job, 5000);
    assert_int_equal(job.state, JOB_RUNNING);
    job_turn(&job, 10000);
    while (job.state == JOB_RUNNING)
        job_turn(&job, 10001);
    assert_int_equal(job.state, JOB_DONE);
    assert_int_equal(stat("history.db.backup", &st), 0);
    assert_int_equal(unlink("taken.db"), 0);
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
        TEST(a_prune_of_what_is_late),
        TEST(a_prune_that_cannot_settle),
        TEST(names_that_nothing_refers_to),
        TEST(results_are_kept),
        TEST(a_check),
        TEST(a_check_of_damage),
        TEST(a_backup),
        TEST(a_backup_after_another),
        TEST(a_backup_without_room),
        TEST(a_backup_that_is_left),
        TEST(a_prune_that_is_left),
        TEST(a_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
