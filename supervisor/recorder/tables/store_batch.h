/* store_batch: records of requests written to the file: one transaction a batch, a row for each
 * request and the sums of all. */
#ifndef QCC_SUPERVISOR_RECORDER_TABLES_STORE_BATCH_H
#define QCC_SUPERVISOR_RECORDER_TABLES_STORE_BATCH_H

#include "common/conf/conf.h"
#include "common/ipc/recent_record.h"
#include "supervisor/recorder/tables/endpoint_names.h"
#include "supervisor/recorder/tables/factors.h"
#include "supervisor/recorder/tables/names.h"
#include "supervisor/recorder/tables/rollup.h"

/* STORE_BATCH_MAX: records of one transaction at most. STORE_K_BITS: a key of request and event is
 * Unix ms << STORE_K_BITS, with a number that tells rows of one millisecond apart. */
enum { STORE_BATCH_MAX = 500, STORE_K_BITS = 12 };

/* Bytes of request.id. */
enum { ID_BYTES = 10 };

/* Of `rate`, above the bits of a price (PRICE_RATE_…): the number of the endpoint's factor
 * (factors.h). All together are two bytes in the file. */
enum { RATE_FACTOR_SHIFT = 6 };

struct store_batch {
    sqlite3 *db; /* borrowed */
    struct names names;
    struct rollup rollup;
    struct factors factors; /* as the file has them */
    sqlite3_stmt *add, *begin, *commit;
    enum conf_historyrows rows_kept;
    bool rows_off;   /* no rows, whatever is kept: there is no room */
    uint64_t missed; /* requests that have no row for it, since rows_off was set */
    bool clients;
    struct endpoint_names endpoints; /* for trails */
    int64_t last_k;                  /* key of the newest row that this process has written */
    int64_t rows, oldest, newest;    /* requests in the file, and their ends in ms; 0: none */
};

/* Whether something of that time can be stored: Unix ms, between 2020 and 2100. */
bool store_batch_time(int64_t at_ms);

/* Whether a record can be stored: sound, with a time between 2020 and 2100. */
bool store_batch_sound(const struct recent_record *r);

/* Prepares to write into an open file. Returns SQLite's result. */
int store_batch_open(struct store_batch *b, sqlite3 *db) MUST_CHECK;

/* Writes n sound records, STORE_BATCH_MAX at most, in one transaction. On failure nothing is
 * written. Returns SQLite's result. */
int store_batch_write(struct store_batch *b, const struct recent_record *v, size_t n) MUST_CHECK;

/* Reads the factors anew: some were written. Returns SQLite's result. */
int store_batch_factors(struct store_batch *b) MUST_CHECK;

/* n requests have been removed from the file. */
void store_batch_removed(struct store_batch *b, int64_t n);

/* Frees all, before the file is closed. What is to be stored stays set. */
void store_batch_close(struct store_batch *b);

#endif
