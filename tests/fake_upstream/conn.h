/* conn: one client connection: reads requests, plays replies, one after the other. When the peer
 * closes, a reply in progress ends in any phase and is counted as aborted: tests check that a proxy
 * closes its connection when its client is gone. */
#ifndef QCC_TESTS_FAKE_UPSTREAM_CONN_H
#define QCC_TESTS_FAKE_UPSTREAM_CONN_H

#include "common/base/list.h"
#include "tests/fake_upstream/due.h"
#include "tests/fake_upstream/site.h"

#include <openssl/ssl.h>
#include <stdio.h>

enum { SCRATCH = 256 * 1024, PIPELINE_MAX = 64 * 1024 };

/* The state of the program. */
struct fake {
    struct ev_loop *loop;
    struct due_heap due;
    struct sites sites;
    struct list conns;
    SSL_CTX *tls;
    bool quiet;
    FILE *journal; /* NULL: none is kept */
    uint32_t open;
    uint64_t accepted, tls_resumed, ids, numbers;
    char *scratch; /* read buffer of SCRATCH bytes */
    char *filler;  /* SCRATCH bytes 'x' */
};

/* Makes a connection of the accepted, non-blocking descriptor, which it takes over. port: its
 * listener's. */
void conn_new(struct fake *f, int fd, bool tls, unsigned port);

/* Resets the connections of that listener. */
void conn_reset_port(struct fake *f, unsigned port);

/* Closes the connections that have had a request: all of them with a reset, or the idle ones. */
void conn_drop_all(struct fake *f, bool idle_only);

/* Closes and frees every connection: the program ends. */
void conn_end_all(struct fake *f);

#endif
