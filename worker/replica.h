/* replica: this worker's read-only view of the endpoints: the configuration of each, the state that
 * the supervisor decided, and the pool of connections to it. An entry is reference-counted: a
 * request keeps the one it uses over a reload. */
#ifndef QCC_WORKER_REPLICA_H
#define QCC_WORKER_REPLICA_H

#include "common/base/base.h"
#include "common/base/err.h"
#include "common/conf/conf.h"
#include "common/ipc/ipc.h"
#include "common/ipc/stats.h"
#include "worker/pool.h"

/* As the ENDPOINT message carries them. */
enum ep_health { EP_UNKNOWN, EP_HEALTHY, EP_DEGRADED, EP_UNHEALTHY };
enum ep_breaker { BREAKER_IS_CLOSED, BREAKER_IS_OPEN, BREAKER_IS_HALF_OPEN };

/* What the supervisor says of an endpoint. Zero bytes: unknown health, nothing against it. */
struct ep_state {
    uint8_t health;  /* enum ep_health */
    uint8_t breaker; /* enum ep_breaker */
    bool own_word, queued, disabled, draining;
    int64_t cooldown_until_ms; /* CLOCK_MONOTONIC; 0: not cooling */
};

/* What stays the same endpoint over a reload. */
struct ep_live {
    struct pool *pool;
    struct ep_state state;
    uint32_t open;        /* requests of this worker that use it now */
    struct stats_record stats; /* counted since they were last told (gauge.h) */
    bool news;            /* … and there is something to tell */
    double ttfb_avg;      /* moving average of the time to first byte, seconds; 0: unknown */
    bool told_ok;         /* a success was reported since the last failure here */
    int64_t turn;         /* round robin's memory */
    bool no_count_tokens; /* answered 404, 405 or 501 to count_tokens */
    unsigned refs;
};

struct ep {
    struct conf *conf; /* one reference: ce points into it */
    const struct conf_endpoint *ce;
    struct ep_live *live;
    uint64_t id_hash;
    uint32_t index; /* in the replica it belongs (or belonged) to */
    unsigned refs;
};

struct replica {
    struct ep **eps; /* in the order of the file */
    size_t n;
    SSL_CTX *tls;    /* for https endpoints; NULL while there is none */
    char *ca_pem;    /* what tls was made with */
};

/* Takes a new configuration into use: entries of endpoints that stay keep state and pool. `room` is
 * told when a pool gets room again. False with e set: nothing was changed. */
bool replica_configure(struct replica *r, struct conf *c, struct ev_loop *loop, struct dialer *d,
                       void (*room)(void *arg), void *arg, struct err *e) MUST_CHECK;

/* Drops all entries (their users keep theirs). */
void replica_free(struct replica *r);

/* By id; NULL: gone. */
struct ep *replica_find(const struct replica *r, struct str id);

/* The supervisor's word on one endpoint; of one that is gone it is dropped. */
void replica_update(struct replica *r, const struct ipc_endpoint *m);

struct ep *ep_ref(struct ep *e);
void ep_unref(struct ep *e);

void ep_live_unref(struct ep_live *l);

/* Adds a time to first byte to the moving average. */
void ep_ttfb(struct ep_live *e, double seconds);

#endif
