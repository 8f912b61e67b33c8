/* usage_read: reads sums of usage out of the history, row by row, and what a question narrows them
 * to. */
#ifndef QCC_SUPERVISOR_RECORDER_ASK_USAGE_READ_H
#define QCC_SUPERVISOR_RECORDER_ASK_USAGE_READ_H

#include "supervisor/recorder/ask/ask.h"
#include "supervisor/recorder/tables/names.h"
#include "supervisor/recorder/ask/range.h"
#include "supervisor/recorder/tables/rollup.h"

/* In place of a name's number: any; and one that no row has. */
enum { USAGE_ANY = -1, USAGE_NOBODY = -2 };

/* What rows are wanted. 0: those without a name. */
struct usage_filter {
    int64_t endpoint, model, client;
};

/* Requests of one quarter of an hour, or hour. */
struct usage_row {
    int64_t at_s, end_s; /* begin and end of the time, Unix seconds */
    int64_t endpoint, model, client, rate;
    int64_t sum[SUM__COUNT];
};

typedef void usage_row_fn(void *arg, const struct usage_row *row);

/* Reads the parameters endpoint, model and client (where with_client is set). False: refused,
 * *status and the document say how. */
bool usage_filter_read(struct ask *a, bool with_client, struct usage_filter *f,
                       unsigned *status) MUST_CHECK;

/* Gives fn all rows of the range, in the order of time: by the hour, and by the quarter of an hour
 * where buckets begin within an hour. Returns SQLite's result. */
int usage_read(sqlite3 *db, const struct range *r, const struct usage_filter *f, usage_row_fn *fn,
               void *arg) MUST_CHECK;

/* The begin of the oldest hour that is kept, Unix time; that of the present one if there is none.
 * Returns SQLite's result. */
int usage_oldest(const struct ask *a, int64_t *at_s) MUST_CHECK;

/* Gives fn all rows of one table, usage_15 or usage_60, between two moments. Returns SQLite's
 * result. */
int usage_read_table(sqlite3 *db, bool quarters, int64_t since_s, int64_t until_s,
                     const struct usage_filter *f, usage_row_fn *fn, void *arg) MUST_CHECK;

/* Appends " AND endpoint=?3" and so on to a statement, for what the filter narrows; usage_bind
 * gives the values. False: no room. */
bool usage_where(struct buf *sql, const struct usage_filter *f) MUST_CHECK;
void usage_bind(sqlite3_stmt *st, const struct usage_filter *f);

/* Appends since, until, step, rounded and times as USAGE_RANGE_MEMBERS members of a map. */
enum { USAGE_RANGE_MEMBERS = 5 };
void usage_put_range(struct ask *a, const struct range *r);

/* Appends a name's text to the answer; nil: 0, or one that is not there. Returns SQLite's result.
 */
int usage_put_name(struct ask *a, int64_t id) MUST_CHECK;

#endif
