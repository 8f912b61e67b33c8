#include "supervisor/recorder/tables/schema.h"

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/str.h"
#include "supervisor/recorder/tables/migrate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SCHEMA_ID = 0x51434348, /* "QCCH": application_id in the file's head */
    SCHEMA_VERSION = 1,
    CHECK_MS = 2000,     /* longest check of the pages */
    CHECK_STEPS = 20000, /* steps of SQLite's machine between two looks at the clock */
    BAD_KEPT = 2,
    NAME_SIZE = 64,
    /* of the head of an SQLite database */
    HEAD_SIZE = 100,
    HEAD_VERSION = 60, /* user_version */
    HEAD_ID = 68       /* application_id */
};

#define FILE_NAME "history.db"
#define BAD_NAME FILE_NAME ".bad-"

static const char newer_text[] = FILE_NAME " is of a newer QCC: it is left as it is";

/* Names of endpoints, models, clients, paths and ends are stored once (name); 0 stands for none.
 * Times are Unix; k is milliseconds << 12 with a number that tells rows of one millisecond apart.
 * q: the end of a request in quarters of an hour, or in hours. */
#define USAGE                                                                                      \
    "(q INT NOT NULL, endpoint INT NOT NULL, model INT NOT NULL, client INT NOT NULL,"             \
    " rate INT NOT NULL, requests INT, ok INT, failed INT, cancelled INT, retried INT, moved INT," \
    " input INT, output INT, cache_read INT, write_5m INT, write_1h INT, web INT, untold INT,"     \
    " bytes_in INT, bytes_out INT, ttfb_ms INT, ttfb_n INT, total_ms INT, gen_ms INT,"             \
    " gen_tokens INT, PRIMARY KEY(q, endpoint, model, client, rate)) WITHOUT ROWID;"

static const char tables[] =
    "CREATE TABLE name(id INTEGER PRIMARY KEY, kind INT NOT NULL, text TEXT NOT NULL,"
    " UNIQUE(kind, text));"
    "CREATE TABLE request(k INTEGER PRIMARY KEY, id BLOB, endpoint INT, model INT, sent INT,"
    " served INT, client INT, path INT, end INT, status INT, attempts INT, flags INT, rate INT,"
    " ttfb_ms INT, total_ms INT, bytes_in INT, bytes_out INT, input INT, output INT,"
    " cache_read INT, write_5m INT, write_1h INT, web INT, trail BLOB);"
    "CREATE TABLE usage_15" USAGE "CREATE TABLE usage_60" USAGE
    "CREATE TABLE speed_60(q INT NOT NULL, endpoint INT NOT NULL, model INT NOT NULL, hist BLOB,"
    " PRIMARY KEY(q, endpoint, model)) WITHOUT ROWID;"
    "CREATE TABLE tries_60(q INT NOT NULL, endpoint INT NOT NULL, class TEXT NOT NULL, n INT,"
    " charged INT, PRIMARY KEY(q, endpoint, class)) WITHOUT ROWID;"
    "CREATE TABLE event(k INTEGER PRIMARY KEY, endpoint INT, kind TEXT, text TEXT);"
    "CREATE TABLE factor(endpoint INT NOT NULL, since INT NOT NULL, ppm INT,"
    " PRIMARY KEY(endpoint, since)) WITHOUT ROWID;";

/* steps[v] makes version v + 1 of version v; there is none before 1. */
static migrate_step *const steps[SCHEMA_VERSION] = {NULL};

bool schema_is_damage(int rc)
{
    return (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB;
}

bool schema_is_lock(int rc)
{
    return (rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED;
}

bool schema_moved(sqlite3 *db)
{
    struct stat st;
    int moved = 0;
    if (lstat(FILE_NAME, &st) == -1)
        return errno == ENOENT;
    (void)sqlite3_file_control(db, NULL, SQLITE_FCNTL_HAS_MOVED, &moved);
    return moved || !S_ISREG(st.st_mode);
}

void schema_leave_log(sqlite3 *db)
{
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
}

/* In place of fchown(2), by which SQLite as root gives new files to the owner of the database: that
 * is this process's user, and sandboxes forbid the call. */
static int keep_owner(int fd, uid_t uid, gid_t gid)
{
    (void)fd, (void)uid, (void)gid;
    return 0;
}

static int exec(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* The number that a PRAGMA answers. */
static int number(sqlite3 *db, const char *sql, int64_t *v)
{
    sqlite3_stmt *st;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        *v = sqlite3_column_int64(st, 0);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(st);
    return rc;
}

static int is_late(void *until)
{
    return clock_mono_ms() >= *(const int64_t *)until;
}

/* Checks the pages. A check that takes too long is cut short and finds nothing. */
static int check_pages(sqlite3 *db, struct err *note)
{
    int64_t until = clock_mono_ms() + CHECK_MS;
    sqlite3_stmt *st;
    sqlite3_progress_handler(db, CHECK_STEPS, is_late, &until);
    int rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    bool whole = rc == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(st, 0), "ok") == 0;
    sqlite3_finalize(st);
    sqlite3_progress_handler(db, 0, NULL, NULL);
    if ((rc & 0xff) == SQLITE_INTERRUPT) {
        err_set(note, "the check after an unclean end was skipped: it takes too long");
        return SQLITE_OK;
    }
    if (whole)
        err_set(note, "checked after an unclean end: it is whole");
    return whole ? SQLITE_OK : rc == SQLITE_ROW ? SQLITE_CORRUPT : rc;
}

/* Makes the tables in a file that has none. */
static int make(sqlite3 *db)
{
    char sql[128];
    int rc = exec(db, "PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL;");
    /* Of two recorders that find no file, at an upgrade, one waits here and finds it made. */
    if (rc == SQLITE_OK)
        rc = exec(db, "PRAGMA journal_mode=WAL; BEGIN IMMEDIATE");
    int64_t version = 0;
    if (rc == SQLITE_OK)
        rc = number(db, "PRAGMA user_version", &version);
    if (rc == SQLITE_OK && version == 0) {
        snprintf(sql, sizeof sql, "PRAGMA application_id=%d; PRAGMA user_version=%d", SCHEMA_ID,
                 SCHEMA_VERSION);
        rc = exec(db, tables);
        if (rc == SQLITE_OK)
            rc = exec(db, sql);
    }
    int end = exec(db, rc == SQLITE_OK ? "COMMIT" : "ROLLBACK");
    return rc == SQLITE_OK ? end : rc;
}

/* Whether the file has each table of this schema with each of its columns; it may have more. */
static int has_tables(sqlite3 *db, bool *whole)
{
    sqlite3 *model = NULL;
    sqlite3_stmt *want = NULL, *have = NULL;
    const char *all = "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c"
                      " WHERE m.type='table'";
    const char *one = "SELECT 1 FROM sqlite_master m, pragma_table_info(m.name) c"
                      " WHERE m.type='table' AND m.name=?1 AND c.name=?2";
    int rc = sqlite3_open_v2(
        ":memory:", &model, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = exec(model, tables);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(model, all, -1, &want, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(db, one, -1, &have, NULL);
    *whole = true;
    while (rc == SQLITE_OK && *whole && (rc = sqlite3_step(want)) == SQLITE_ROW) {
        for (int i = 0; i < 2; i++)
            sqlite3_bind_text(have, i + 1, (const char *)sqlite3_column_text(want, i), -1,
                              SQLITE_STATIC);
        rc = sqlite3_step(have);
        *whole = rc == SQLITE_ROW;
        rc = rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
        sqlite3_reset(have);
    }
    sqlite3_finalize(want);
    sqlite3_finalize(have);
    sqlite3_close(model);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* What the file says of itself, at one moment. */
struct identity {
    int64_t id, version, tables;
};

static int identify(sqlite3 *db, struct identity *is)
{
    int rc = exec(db, "BEGIN");
    if (rc != SQLITE_OK)
        return rc;
    rc = number(db, "PRAGMA application_id", &is->id);
    if (rc == SQLITE_OK)
        rc = number(db, "PRAGMA user_version", &is->version);
    if (rc == SQLITE_OK)
        rc = number(db, "SELECT count(*) FROM sqlite_master", &is->tables);
    int end = exec(db, "COMMIT");
    return rc == SQLITE_OK ? end : rc;
}

/* Prepares an open file for use. *newer: a newer QCC wrote it; *ours: a QCC did, or it is empty. */
static int prepare(sqlite3 *db, bool unclean, bool *newer, bool *ours, struct err *note)
{
    struct identity is = {0};
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, 200);
    int rc =
        exec(db, "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-2048; PRAGMA synchronous=NORMAL;"
                 " PRAGMA journal_size_limit=16777216; PRAGMA trusted_schema=OFF");
    if (rc == SQLITE_OK)
        rc = identify(db, &is);
    if (rc != SQLITE_OK)
        return rc;
    bool empty = is.id == 0 && is.version == 0 && is.tables == 0;
    *ours = empty || (is.id == SCHEMA_ID && is.version >= 1);
    *newer = *ours && is.version > SCHEMA_VERSION;
    if (!*ours || *newer)
        return SQLITE_OK;
    if (empty)
        return make(db);
    rc = unclean ? check_pages(db, note) : SQLITE_OK;
    if (rc == SQLITE_OK && is.version < SCHEMA_VERSION)
        rc = migrate_run(db, steps, SCHEMA_VERSION);
    if (rc == SQLITE_OK)
        rc = has_tables(db, ours);
    return rc == SQLITE_OK && *ours && !unclean ? exec(db, "PRAGMA journal_mode=WAL") : rc;
}

static uint64_t size_of(const char *name)
{
    struct stat st;
    return stat(name, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
}

uint64_t schema_size(void)
{
    return size_of(FILE_NAME) + size_of(FILE_NAME "-wal") + size_of(FILE_NAME "-shm");
}

uint64_t schema_wal_size(void)
{
    return size_of(FILE_NAME "-wal");
}

static int32_t number_at(const uint8_t *p)
{
    return (int32_t)((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
}

/* Reads the head of the file before SQLite opens it, which may change what lies beside it.
 * SCHEMA_OPEN: it may be opened, or made. */
static enum schema_opened look_at_head(struct err *e)
{
    uint8_t head[HEAD_SIZE];
    struct stat st;
    if (lstat(FILE_NAME, &st) == -1 && errno == ENOENT)
        return SCHEMA_OPEN;
    int fd = open(FILE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd == -1 && errno != ELOOP && errno != ENXIO) {
        err_sys(e, FILE_NAME);
        return SCHEMA_FAILED;
    }
    bool regular = fd != -1 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    bool read = regular && pread(fd, head, sizeof head, 0) == (ssize_t)sizeof head;
    fd_close(&fd);
    if (!regular) {
        err_set(e, FILE_NAME " is no regular file");
        return SCHEMA_FAILED;
    }
    if (!read || memcmp(head, "SQLite format 3", 16) != 0 ||
        number_at(head + HEAD_ID) != SCHEMA_ID || number_at(head + HEAD_VERSION) <= SCHEMA_VERSION)
        return SCHEMA_OPEN;
    err_set(e, "%s", newer_text);
    return SCHEMA_NEWER;
}

static enum schema_opened came_of(int rc, bool newer, bool ours)
{
    if (newer)
        return SCHEMA_NEWER;
    if (rc == SQLITE_OK)
        return ours ? SCHEMA_OPEN : SCHEMA_BAD;
    return schema_is_damage(rc) ? SCHEMA_BAD : schema_is_lock(rc) ? SCHEMA_BUSY : SCHEMA_FAILED;
}

enum schema_opened schema_open(sqlite3 **db, struct err *note, struct err *e)
{
    bool newer = false, ours = true, unclean = size_of(FILE_NAME "-wal") > 0;
    *db = NULL;
    umask(0077);
    enum schema_opened came = look_at_head(e);
    if (came != SCHEMA_OPEN)
        return came;
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    if (vfs && vfs->iVersion >= 3)
        vfs->xSetSystemCall(vfs, "fchown", (sqlite3_syscall_ptr)keep_owner);
    int rc = sqlite3_open_v2(
        FILE_NAME, db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = prepare(*db, unclean, &newer, &ours, note);
    came = came_of(rc, newer, ours);
    if (came == SCHEMA_OPEN)
        return came;
    err_set(e, "%s", newer ? newer_text : !ours ? "it is none of QCC's" : sqlite3_errstr(rc));
    if (came == SCHEMA_NEWER || came == SCHEMA_BAD)
        schema_leave_log(*db);
    sqlite3_close(*db);
    *db = NULL;
    return came;
}

/* ---- setting aside */

/* Removes the oldest of the files that were set aside, but for the newest BAD_KEPT - 1. */
static void remove_old(void)
{
    struct dirent **v;
    int n = scandir(".", &v, NULL, alphasort), bad = 0;
    for (int i = n - 1; i >= 0; i--) {
        struct str name = str_c(v[i]->d_name);
        bool ours = str_starts(name, STR(BAD_NAME));
        bool main_file = ours && !str_ends(name, STR("-wal")) && !str_ends(name, STR("-shm"));
        bad += main_file;
        if (ours && (bad >= BAD_KEPT || (!main_file && bad >= BAD_KEPT - 1)))
            unlink(v[i]->d_name);
        free(v[i]);
    }
    if (n >= 0)
        free(v);
}

bool schema_set_aside(const char *why, struct err *note)
{
    static const char *const parts[] = {"-wal", "-shm", ""};
    char now[25], from[NAME_SIZE], to[NAME_SIZE], stamp[25];
    size_t n = 0;
    clock_format(clock_wall_ms(), now);
    for (const char *p = now; *p; p++)
        if (ascii_digit(*p) || *p == 'T' || *p == 'Z')
            stamp[n++] = *p;
    stamp[n] = '\0';
    remove_old();
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        snprintf(from, sizeof from, FILE_NAME "%s", parts[i]);
        snprintf(to, sizeof to, BAD_NAME "%s%s", stamp, parts[i]);
        if (rename(from, to) == -1 && (errno != ENOENT || !*parts[i]))
            return err_sys(note, FILE_NAME " cannot be used (%s), nor set aside", why);
    }
    err_set(note, FILE_NAME " cannot be used (%s): it is set aside as %s", why, to);
    return true;
}
