/* replica: this worker's read-only view of the endpoints: the configuration of each, the state that
 * the supervisor decided, and the pool of connections to it. An entry is reference-counted: a
 * request keeps the one it uses over a reload. */
#ifndef QCC_WORKER_SHARED_REPLICA_H
#define QCC_WORKER_SHARED_REPLICA_H

#include "common/base/base.h"
#include "common/base/err.h"
#include "common/conf/conf.h"
#include "common/ipc/ipc.h"
#include "common/ipc/stats.h"
#include "common/policy/endpoint/endpoint_state.h"
#include "worker/upstream/pool.h"

/* What the supervisor says of an endpoint (ENDPOINT). Zero bytes: unknown health, nothing against
 * it. */
struct ep_view {
    enum ep_health health;
    enum breaker_state breaker;
    bool trial_busy; /* somebody tries it */
    bool queued, draining;
    enum ep_disabled disabled;
    unsigned refused_status;   /* disabled by auth: with which status, when (CLOCK_REALTIME); 0: not known */
    int64_t refused_wall_ms;
    bool success_wanted;       /* something stands against it that a success would end */
    int64_t cooldown_until_ms; /* CLOCK_MONOTONIC; 0: not cooling */
    int64_t own_until_ms;      /* by its own word; likewise */
    int64_t no_count_until_ms; /* it cannot count tokens until then; likewise */
    int64_t counted_ms;        /* when it last has, for some worker; likewise */
    struct ep_block blocks[EP_BLOCKS];
    uint32_t nblocks;
};

/* What this worker has on loan of one endpoint (loan.h). Zero bytes: nothing. */
struct loan {
    uint64_t trial; /* lent and not begun: its seq; 0: none */
    bool trial_out; /* a request of this worker is the trial */
    bool trial_asked;
    uint32_t limit; /* max_concurrent; 0: no limit, and what follows means nothing */
    uint32_t places;
    uint32_t peak;  /* most open requests since the last sweep */
    bool wanted;    /* the supervisor was asked for one more and has not lent it yet */
    bool dry;       /* and has answered that none is free now: LEND comes when one is */
    int64_t wanted_ms; /* when it was asked (CLOCK_MONOTONIC) */
    bool recalled;  /* others wait: what becomes free goes back */
};

/* What stays the same endpoint over a reload. */
struct ep_live {
    char id[9];
    struct pool *pool;
    struct ep_view view;
    struct loan loan;
    uint32_t open;        /* requests of this worker that use it now */
    struct stats_record stats; /* counted since they were last told (gauge.h) */
    bool stats_changed;   /* there is something to tell of them */
    struct pool_stats pool_reported; /* as the pool was then */
    double ttfb_avg;      /* moving average of the time to first byte, seconds; 0: unknown */
    bool ok_reported;         /* a success was reported since the supervisor's last word */
    uint64_t model_reported;  /* hash of the model last reported as served */
    double model_reported_at; /* ev_now() */
    int64_t counted_ms;   /* when it last counted tokens for this worker; 0: never */
    int64_t counted_reported_ms; /* when that was last reported */
    int64_t turn;         /* round robin's memory */
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

/* ENDPOINT: takes the state of one endpoint into use. NULL: it is gone, and the message is dropped. */
struct ep_live *replica_update(struct replica *r, const struct ipc_endpoint *m);

struct ep *ep_ref(struct ep *e);
void ep_unref(struct ep *e);

void ep_live_unref(struct ep_live *l);

/* What stands in OUTCOME and in blocks for a model's name. */
uint64_t ep_model_hash(struct str model);

/* Whether the supervisor has blocked that model there. */
bool ep_model_blocked_here(const struct ep_view *v, uint64_t hash, int64_t now_ms);

/* The name by which the endpoint is asked for a model (its models.map); NULL: the same. */
const char *ep_model_there(const struct conf_endpoint *ce, struct str model);

enum sel_tier ep_view_tier(const struct ep_view *v);

/* Adds a time to first byte to the moving average. */
void ep_ttfb(struct ep_live *e, double seconds);

#endif
