/* migrate: brings the file of an earlier schema to the present one, a version at a time, each in
 * one transaction: a step that fails, or is cut short, leaves the file at the version before. */
#ifndef QCC_SUPERVISOR_RECORDER_TABLES_MIGRATE_H
#define QCC_SUPERVISOR_RECORDER_TABLES_MIGRATE_H

#include "common/base/base.h"

#include <sqlite3.h>

/* Changes the tables of one version to those of the next, within the caller's transaction. Returns
 * SQLite's result. */
typedef int migrate_step(sqlite3 *db);

/* Runs steps[v] for each version v of the file below `to`; user_version says the version. Another
 * process may do the same at the same time: one waits for the other. Returns SQLite's result. */
int migrate_run(sqlite3 *db, migrate_step *const *steps, int64_t to) MUST_CHECK;

#endif
