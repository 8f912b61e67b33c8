/* factors: what endpoints charge of the list price, and since when, as the file keeps it: a row for
 * each endpoint, which holds from the beginning, and one where its factor changed. Rows of an
 * endpoint are numbered in the order of time; a request is stored with the number of the one in
 * force when it ended, so that sums of one hour tell what was before and after a change apart. */
#ifndef QCC_SUPERVISOR_RECORDER_TABLES_FACTORS_H
#define QCC_SUPERVISOR_RECORDER_TABLES_FACTORS_H

#include "common/base/base.h"
#include "supervisor/recorder/tables/names.h"

struct factor {
    int64_t endpoint, since_s; /* number of its name; Unix time, 0: ever since */
    uint64_t ppm;              /* millionths of the list price */
    unsigned number;           /* of the endpoint's rows, from 0 on, modulo FACTOR_NUMBERS */
};

/* Numbers that a request can be stored with: as many changes in one hour are told apart. */
enum { FACTOR_NUMBERS = 512 };

/* All factors of the file. Zero bytes: none. */
struct factors {
    struct factor *v; /* owned, by endpoint and time */
    size_t n;
};

/* Reads all. Returns SQLite's result; factors_free in any case. */
int factors_read(struct factors *f, sqlite3 *db) MUST_CHECK;
/* Frees all. */
void factors_free(struct factors *f);

/* The row of an endpoint, by the number of its name, in force at a Unix time; NULL: none, the
 * factor is 1. */
const struct factor *factors_at(const struct factors *f, int64_t endpoint, int64_t at_s);

/* The factor of what ended from since_s on and before until_s and was stored with that number, in
 * millionths: of the rows in force in that time the one of the number; without one, the first. */
uint64_t factors_of(const struct factors *f, int64_t endpoint, int64_t since_s, int64_t until_s,
                    unsigned number);

struct factor_sent;

/* Factors that the supervisor sent and that are not in the file yet. Zero bytes: none. */
struct factors_sent {
    struct factor_sent *v; /* owned */
    size_t n, cap;
};

/* Adds one, or changes that of the same endpoint. False: more than there can be endpoints. */
bool factors_sent_put(struct factors_sent *s, struct str endpoint, uint64_t ppm) MUST_CHECK;
/* Frees all. */
void factors_sent_free(struct factors_sent *s);

/* Writes those that differ from what the file has for that Unix time, in one transaction; s is
 * empty then. On failure nothing is written, and s stays. Returns SQLite's result. */
int factors_sent_write(struct factors_sent *s, sqlite3 *db, struct names *names,
                       int64_t now_s) MUST_CHECK;

#endif
