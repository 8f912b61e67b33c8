/* pool: the connections of this worker to one endpoint: idle ones are reused, new ones dialled on
 * demand (with the TLS handshake), never more than the limit. An idle connection on which bytes or
 * an end of the stream come is closed, and so is one that is max_age old. Counted by reference: the
 * endpoint's entry in the replica holds one, each connection another. Outlives a reload. */
#ifndef QCC_WORKER_UPSTREAM_POOL_H
#define QCC_WORKER_UPSTREAM_POOL_H

#include "common/base/base.h"
#include "common/base/list.h"
#include "common/policy/outcome.h"
#include "worker/net/dial.h"
#include "worker/net/io.h"
#include "worker/loop/deadline.h"
#include "worker/loop/reader.h"

#include <ev.h>

struct pool;

/* One connection to an endpoint. Its user sets `ops` and gets its events; while idle the pool
 * does. */
struct pconn {
    struct io io;
    /* rd stays active while idle: no system call per request is needed for it */
    struct reader rd;
    ev_io wr;
    struct deadline deadline;
    struct pool *pool;
    struct list node;    /* in pool.idle */
    struct lease *lease; /* who gets it; during the TLS handshake only */
    const struct pconn_ops *ops;
    void *user;     /* for the user's ops */
    uint32_t uses;  /* exchanges begun on it */
    unsigned epoch; /* pool.epoch when its dial began */
    double born;    /* turn.time when it was made */
};

struct pconn_ops {
    void (*readable)(struct pconn *c);
    void (*writable)(struct pconn *c);
    void (*expired)(struct pconn *c); /* c->deadline has passed */
};

/* A request for a connection, a member of its user's object. The user sets ready and failed. */
struct lease {
    struct list node; /* in pool.waiting */
    struct pool *pool;
    struct dial *dial;     /* NULL: not dialling */
    struct pconn *shaking; /* connection in its TLS handshake; NULL: none */
    double since;          /* turn.time of pool_get; connect_timeout counts from here */
    uint32_t stalls;       /* turn.stalls when the dial began */
    unsigned epoch;        /* pool.epoch when the dial began */
    void (*ready)(struct lease *l, struct pconn *c); /* c is the user's now */
    /* no connection could be made; d: that in words, valid during the call */
    void (*failed)(struct lease *l, enum net_fault why, const struct detail *d);
};

/* Settings of a pool; pool_configure copies the strings. */
struct pool_conf {
    const char *host, *proxy; /* proxy NULL: none */
    uint16_t port;
    SSL_CTX *ctx; /* NULL: plain; a reference is taken */
    uint32_t max_connections, max_idle;
    int64_t connect_timeout_ms, idle_expiry_ms, max_age_ms;
};

struct pool_stats {
    uint32_t idle, total; /* connections now; total: idle, in use and being dialled */
    /* dials that succeeded, idle connections handed out; since pool_new */
    uint64_t dialled, reused;
};

/* Makes a pool; the reference is the caller's. d must outlive it. */
struct pool *pool_new(struct ev_loop *loop, struct dialer *d) MUST_CHECK;

/* Puts settings into force, at first and after a reload. When host, port, proxy or context change,
 * idle connections are closed, and those in use when they are released. */
void pool_configure(struct pool *p, const struct pool_conf *c);

void pool_unref(struct pool *p);

/* Closes the idle connections, and those in use when they are released: the endpoint is no longer
 * in the configuration. `room` is not called any more. */
void pool_retire(struct pool *p);

enum pool_answer { POOL_READY, POOL_LATER, POOL_FULL };

/* Gets a connection. POOL_READY: *c is it, now the caller's until pool_release. POOL_LATER: one of
 * l's callbacks follows from the loop. POOL_FULL: the limit is reached, or no dial could be
 * started. `fresh`: a new connection, not an idle one. */
enum pool_answer pool_get(struct pool *p, struct lease *l, bool fresh, struct pconn **c) MUST_CHECK;

/* Whether the limit leaves room for pool_get. */
bool pool_has_room(const struct pool *p);

/* Ends the lease of a pool_get that returned POOL_LATER; no callback follows. */
void pool_cancel(struct lease *l);

/* Opens an idle connection, with the TLS handshake, if there is no connection yet; a failure is
 * logged. */
void pool_warm_up(struct pool *p);

/* The endpoint sent bytes that nobody asked for, which might be taken for the reply to a later
 * request: its connections are closed after each request for ten minutes. Logged the first time. */
void pool_unasked(struct pool *p);

/* Takes a connection back. `reusable`: it becomes idle, beyond max_idle for a second only;
 * otherwise it is closed. */
void pool_release(struct pconn *c, bool reusable);

/* Closes up to n idle connections, oldest first, to free descriptors. Returns how many. */
unsigned pool_shed(struct pool *p, unsigned n);

/* Fills *out with the pool's counts. */
void pool_stats(const struct pool *p, struct pool_stats *out);

/* Sets the callback for when a connection ended or became idle, or the limit rose: a waiting
 * request may get one. */
void pool_on_room(struct pool *p, void (*room)(void *arg), void *arg);

#endif
