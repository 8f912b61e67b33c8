/* schema: the file of the history, history.db in state_dir: opened, made, checked, set aside when
 * it cannot be used. All names are relative to the folder, which is the working directory. */
#ifndef QCC_SUPERVISOR_RECORDER_TABLES_SCHEMA_H
#define QCC_SUPERVISOR_RECORDER_TABLES_SCHEMA_H

#include "common/base/base.h"
#include "common/base/err.h"

#include <sqlite3.h>

/* What came of opening the file. */
enum schema_opened {
    SCHEMA_OPEN,  /* it may be used */
    SCHEMA_NEWER, /* a newer QCC wrote it: it stays untouched */
    SCHEMA_BAD,   /* no history of QCC's, or a damaged one: to be set aside */
    SCHEMA_BUSY,  /* a lock: may succeed soon */
    SCHEMA_FAILED /* no regular file, no permission, no room: may succeed later */
};

/* Opens the file, or makes it. After an end that was not clean its pages are checked, for 2 s at
 * most; *note then says so, else it stays as it is. *db is the caller's, NULL unless SCHEMA_OPEN;
 * *e says why not. */
enum schema_opened schema_open(sqlite3 **db, struct err *note, struct err *e) MUST_CHECK;

/* Renames the file, with what belongs to it, to history.db.bad-TIME; the two newest of those are
 * kept. *note says what was done. False: it cannot be renamed. */
bool schema_set_aside(const char *why, struct err *note) MUST_CHECK;

/* Leaves the write-ahead log as it is at sqlite3_close(): it is not worked into a file that is
 * damaged, or of another version. */
void schema_leave_log(sqlite3 *db);

/* Whether the result means that the file is damaged or is no database. */
bool schema_is_damage(int rc);

/* Whether the open file is no longer the one of that name: it was removed, or another put there. */
bool schema_moved(sqlite3 *db);

/* Whether the result means that another process holds a lock. */
bool schema_is_lock(int rc);

/* Bytes of the file and what belongs to it. */
uint64_t schema_size(void);

/* Bytes of its write-ahead log. */
uint64_t schema_wal_size(void);

#endif
