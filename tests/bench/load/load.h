/* load: the state of a run of the load generator: options, connections, counts. */
#ifndef QCC_TESTS_BENCH_LOAD_LOAD_H
#define QCC_TESTS_BENCH_LOAD_LOAD_H

#include "common/base/buf.h"

#include <netinet/in.h>
#include <openssl/ssl.h>

enum {
    CONNS_MAX = 20000,
    BODY_MAX = 64 * 1024 * 1024,
    READ = 256 * 1024,
    SAMPLES_MAX = 4 * 1024 * 1024,
    PIDS_MAX = 64,
    TOOLS_MAX = 1000,
    SILENCE_US = 10000000, /* a connection that receives nothing for so long has failed */
    HEAD_MAX = 65536
};

enum mode { MODE_JSON, MODE_SSE, MODE_HOLD };

struct conn;

/* Times in µs, of which the report gives percentiles. */
struct samples {
    uint32_t *v;
    size_t n;
};

struct load {
    enum mode mode;
    struct sockaddr_in to;
    const char *path;
    bool tls;
    bool fresh, resume; /* a connection for each request; with the TLS session of the last one */
    uint32_t conns;
    uint32_t busy; /* connections that ask again and again: the others ask once */
    uint64_t body;
    double seconds, warm;
    uint64_t count, reply, want_events;
    uint32_t conversations; /* 0: one a connection */
    uint32_t first;         /* number of the first conversation */
    uint32_t tools;         /* that a request offers */
    uint64_t asked;         /* requests begun */
    uint64_t stagger_us, pause_us;
    int pids[PIDS_MAX];
    size_t npids;

    SSL_CTX *ctx;
    int ep;
    struct conn *v;
    uint32_t opened, begun, rested;
    struct buf req; /* head and body; the conversation's number is written at offset `slot` */
    size_t slot;
    char *in;
    bool measuring;
    int64_t from_us;
    uint64_t replies, events, bytes, failed, resumed;
    char why[160];                   /* reason of the first failure */
    struct samples first_byte, gaps; /* of replies; between a stream's events */
};

/* Makes l->req by the options; dies when it is too large. */
void request_make(struct load *l);

/* Runs MODE_JSON or MODE_SSE and prints the report. */
void load_run(struct load *l);

/* Runs MODE_HOLD and prints the report. */
void load_hold(struct load *l);

#endif
