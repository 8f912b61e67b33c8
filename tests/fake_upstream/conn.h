/* conn: one client connection: reads requests, plays replies, one after the other. A reply in
 * progress ends when the peer closes, in whatever phase: that is counted, for tests of "client
 * gone, upstream ended". */
#ifndef QCC_TESTS_FAKE_UPSTREAM_CONN_H
#define QCC_TESTS_FAKE_UPSTREAM_CONN_H

#include "common/base/list.h"
#include "tests/fake_upstream/due.h"
#include "tests/fake_upstream/site.h"

#include <openssl/ssl.h>

enum { SCRATCH = 256 * 1024, PIPELINE_MAX = 64 * 1024 };

/* What the program has one of. */
struct fake {
    struct ev_loop *loop;
    struct due_heap due;
    struct sites sites;
    struct list conns;
    SSL_CTX *tls;
    bool quiet;
    uint32_t open;
    uint64_t accepted, tls_resumed, ids;
    char *scratch; /* SCRATCH bytes every read goes to */
    char *filler;  /* SCRATCH bytes of x */
};

/* Takes over the accepted, non-blocking descriptor. */
void conn_new(struct fake *f, int fd, bool tls);

/* Closes the connections that have had a request: the idle ones, or (with a reset) all. */
void conn_drop_all(struct fake *f, bool idle_only);

/* Closes and frees every connection: the program ends. */
void conn_end_all(struct fake *f);

#endif
