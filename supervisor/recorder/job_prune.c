#include "supervisor/recorder/job.h"

#include <stdio.h>

/* Rows that one step looks at: all of them are deleted, or those of one client, which are few. */
enum { CHUNK = 2000, CHUNK_CLIENT = 20000, PAGES = 500 };

/* Seconds of a key; 0: the key is that of request, of milliseconds. */
static const struct {
    const char *name, *key;
    int64_t seconds;
    bool client; /* its rows tell the client */
} tables[] = {
    {"request", "k", 0, true},      {"usage_15", "q", 900, true},   {"usage_60", "q", 3600, true},
    {"speed_60", "q", 3600, false}, {"tries_60", "q", 3600, false}, {"event", "k", 0, false},
};

/* What follows the tables. */
enum { REST = COUNT_OF(tables), NAMES, VACUUM, LOG, OVER };

enum { HOUR = 3600 };

static int exec(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* The number that a query answers, with up to two values; none: `v` stays. */
static int number(sqlite3 *db, const char *sql, int64_t a, int64_t b, int64_t *v)
{
    sqlite3_stmt *st;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    if (rc != SQLITE_OK)
        return rc;
    const int64_t given[] = {a, b};
    for (int i = 0; i < sqlite3_bind_parameter_count(st) && i < 2; i++)
        sqlite3_bind_int64(st, i + 1, given[i]);
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW && sqlite3_column_type(st, 0) != SQLITE_NULL)
        *v = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* The first key of the table that stays. */
static int64_t bound(const struct job_prune *p, size_t table)
{
    if (p->before_s == INT64_MAX)
        return INT64_MAX;
    int64_t unit = tables[table].seconds;
    return unit ? p->before_s / unit : p->before_s * 1000 << STORE_K_BITS;
}

int job_prune_open(struct job *j, int64_t before_s, int64_t client)
{
    sqlite3 *db = j->batch->db;
    if (before_s != INT64_MAX)
        before_s -= before_s % HOUR;
    j->prune = (struct job_prune){
        .before_s = before_s, .client = client, .from = INT64_MIN, .free_before = -1};
    j->total = 0;
    int rc =
        number(db, "SELECT count(*) FROM request WHERE k<?1", bound(&j->prune, 0), 0, &j->total);
    if ((rc & 0xff) == SQLITE_INTERRUPT)
        rc = SQLITE_OK; /* without a total */
    if (rc == SQLITE_OK)
        rc = exec(db, client ? "PRAGMA secure_delete=ON" : "PRAGMA secure_delete=FAST");
    return rc;
}

static enum job_turn next_table(struct job *j)
{
    j->prune.table++;
    j->prune.from = INT64_MIN;
    return JOB_MORE;
}

/* Deletes keys from..last of the table; *n: how many rows. */
static int delete_rows(struct job *j, int64_t last, int64_t *n)
{
    const struct job_prune *p = &j->prune;
    char sql[160];
    sqlite3_stmt *st;
    snprintf(sql, sizeof sql, "DELETE FROM %s WHERE %s BETWEEN ?1 AND ?2%s", tables[p->table].name,
             tables[p->table].key, p->client ? " AND client=?3" : "");
    int rc = sqlite3_prepare_v2(j->batch->db, sql, -1, &st, NULL);
    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_int64(st, 1, p->from);
    sqlite3_bind_int64(st, 2, last);
    if (p->client)
        sqlite3_bind_int64(st, 3, p->client);
    rc = sqlite3_step(st);
    sqlite3_finalize(st);
    *n = rc == SQLITE_DONE ? sqlite3_changes(j->batch->db) : 0;
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Counts rows of the table that were deleted. */
static void count(struct job *j, int64_t n)
{
    struct job_prune *p = &j->prune;
    if (p->table == 0) {
        p->requests += n;
        if (n)
            store_batch_removed(j->batch, n);
    } else if (tables[p->table].seconds) {
        p->sums += n;
    } else {
        p->events += n;
    }
}

/* Deletes at once, where all goes, what was stored since the tables were gone through: a row whose
 * sum was deleted before it came may not stay, nor a sum without its row. */
static enum job_turn delete_rest(struct job *j)
{
    struct job_prune *p = &j->prune;
    sqlite3 *db = j->batch->db;
    int64_t n[COUNT_OF(tables)] = {0};
    if (p->before_s != INT64_MAX)
        return next_table(j);
    int rc = exec(db, "BEGIN IMMEDIATE");
    if (rc != SQLITE_OK)
        return job_failed(j, rc);
    p->from = INT64_MIN;
    for (p->table = 0; rc == SQLITE_OK && p->table < COUNT_OF(tables); p->table++)
        if (!p->client || tables[p->table].client)
            rc = delete_rows(j, INT64_MAX, &n[p->table]);
    if (rc == SQLITE_OK)
        rc = exec(db, "COMMIT");
    if (rc != SQLITE_OK)
        exec(db, "ROLLBACK");
    for (p->table = 0; rc == SQLITE_OK && p->table < COUNT_OF(tables); p->table++)
        count(j, n[p->table]);
    p->table = REST;
    return rc == SQLITE_OK ? next_table(j) : job_failed(j, rc);
}

/* Deletes the next chunk of the table. */
static enum job_turn delete_chunk(struct job *j)
{
    struct job_prune *p = &j->prune;
    char sql[160];
    int64_t end = bound(p, p->table), last = end - 1, n;
    int chunk = p->client ? CHUNK_CLIENT : CHUNK;
    if (p->client && !tables[p->table].client)
        return next_table(j);
    snprintf(sql, sizeof sql,
             "SELECT %s FROM %s WHERE %s>=?1 AND %s<?2 ORDER BY 1 LIMIT 1 OFFSET %d",
             tables[p->table].key, tables[p->table].name, tables[p->table].key,
             tables[p->table].key, chunk - 1);
    int rc = number(j->batch->db, sql, p->from, end, &last);
    if (rc == SQLITE_OK)
        rc = delete_rows(j, last, &n);
    if (rc != SQLITE_OK)
        return job_failed(j, rc);
    count(j, n);
    if (p->table == 0)
        j->done = min_size((size_t)(j->done + chunk), (size_t)j->total);
    p->from = last < INT64_MAX ? last + 1 : last;
    return last >= end - 1 ? next_table(j) : JOB_MORE;
}

/* Deletes the client's name if nothing refers to it. All names are written anew: a name that was
 * moved from one page to another may stand in the rest of the first still. */
static enum job_turn delete_name(struct job *j)
{
    struct job_prune *p = &j->prune;
    sqlite3 *db = j->batch->db;
    int64_t used = 0;
    char sql[400];
    if (!p->client)
        return next_table(j);
    int rc = number(db,
                    "SELECT EXISTS(SELECT 1 FROM usage_15 WHERE client=?1) OR EXISTS(SELECT 1 FROM "
                    "usage_60 WHERE client=?1) OR EXISTS(SELECT 1 FROM request WHERE client=?1)",
                    p->client, 0, &used);
    p->name_kept = used;
    if (rc == SQLITE_OK && !used) {
        snprintf(sql, sizeof sql,
                 "BEGIN IMMEDIATE; CREATE TEMP TABLE kept AS SELECT * FROM name WHERE id<>%lld;"
                 " DELETE FROM name; INSERT INTO name SELECT * FROM kept ORDER BY id;"
                 " DROP TABLE kept; COMMIT",
                 (long long)p->client);
        rc = exec(db, sql);
        if (rc != SQLITE_OK)
            exec(db, "ROLLBACK");
        names_forget(&j->batch->names);
    }
    return rc == SQLITE_OK ? next_table(j) : job_failed(j, rc);
}

/* Gives free pages back to the disk, until there are none or no more can be given back. */
static enum job_turn vacuum(struct job *j)
{
    struct job_prune *p = &j->prune;
    int64_t pages = 0;
    char sql[64];
    int rc = number(j->batch->db, "PRAGMA freelist_count", 0, 0, &pages);
    if (rc == SQLITE_OK && (pages == 0 || pages == p->free_before))
        return next_table(j);
    p->free_before = pages;
    snprintf(sql, sizeof sql, "PRAGMA incremental_vacuum(%d)", PAGES);
    if (rc == SQLITE_OK)
        rc = exec(j->batch->db, sql);
    return rc == SQLITE_OK ? JOB_MORE : job_failed(j, rc);
}

/* Empties the log, where what was deleted stands as well. A reader that holds it keeps it. */
static enum job_turn empty_log(struct job *j)
{
    int64_t busy = 1;
    int rc = SQLITE_OK;
    if (j->prune.client)
        rc = number(j->batch->db, "PRAGMA wal_checkpoint(TRUNCATE)", 0, 0, &busy);
    j->prune.log_kept = j->prune.client && (rc != SQLITE_OK || busy);
    return next_table(j);
}

static enum job_turn step(struct job *j)
{
    switch (j->prune.table) {
    case REST:
        return delete_rest(j);
    case NAMES:
        return delete_name(j);
    case VACUUM:
        return vacuum(j);
    case LOG:
        return empty_log(j);
    case OVER:
        return JOB_ENDED;
    default:
        return delete_chunk(j);
    }
}

static void close_it(struct job *j)
{
    exec(j->batch->db, "PRAGMA secure_delete=OFF");
}

static void put(const struct job *j, struct doc *d)
{
    doc_text(d, "before");
    if (j->prune.before_s == INT64_MAX)
        doc_nil(d);
    else
        doc_int(d, j->prune.before_s);
    doc_kv_int(d, "requests", j->prune.requests);
    doc_kv_int(d, "sums", j->prune.sums);
    doc_kv_int(d, "events", j->prune.events);
    doc_kv_flag(d, "name_kept", j->prune.name_kept);
    doc_kv_flag(d, "log_kept", j->prune.log_kept);
}

const struct job_kind job_prune_kind = {
    .name = "prune", .alone = true, .step = step, .close = close_it, .members = 6, .put = put};
