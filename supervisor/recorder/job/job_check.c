#include "supervisor/recorder/job/job.h"

#include <string.h>
#include <sys/stat.h>

/* FAULTS: named at most. ROWS: read in one step, some milliseconds. */
enum { FAULTS = 20, ROWS = 5000 };

/* All pages of rows are read in the order of their keys; the second SELECT reads an index. */
static const struct {
    const char *name, *sql;
} tables[] = {
    {"request", "SELECT * FROM request ORDER BY k"},
    {"name", "SELECT * FROM name ORDER BY id"},
    {"the index of name", "SELECT kind, text FROM name ORDER BY kind, text"},
    {"usage_15", "SELECT * FROM usage_15"},
    {"usage_60", "SELECT * FROM usage_60"},
    {"speed_60", "SELECT * FROM speed_60"},
    {"tries_60", "SELECT * FROM tries_60"},
    {"event", "SELECT * FROM event"},
    {"factor", "SELECT * FROM factor"},
};

static void add_fault(struct job_check *c, const char *where, const char *what)
{
    struct err e;
    if (c->nfaults >= FAULTS)
        return;
    err_set(&e, "%s%s%s", where, *where ? ": " : "", what);
    doc_text(&c->faults, e.msg);
    c->nfaults++;
}

int job_check_open(struct job *j, uint64_t full_max)
{
    struct job_check *c = &j->check;
    doc_free(&c->faults);
    *c = (struct job_check){.full_max = full_max, .last_k = INT64_MIN};
    doc_init(&c->faults, 64 << 10);
    j->total = j->batch->rows;
    /* A connection of its own sees the file as it is now, whatever is stored meanwhile. */
    int rc =
        sqlite3_open_v2("history.db", &c->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(c->db, "PRAGMA cache_size=-1024; BEGIN", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        return rc;
    sqlite3_close(c->db);
    c->db = NULL;
    return rc;
}

/* Reads all columns of the row: a page is read only where a value of it is wanted. */
static void read_row(struct job_check *c)
{
    for (int i = 0; i < sqlite3_column_count(c->st); i++)
        (void)sqlite3_column_blob(c->st, i);
    if (c->table != 0)
        return;
    int64_t k = sqlite3_column_int64(c->st, 0);
    if (k <= c->last_k)
        add_fault(c, tables[0].name, "its keys are not in order");
    c->last_k = k;
}

/* Finds out what only the whole file shows: pages used twice or by none. In one piece, so only
 * where that takes less than a second. */
static int check_whole(struct job_check *c)
{
    struct stat st;
    sqlite3_stmt *q;
    if (stat("history.db", &st) == -1 || (uint64_t)st.st_size > c->full_max)
        return SQLITE_DONE;
    int rc = sqlite3_prepare_v2(c->db, "PRAGMA quick_check(20)", -1, &q, NULL);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(q);
        const char *line = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(q, 0) : NULL;
        if (line && strcmp(line, "ok") != 0)
            add_fault(c, "", line);
    }
    sqlite3_finalize(q);
    c->full = true;
    return rc;
}

/* A table that cannot be read is a fault of the file, and the next one is read. */
static enum job_turn table_ended(struct job *j, int rc)
{
    struct job_check *c = &j->check;
    bool locked = (rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED;
    sqlite3_finalize(c->st);
    c->st = NULL;
    if (locked)
        return JOB_LATER;
    if (rc != SQLITE_DONE)
        add_fault(c, tables[c->table].name, sqlite3_errstr(rc));
    c->table++;
    c->last_k = INT64_MIN;
    return JOB_MORE;
}

static enum job_turn step(struct job *j)
{
    struct job_check *c = &j->check;
    int rc = SQLITE_ROW;
    if (c->table == COUNT_OF(tables)) {
        rc = check_whole(c);
        if (rc != SQLITE_DONE)
            add_fault(c, "", sqlite3_errstr(rc));
        return JOB_ENDED;
    }
    if (!c->st) {
        rc = sqlite3_prepare_v2(c->db, tables[c->table].sql, -1, &c->st, NULL);
        if (rc != SQLITE_OK)
            return table_ended(j, rc);
    }
    for (int i = 0; i < ROWS && (rc = sqlite3_step(c->st)) == SQLITE_ROW; i++) {
        read_row(c);
        j->done += c->table == 0;
    }
    return rc == SQLITE_ROW ? JOB_MORE : table_ended(j, rc);
}

static void close_it(struct job *j)
{
    sqlite3_finalize(j->check.st);
    sqlite3_close(j->check.db);
    j->check.st = NULL;
    j->check.db = NULL;
}

static void put(const struct job *j, struct doc *d)
{
    const struct job_check *c = &j->check;
    doc_kv_flag(d, "whole", c->nfaults == 0);
    doc_kv_flag(d, "rows_only", !c->full);
    doc_text(d, "faults");
    doc_array(d, c->nfaults);
    d->torn |= c->faults.torn || !buf_str(&d->b, buf_view(&c->faults.b));
}

const struct job_kind job_check_kind = {
    .name = "check", .step = step, .close = close_it, .members = 3, .put = put};
