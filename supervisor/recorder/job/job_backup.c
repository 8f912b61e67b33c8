#include "supervisor/recorder/job/job.h"

#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* PAGES: copied in one step, some milliseconds. */
enum { PAGES = 200, PAGE = 4096 };

/* The copy under way, and when it is complete: the supervisor gives that one out and removes it. */
#define PART "history.db.backup-part"
#define WHOLE "history.db.backup"

void job_backup_clean(void)
{
    static const char *const names[] = {WHOLE, PART, PART "-journal", PART "-wal"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        unlink(names[i]);
}

/* Whether the disk has room for the copy beside what is to stay free. */
static bool has_room(sqlite3 *db, uint64_t min_free, struct err *why)
{
    struct statvfs st;
    int64_t pages = 0;
    sqlite3_stmt *q;
    if (sqlite3_prepare_v2(db, "PRAGMA page_count", -1, &q, NULL) == SQLITE_OK &&
        sqlite3_step(q) == SQLITE_ROW)
        pages = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    if (statvfs(".", &st) == -1 ||
        (uint64_t)st.f_bavail * st.f_frsize >= min_free + (uint64_t)pages * PAGE)
        return true;
    return err_set(why,
                   "the disk of state_dir has no room for a copy of %llu MiB beside "
                   "history.min_free",
                   (unsigned long long)(((uint64_t)pages * PAGE >> 20) + 1));
}

bool job_backup_open(struct job *j, uint64_t min_free, struct err *why)
{
    struct job_backup *b = &j->backup;
    *b = (struct job_backup){.to = NULL};
    j->total = 0;
    job_backup_clean();
    if (!has_room(j->batch->db, min_free, why))
        return false;
    int rc = sqlite3_open_v2(
        PART, &b->to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    /* A copy that is not complete is removed: it needs no journal, and whoever takes it syncs. */
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(b->to,
                          "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=OFF;"
                          " PRAGMA synchronous=OFF; PRAGMA cache_size=-512",
                          NULL, NULL, NULL);
    if (rc == SQLITE_OK) {
        b->copy = sqlite3_backup_init(b->to, "main", j->batch->db, "main");
        rc = b->copy ? SQLITE_OK : sqlite3_errcode(b->to);
    }
    if (rc == SQLITE_OK)
        return true;
    err_set(why, "the copy cannot be begun: %s", sqlite3_errstr(rc));
    sqlite3_close(b->to);
    job_backup_clean();
    return false;
}

/* Makes the copy a file that stands alone, without a log beside it. */
static int complete(struct job_backup *b)
{
    int rc = sqlite3_backup_finish(b->copy);
    b->copy = NULL;
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(b->to, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
    return rc;
}

static enum job_turn step(struct job *j)
{
    struct job_backup *b = &j->backup;
    int rc = sqlite3_backup_step(b->copy, PAGES);
    j->total = sqlite3_backup_pagecount(b->copy);
    j->done = j->total - sqlite3_backup_remaining(b->copy);
    if (rc == SQLITE_OK)
        return JOB_MORE;
    if (rc != SQLITE_DONE)
        return job_failed(j, rc);
    b->bytes = j->total * PAGE;
    rc = complete(b);
    int closed = sqlite3_close(b->to);
    b->to = NULL;
    if (rc == SQLITE_OK)
        rc = closed;
    if (rc != SQLITE_OK)
        err_set(&j->why, "%s", sqlite3_errstr(rc));
    else if (rename(PART, WHOLE) == -1)
        err_sys(&j->why, "rename");
    else
        return JOB_ENDED;
    return JOB_BROKEN;
}

static void close_it(struct job *j)
{
    struct job_backup *b = &j->backup;
    sqlite3_backup_finish(b->copy);
    sqlite3_close(b->to);
    *b = (struct job_backup){.bytes = b->bytes};
    unlink(PART);
    unlink(PART "-journal");
    unlink(PART "-wal");
}

static void put(const struct job *j, struct doc *d)
{
    doc_kv_int(d, "bytes", j->backup.bytes);
}

const struct job_kind job_backup_kind = {.name = "backup",
                                         .step = step,
                                         .close = close_it,
                                         .forget = job_backup_clean,
                                         .members = 1,
                                         .put = put};
