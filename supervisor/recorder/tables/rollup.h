/* rollup: sums of requests by time, endpoint, model, client and rate, added up in memory for one
 * batch, then added to the file with one statement a key. */
#ifndef QCC_SUPERVISOR_RECORDER_TABLES_ROLLUP_H
#define QCC_SUPERVISOR_RECORDER_TABLES_ROLLUP_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "common/policy/hist.h"
#include "common/policy/outcome.h"

#include <sqlite3.h>

/* The sums, in the order of the columns of usage_15 and usage_60. */
enum rollup_sum {
    SUM_REQUESTS,
    SUM_OK,
    SUM_FAILED,
    SUM_CANCELLED,
    SUM_RETRIED,
    SUM_MOVED,
    SUM_INPUT,
    SUM_OUTPUT,
    SUM_CACHE_READ,
    SUM_WRITE_5M,
    SUM_WRITE_1H,
    SUM_WEB,
    SUM_UNTOLD,
    SUM_BYTES_IN,
    SUM_BYTES_OUT,
    SUM_TTFB_MS,
    SUM_TTFB_N,
    SUM_TOTAL_MS,
    SUM_GEN_MS,
    SUM_GEN_TOKENS,
    SUM__COUNT
};

/* The name of its column. */
const char *rollup_column(enum rollup_sum s);

struct rollup_key {
    int64_t q; /* end in quarters of an hour since 1970 */
    int64_t endpoint, model, client, rate;
};

struct rollup_usage {
    struct rollup_key key;
    int64_t sum[SUM__COUNT];
};

/* First bytes of an hour. */
struct rollup_speed {
    int64_t q, endpoint, model; /* q: hours since 1970 */
    uint32_t hist[HIST_BUCKETS];
};

/* Attempts of an hour. */
struct rollup_tries {
    int64_t q, endpoint; /* q: hours since 1970 */
    enum outcome cls;
    int64_t n, charged;
};

/* Zero bytes are a valid start. */
struct rollup {
    struct rollup_usage *usage; /* owned arrays, each with the number used and allocated */
    struct rollup_speed *speed;
    struct rollup_tries *tries;
    size_t nusage, nspeed, ntries, cap_usage, cap_speed, cap_tries;
    /* prepared with the first batch: preparing costs as much as ten requests */
    sqlite3_stmt *add_15, *add_60, *get_speed, *put_speed, *add_tries;
};

/* Adds one request's sums. */
void rollup_usage(struct rollup *r, const struct rollup_key *key,
                  const int64_t sum[static SUM__COUNT]);
/* Adds one first byte. q: quarters of an hour. */
void rollup_first_byte(struct rollup *r, const struct rollup_key *key, uint64_t us);
/* Adds one attempt. q: quarters of an hour. */
void rollup_attempt(struct rollup *r, int64_t q, int64_t endpoint, enum outcome cls, bool charged);

/* Adds all to the file, within the caller's transaction. Returns SQLite's result; the sums stay. */
int rollup_write(struct rollup *r, sqlite3 *db) MUST_CHECK;

/* Forgets the sums; the memory stays. */
void rollup_clear(struct rollup *r);

/* Frees all, before the file is closed. */
void rollup_free(struct rollup *r);

#endif
