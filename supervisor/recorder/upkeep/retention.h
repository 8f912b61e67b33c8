/* retention: which rows are too old, or too many. It trusts no clock: nothing is dropped in the
 * first minutes nor after the clock was set, and of each table one day of data in an hour at most;
 * of requests one in ten minutes while there is no room for new ones, the clock was not set, and
 * the process is an hour old. Pure: wall_ms is CLOCK_REALTIME, boot_ms CLOCK_BOOTTIME. */
#ifndef QCC_SUPERVISOR_RECORDER_UPKEEP_RETENTION_H
#define QCC_SUPERVISOR_RECORDER_UPKEEP_RETENTION_H

#include "common/base/base.h"
#include "common/base/err.h"
#include "common/ipc/ipc.h"

enum retention_table {
    RETAIN_REQUEST,
    RETAIN_USAGE_15,
    RETAIN_USAGE_60,
    RETAIN_SPEED_60,
    RETAIN_TRIES_60,
    RETAIN_EVENT,
    RETAIN__COUNT
};

struct retention_conf {
    int64_t keep_requests_ms, keep_usage_ms;
    uint64_t max_size; /* bytes */
};

struct retention_time {
    int64_t wall_ms, boot_ms;
};

/* A table's share of the present hour. */
struct retention_hour {
    int64_t began_ms; /* CLOCK_BOOTTIME; 0: nothing was due yet */
    int64_t until_ms; /* rows before that time may go in this hour */
};

struct retention {
    int64_t young_until_ms, held_until_ms; /* CLOCK_BOOTTIME: nothing is dropped before */
    struct retention_hour hour[RETAIN__COUNT];
    int64_t day_end_ms;   /* requests before that time go because the file is too large; 0: none */
    bool rows_off;        /* the file is at max_size: only sums are to be stored */
    int64_t off_since_ms; /* CLOCK_REALTIME: since when */
    bool due[RETAIN__COUNT]; /* rows of the table were too old when it was last looked at */
};

/* Begins, with the process. */
void retention_start(struct retention *r, int64_t boot_ms);

/* The clock was set: nothing is dropped for a day. */
void retention_hold(struct retention *r, int64_t boot_ms);

/* Judges the size of the file without its free pages. oldest_ms: end of the oldest request; 0:
 * there is none. Sets r->rows_off. */
void retention_size(struct retention *r, const struct retention_conf *c, uint64_t size,
                    int64_t oldest_ms, struct retention_time now);

/* Rows of the table that ended before the time returned (Unix ms) may be dropped now; 0: none.
 * oldest_ms: time of the table's oldest row; 0: it is empty. */
int64_t retention_before(struct retention *r, const struct retention_conf *c,
                         enum retention_table table, int64_t oldest_ms, struct retention_time now);

/* Says that only sums are stored, since when, and what is deleted to get room. missed: requests
 * that have no row for it. oldest_ms: end of the oldest request; 0: there is none. */
void retention_text(const struct retention *r, uint64_t missed, int64_t oldest_ms,
                    struct retention_time now, struct err *text);

/* What becomes of the oldest rows now. */
enum history_retention retention_state(const struct retention *r, int64_t boot_ms);

#endif
