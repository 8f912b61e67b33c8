/* journal: a file with a JSON line for each request that was read, each exchange that ended and
 * each behaviour that was set: what a judge of the proxy in front compares with what its clients
 * got. */
#ifndef QCC_TESTS_FAKE_UPSTREAM_JOURNAL_H
#define QCC_TESTS_FAKE_UPSTREAM_JOURNAL_H

#include "tests/fake_upstream/request.h"

#include <stdio.h>

struct journal_entry {
    const char *what; /* "begin": head and body are read; "end": the exchange is over */
    const char *site;
    const struct request *r;
    uint64_t conn;      /* number of the connection, from 1 */
    int64_t head_us;    /* when the head had come (CLOCK_MONOTONIC) */
    unsigned status;    /* planned; 0: nothing that is HTTP */
    bool fails;         /* by intent */
    bool whole;         /* end: as intended; false: the peer closed before */
    uint64_t sent;      /* bytes, the head's among them */
    int64_t content_us; /* when content first went out; 0: not yet, or none is to go out */
};

/* Writes the line. f NULL: does nothing. */
void journal_exchange(FILE *f, const struct journal_entry *e);

/* Writes that the site /n/NAME has a new behaviour. f NULL: does nothing. */
void journal_set(FILE *f, struct str name, struct str spec);

#endif
