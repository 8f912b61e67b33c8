#include "supervisor/recorder/job/job.h"

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

/* Where names of models and clients are referred to. */
static const struct {
    const char *name, *key, *columns[4];
} references[] = {
    {"request", "k", {"model", "sent", "served", "client"}},
    {"usage_15", "q", {"model", "client"}},
    {"usage_60", "q", {"model", "client"}},
    {"speed_60", "q", {"model"}},
};

/* What follows the tables. */
enum {
    SETTLE = COUNT_OF(tables),
    REST,
    REFERENCES,
    NAMES = REFERENCES + COUNT_OF(references),
    VACUUM,
    LOG,
    OVER
};

enum { HOUR = 3600 };

/* Milliseconds from the begin to the last pass: workers report each 100 ms. What ended LATE_MS
 * before the begin has long been reported. How long a recording that cannot go on is waited for. */
enum { SETTLE_MS = 1500, LATE_MS = 10000, STUCK_MS = 30000 };

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

/* Waits until what was reported before the begin is stored, then goes through the tables again. */
static enum job_turn settle(struct job *j)
{
    struct job_prune *p = &j->prune;
    bool late = p->before_s == INT64_MAX || p->before_s * 1000 >= j->began_wall_ms - LATE_MS;
    if (p->again || !late)
        return next_table(j);
    if (j->now_ms - j->began_ms < SETTLE_MS)
        return JOB_LATER;
    if (j->flush && !j->flush(j->flush_arg)) {
        if (j->now_ms - j->began_ms < STUCK_MS)
            return JOB_LATER;
        err_set(&j->why, "what was deleted is gone, but requests of before wait to be stored: "
                         "prune again when the history stores");
        return JOB_BROKEN;
    }
    p->again = true;
    p->table = 0;
    p->from = INT64_MIN;
    return JOB_MORE;
}

/* Notes the names that the next chunk of the table refers to. */
static enum job_turn note_references(struct job *j)
{
    struct job_prune *p = &j->prune;
    size_t at = p->table - REFERENCES, n;
    char sql[600];
    sqlite3_stmt *st = NULL;
    int64_t last = INT64_MAX;
    int rc = SQLITE_OK;
    if (at == 0 && p->from == INT64_MIN) {
        rc = exec(j->batch->db, "DROP TABLE IF EXISTS temp.used;"
                                " CREATE TEMP TABLE used(id INTEGER PRIMARY KEY)");
        names_forget(&j->batch->names); /* what is stored from now on is known there */
        p->forgets = j->batch->names.forgets;
    }
    snprintf(sql, sizeof sql, "SELECT %s FROM %s WHERE %s>=?1 ORDER BY 1 LIMIT 1 OFFSET %d",
             references[at].key, references[at].name, references[at].key, CHUNK_CLIENT - 1);
    if (rc == SQLITE_OK)
        rc = number(j->batch->db, sql, p->from, 0, &last);
    n = (size_t)snprintf(sql, sizeof sql, "INSERT OR IGNORE INTO temp.used");
    for (size_t i = 0; i < COUNT_OF(references[at].columns) && references[at].columns[i]; i++)
        n += (size_t)snprintf(sql + n, sizeof sql - n,
                              "%s SELECT %s FROM %s WHERE %s BETWEEN ?1 AND ?2 AND %s>0",
                              i ? " UNION" : "", references[at].columns[i], references[at].name,
                              references[at].key, references[at].columns[i]);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(j->batch->db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_int64(st, 1, p->from);
        sqlite3_bind_int64(st, 2, last);
        rc = sqlite3_step(st);
        sqlite3_finalize(st);
        rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
    }
    if (rc != SQLITE_OK)
        return job_failed(j, rc);
    p->from = last == INT64_MAX ? last : last + 1;
    return last == INT64_MAX ? next_table(j) : JOB_MORE;
}

/* Adds what was stored since the scan began. */
static int note_new(struct job *j)
{
    const struct names *n = &j->batch->names;
    sqlite3_stmt *st;
    int rc = sqlite3_prepare_v2(j->batch->db, "INSERT OR IGNORE INTO temp.used VALUES(?1)", -1, &st,
                                NULL);
    for (size_t i = 0; i < n->cap && rc == SQLITE_OK; i++) {
        if (!n->v[i].id)
            continue;
        sqlite3_bind_int64(st, 1, n->v[i].id);
        rc = sqlite3_step(st) == SQLITE_DONE ? SQLITE_OK : sqlite3_errcode(j->batch->db);
        sqlite3_reset(st);
    }
    sqlite3_finalize(st);
    return rc;
}

/* Deletes the names of models and clients that nothing refers to. All names are written anew: a
 * name that was moved from one page to another may stand in the rest of the first still. */
static enum job_turn delete_names(struct job *j)
{
    static const char anew[] =
        "BEGIN IMMEDIATE; CREATE TEMP TABLE kept AS SELECT * FROM name WHERE kind NOT IN (1, 2)"
        " OR id IN (SELECT id FROM temp.used); DELETE FROM name;"
        " INSERT INTO name SELECT * FROM kept ORDER BY id; DROP TABLE kept; COMMIT";
    struct job_prune *p = &j->prune;
    int64_t used = 0;
    if (p->forgets != j->batch->names.forgets) { /* what was stored since is not known */
        p->table = REFERENCES;
        p->from = INT64_MIN;
        return JOB_MORE;
    }
    int rc = note_new(j);
    if (rc == SQLITE_OK && p->client)
        rc =
            number(j->batch->db, "SELECT count(*) FROM temp.used WHERE id=?1", p->client, 0, &used);
    p->name_kept = used;
    if (rc == SQLITE_OK) {
        rc = exec(j->batch->db, anew);
        if (rc != SQLITE_OK)
            exec(j->batch->db, "ROLLBACK");
        names_forget(&j->batch->names);
        p->forgets = j->batch->names.forgets;
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
    if (j->prune.table >= REFERENCES && j->prune.table < NAMES)
        return note_references(j);
    switch (j->prune.table) {
    case SETTLE:
        return settle(j);
    case REST:
        return delete_rest(j);
    case NAMES:
        return delete_names(j);
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
    exec(j->batch->db, "PRAGMA secure_delete=OFF; DROP TABLE IF EXISTS temp.used");
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
