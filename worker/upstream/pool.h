/* pool: the connections of this worker to one endpoint: idle ones for the next request, new ones
 * dialled (and TLS shaken hands) on demand, never more than the limit. An idle connection on which
 * anything is said, or that is closed, is dropped, never reused. Reference-counted: the endpoint's entry in
 * the replica holds one, each connection in use another; it survives a reload. */
#ifndef QCC_WORKER_UPSTREAM_POOL_H
#define QCC_WORKER_UPSTREAM_POOL_H

#include "common/base/base.h"
#include "common/base/list.h"
#include "common/policy/outcome.h"
#include "worker/net/dial.h"
#include "worker/net/io.h"
#include "worker/loop/deadline.h"

#include <ev.h>

struct pool;

/* One connection to an endpoint. Its user sets `ops` and gets the events; while idle the pool does. */
struct pconn {
    struct io io;
    ev_io rd, wr;        /* rd is always active, so that no system call is spent on it per request */
    struct deadline deadline;
    struct pool *pool;
    struct list node;    /* among the idle ones */
    struct lease *lease; /* during the TLS handshake */
    const struct pconn_ops *ops;
    void *user;
    uint32_t uses;       /* exchanges begun on it */
    unsigned epoch;      /* the pool's, when it was dialled */
    unsigned turn;       /* the loop's, when it became idle */
};

struct pconn_ops {
    void (*readable)(struct pconn *c);
    void (*writable)(struct pconn *c);
    void (*expired)(struct pconn *c); /* tmo */
};

/* A wish for a connection, embedded in who wishes. */
struct lease {
    struct list node;
    struct pool *pool;
    struct dial *dial;
    struct pconn *shaking;
    double since;
    unsigned epoch; /* the pool's, when the dial began */
    void (*ready)(struct lease *l, struct pconn *c);
    void (*failed)(struct lease *l, enum net_fault why);
};

/* What a pool needs to know; strings are copied by pool_configure. */
struct pool_conf {
    const char *host, *proxy; /* proxy NULL: none */
    uint16_t port;
    SSL_CTX *ctx;             /* NULL: plain; a reference is taken */
    uint32_t max_connections, max_idle;
    int64_t connect_timeout_ms, idle_expiry_ms;
};

struct pool_stats {
    uint32_t idle, total;
    uint64_t dialled, reused;
};

struct pool *pool_new(struct ev_loop *loop, struct dialer *d) MUST_CHECK;

/* New settings, after a reload too: where the way to the endpoint changed (host, proxy, context), idle
 * connections are closed. */
void pool_configure(struct pool *p, const struct pool_conf *c);

struct pool *pool_ref(struct pool *p);
void pool_unref(struct pool *p);

/* Closes the idle connections; those in use are closed when they come back. For an endpoint that is
 * gone. */
void pool_retire(struct pool *p);

enum pool_answer { POOL_READY, POOL_LATER, POOL_FULL };

/* Asks for a connection. READY: *c is it, now the caller's. LATER: one of l's callbacks follows from
 * the loop. FULL: the limit is reached. `fresh`: not an idle one. */
enum pool_answer pool_get(struct pool *p, struct lease *l, bool fresh, struct pconn **c) MUST_CHECK;

/* Whether pool_get would not say FULL. */
bool pool_has_room(const struct pool *p);

/* Withdraws a wish that was answered LATER. */
void pool_cancel(struct lease *l);

/* Opens a connection (TLS and all) for the idle ones, if there is none yet; a failure is logged. */
void pool_warm_up(struct pool *p);

/* Gives a connection back: to the idle ones (beyond max_idle for a second only), or closed when it
 * cannot be used again. */
void pool_release(struct pconn *c, bool reusable);

/* Closes up to n idle connections, oldest first: descriptors are short. Returns how many. */
unsigned pool_shed(struct pool *p, unsigned n);

void pool_stats(const struct pool *p, struct pool_stats *out);

/* Called when a connection was given up or the limit rose: room for somebody who waits. */
void pool_on_room(struct pool *p, void (*room)(void *arg), void *arg);

#endif
