/* sweep: deletes rows of the history by their time, a chunk at a time, and gives free pages back.
 */
#ifndef QCC_SUPERVISOR_RECORDER_UPKEEP_SWEEP_H
#define QCC_SUPERVISOR_RECORDER_UPKEEP_SWEEP_H

#include "supervisor/recorder/upkeep/retention.h"

#include <sqlite3.h>

/* Rows of a chunk at most: some milliseconds. */
enum { SWEEP_ROWS = 2000 };

/* Time of the table's oldest row in Unix ms; 0: it is empty. Returns SQLite's result. */
int sweep_oldest(sqlite3 *db, enum retention_table table, int64_t *ms) MUST_CHECK;

/* Deletes the oldest rows that ended before that time, SWEEP_ROWS at most, in a transaction of its
 * own. A row of a sum ends with its quarter of an hour or its hour. *n: rows deleted. Returns
 * SQLite's result. */
int sweep_delete(sqlite3 *db, enum retention_table table, int64_t before_ms, int64_t *n) MUST_CHECK;

/* Bytes of the database without its free pages. Returns SQLite's result. */
int sweep_size(sqlite3 *db, uint64_t *size) MUST_CHECK;

/* Gives some free pages at the end of the file back to the disk. Returns SQLite's result. */
int sweep_shrink(sqlite3 *db) MUST_CHECK;

#endif
