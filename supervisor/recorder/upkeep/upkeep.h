/* upkeep: what is done to the file between two batches: old rows are deleted, free pages given
 * back, the clock and the write-ahead log watched. */
#ifndef QCC_SUPERVISOR_RECORDER_UPKEEP_UPKEEP_H
#define QCC_SUPERVISOR_RECORDER_UPKEEP_UPKEEP_H

#include "common/base/err.h"
#include "supervisor/recorder/upkeep/clock_watch.h"
#include "supervisor/recorder/upkeep/retention.h"
#include "supervisor/recorder/tables/store_batch.h"
#include "supervisor/recorder/upkeep/wal_watch.h"

struct upkeep {
    struct retention_conf conf;
    struct retention retention;
    struct clock_watch clock;
    struct wal_watch wal;
    /* CLOCK_BOOTTIME: when rows, the file's size and its free pages are next looked at; retry_ms:
     * nothing is done before, since something failed */
    int64_t rows_ms, size_ms, shrink_ms, retry_ms;
    unsigned table; /* enum retention_table: looked at next */
    bool more;      /* a table of this round has more rows to delete */
};

/* Begins, with the process. */
void upkeep_start(struct upkeep *u, struct retention_time now);

/* Takes other bounds over. */
void upkeep_conf(struct upkeep *u, const struct retention_conf *c);

/* Looks at the clock. True: it was set, and *note says so. The event of it is the supervisor's. */
bool upkeep_clock(struct upkeep *u, struct retention_time now, struct err *note);

/* When rows are next looked at, CLOCK_BOOTTIME. */
int64_t upkeep_due_ms(const struct upkeep *u);

/* Does what is due, one chunk at most, outside of transactions; sets b->rows_off and what b knows
 * of the rows. *note: something for the log, else unchanged. Returns SQLite's result. */
int upkeep_run(struct upkeep *u, struct store_batch *b, struct retention_time now,
               struct err *note) MUST_CHECK;

#endif
