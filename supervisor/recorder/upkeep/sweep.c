#include "supervisor/recorder/upkeep/sweep.h"

#include "supervisor/recorder/tables/store_batch.h"

#include <stdio.h>

enum { SQL_SIZE = 400, SHRINK_PAGES = 500 };

/* unit_ms: what the time column counts; 0: it is a key, Unix ms << STORE_K_BITS. */
static const struct {
    const char *name, *time, *key;
    int64_t unit_ms;
} tables[RETAIN__COUNT] = {
    [RETAIN_REQUEST] = {"request", "k", "k", 0},
    [RETAIN_USAGE_15] = {"usage_15", "q", "q,endpoint,model,client,rate", 900000},
    [RETAIN_USAGE_60] = {"usage_60", "q", "q,endpoint,model,client,rate", 3600000},
    [RETAIN_SPEED_60] = {"speed_60", "q", "q,endpoint,model", 3600000},
    [RETAIN_TRIES_60] = {"tries_60", "q", "q,endpoint,class", 3600000},
    [RETAIN_EVENT] = {"event", "k", "k", 0},
};

static int number(sqlite3 *db, const char *sql, int64_t *v)
{
    sqlite3_stmt *st;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *v = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int sweep_oldest(sqlite3 *db, enum retention_table table, int64_t *ms)
{
    char sql[SQL_SIZE];
    int64_t v = 0, unit = tables[table].unit_ms;
    snprintf(sql, sizeof sql, "SELECT min(%s) FROM %s", tables[table].time, tables[table].name);
    int rc = number(db, sql, &v);
    *ms = unit && v ? (v + 1) * unit - 1 : v >> STORE_K_BITS;
    return rc;
}

int sweep_delete(sqlite3 *db, enum retention_table table, int64_t before_ms, int64_t *n)
{
    char sql[SQL_SIZE];
    sqlite3_stmt *st;
    int64_t unit = tables[table].unit_ms;
    *n = 0;
    snprintf(sql, sizeof sql,
             "DELETE FROM %s WHERE (%s) IN (SELECT %s FROM %s WHERE %s<?1 ORDER BY %s LIMIT %d)",
             tables[table].name, tables[table].key, tables[table].key, tables[table].name,
             tables[table].time, tables[table].time, SWEEP_ROWS);
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_int64(st, 1, unit ? before_ms / unit : before_ms << STORE_K_BITS);
    rc = sqlite3_step(st);
    /* of the rows that were deleted, not of an earlier statement */
    *n = rc == SQLITE_DONE ? sqlite3_changes(db) : 0;
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int sweep_size(sqlite3 *db, uint64_t *size)
{
    int64_t pages = 0, unused = 0, page = 0;
    int rc = number(db, "PRAGMA page_count", &pages);
    if (rc == SQLITE_OK)
        rc = number(db, "PRAGMA freelist_count", &unused);
    if (rc == SQLITE_OK)
        rc = number(db, "PRAGMA page_size", &page);
    *size = pages > unused ? (uint64_t)(pages - unused) * (uint64_t)page : 0;
    return rc;
}

int sweep_shrink(sqlite3 *db)
{
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA incremental_vacuum(%d)", SHRINK_PAGES);
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}
