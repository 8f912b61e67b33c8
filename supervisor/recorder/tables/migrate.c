#include "supervisor/recorder/tables/migrate.h"

#include <stdio.h>

static int exec(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static int read_version(sqlite3 *db, int64_t *version)
{
    sqlite3_stmt *st;
    int rc = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        *version = sqlite3_column_int64(st, 0);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(st);
    return rc;
}

/* Within a transaction: *done: the file is of version `to`. */
static int next(sqlite3 *db, migrate_step *const *steps, int64_t to, bool *done)
{
    char sql[64];
    int64_t version = to;
    int rc = read_version(db, &version);
    *done = version >= to;
    if (rc != SQLITE_OK || *done)
        return rc;
    rc = steps[version](db);
    snprintf(sql, sizeof sql, "PRAGMA user_version=%d", (int)version + 1);
    return rc == SQLITE_OK ? exec(db, sql) : rc;
}

int migrate_run(sqlite3 *db, migrate_step *const *steps, int64_t to)
{
    bool done = false;
    int rc = SQLITE_OK;
    while (rc == SQLITE_OK && !done) {
        rc = exec(db, "BEGIN IMMEDIATE");
        if (rc != SQLITE_OK)
            return rc;
        rc = next(db, steps, to, &done);
        if (rc == SQLITE_OK)
            rc = exec(db, "COMMIT");
        if (rc != SQLITE_OK)
            exec(db, "ROLLBACK");
    }
    return rc;
}
