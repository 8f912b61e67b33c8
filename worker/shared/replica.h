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
#include "common/policy/marks.h"
#include "worker/shared/cell_replica.h"
#include "worker/upstream/pool.h"

/* State of an endpoint as last received (ENDPOINT). All zero: health unknown, usable. */
struct ep_view {
    enum ep_health health;
    enum breaker_state breaker;
    bool trial_busy; /* a request or a verification is the trial, here or in another worker */
    /* queued: in the failure queue, requests may not use it. draining: only conversations that are
     * bound to it may. */
    bool queued, draining;
    enum ep_disabled disabled;
    unsigned refused_status;   /* status with which the endpoint refused its key; 0: not known */
    int64_t refused_wall_ms;   /* when it refused its key (CLOCK_REALTIME); 0: not known */
    bool success_wanted;       /* a success would improve the endpoint's state: report it */
    int64_t cooldown_until_ms; /* end of the cooldown (CLOCK_BOOTTIME); 0: none */
    /* until when the endpoint asked to be left alone (CLOCK_BOOTTIME); 0: none */
    int64_t own_until_ms;
    /* until when count_tokens is not tried there (CLOCK_BOOTTIME); 0: none */
    int64_t no_count_until_ms;
    int64_t counted_ms; /* when it last counted tokens for any worker (CLOCK_BOOTTIME); 0: never */
};

/* What this worker has on loan of one endpoint (loan.h). All zero: nothing. */
struct loan {
    struct loan_trial trial; /* of the endpoint's breaker; cells have theirs in their views */
    uint32_t limit;          /* max_concurrent; 0: no limit, and the members below are unused */
    uint32_t places;         /* places that this worker has, used ones included */
    uint32_t peak;           /* most open requests since the last loan_sweep */
    bool wanted;             /* PLACES asked for one more place, which LEND has not brought yet */
    int64_t since_ms;        /* PLACES.wanted_ms, if `wanted` */
    /* LEND said that no place is unused anywhere; another follows when one is */
    bool dry;
    int64_t asked_ms; /* when PLACES first asked (CLOCK_BOOTTIME) */
    bool recalled;    /* other workers wait: places go back as they become free */
};

/* A model that was reported as served. */
struct model_reported {
    uint64_t hash; /* model_hash of its name; 0: none */
    double at;     /* ev_now() */
};

/* So many models are reported within a pause (report.c), whatever clients ask for. */
enum { MODELS_REPORTED = 16 };

/* What a change of which is told to the rankings (ep_changed), beside the supervisor's messages. */
enum ep_watch {
    EP_WATCH_ROOM = 1, /* it was full when last looked at, and may have room again */
    EP_WATCH_LOAD = 2  /* open requests and time to first byte decide choices */
};

/* The endpoints whose state has changed since the rankings last looked (rankings.h), and what is
 * told of a pool that has room. */
struct ep_news {
    struct ep_live *first;
    void (*room)(void *arg);
    void *room_arg;
};

/* State of an endpoint that outlives a reload; counted by reference. */
struct ep_live {
    char id[9];              /* 8 hex digits */
    uint8_t watch;           /* set of enum ep_watch */
    bool changed;            /* in ep_news.first */
    uint32_t index;          /* in replica.eps */
    struct ep_news *changes; /* of the replica; NULL: it is not in the configuration */
    struct ep_live *next_changed;
    struct pool *pool;
    struct ep_view view;
    struct cell_replica cells;
    struct loan loan;
    uint32_t open;                   /* requests of this worker that use the endpoint now */
    struct stats_record stats;       /* counted since the last STATS (counters.h) */
    bool stats_changed;              /* `stats` has changed since the last STATS */
    struct pool_stats pool_reported; /* the pool's counts as of the last STATS */
    double ttfb_avg;  /* moving average of the time to first byte, seconds; 0: unknown */
    bool ok_reported; /* a success was reported since the last ENDPOINT */
    struct model_reported reported[MODELS_REPORTED]; /* models last reported as served */
    double model_new; /* ev_now() of the last report of a model that was not among these */
    /* when it last counted tokens for this worker (CLOCK_BOOTTIME); 0: never */
    int64_t counted_ms;
    int64_t counted_reported_ms; /* when OUTCOME last reported counted_ms (CLOCK_BOOTTIME) */
    char *listed;    /* owned; the models that it lists (model_pack.h); NULL: not known */
    size_t listed_n; /* bytes */
    int64_t turn;    /* state of round robin (sel_ep.turn) */
    unsigned refs;
    struct ep_live *next; /* in replica.departed */
};

/* An endpoint of one configuration; counted by reference. */
struct ep {
    struct conf *conf; /* holds a reference, for ce points into it */
    const struct conf_endpoint *ce;
    struct ep_live *live;
    struct cell_families own_cells; /* families that have a cell of their own by `ce` */
    uint64_t id_hash;
    uint32_t index; /* in replica.eps of its own configuration */
    unsigned refs;
};

struct replica {
    struct ep **eps; /* in the order of the configuration file */
    size_t n;
    size_t nopenai; /* endpoints that speak OpenAI's protocol */
    /* endpoints that a reload took out while requests used them: one that comes back goes on with
     * its open requests and places; holds a reference to each */
    struct ep_live *departed;
    struct marks marks; /* of all endpoints, by ep.id_hash; times of CLOCK_BOOTTIME */
    uint32_t *by_hash;  /* owned; indices in eps by ep.id_hash, the smallest first */
    struct ep_news changes;
    SSL_CTX *tls; /* owned; for https endpoints; NULL while there is none */
    char *ca_pem; /* owned; the certificates that `tls` trusts; NULL: the system's */
};

/* Puts a configuration into force: endpoints that stay keep their state and pool. `room` is called
 * with `arg` whenever a pool has room again. False with e set: nothing was changed. */
bool replica_configure(struct replica *r, struct conf *c, struct ev_loop *loop, struct dialer *d,
                       void (*room)(void *arg), void *arg, struct err *e) MUST_CHECK;

/* Drops all entries; requests that hold a reference to one keep it. */
void replica_free(struct replica *r);

/* Finds an endpoint by id; NULL: it is not in the configuration. The reference is not the
 * caller's. */
struct ep *replica_find(const struct replica *r, struct str id);
/* The same by ep.id_hash. */
struct ep *replica_by_hash(const struct replica *r, uint64_t id_hash);
/* Takes one endpoint out of those that have changed; NULL: there is none. */
struct ep_live *replica_take_changed(struct replica *r);

/* ENDPOINT: stores the state of one endpoint. NULL: it is not in the configuration, and the message
 * is dropped. */
struct ep_live *replica_update(struct replica *r, const struct ipc_endpoint *m);

/* MARK: stores a mark or suspect, or that it is none any more. */
void replica_mark(struct replica *r, const struct ipc_mark *m, int64_t now_ms);

/* CELL: stores the state of a cell. NULL: its endpoint is not in the configuration, and the message
 * is dropped. *gone: as of cell_replica_set. */
struct ep_live *replica_update_cell(struct replica *r, const struct ipc_cell *m, uint64_t *gone);

/* LIST: stores the models that an endpoint lists, if it is in the configuration. */
void replica_update_list(struct replica *r, const struct ipc_list *m);

/* MODELS: stores what an endpoint has served, if it is in the configuration. */
void replica_update_models(struct replica *r, const struct ipc_models *m);

/* Takes a reference; returns e. */
struct ep *ep_ref(struct ep *e);

/* Drops a reference; with the last one e is freed. */
void ep_unref(struct ep *e);

/* Drops a reference; with the last one l is freed and its pool released. */
void ep_live_unref(struct ep_live *l);

/* Notes that the endpoint's state has changed, in something that a choice depends on. */
void ep_changed(struct ep_live *l);

/* The tier of choice that the state amounts to. */
enum sel_tier ep_view_tier(const struct ep_view *v);

/* Adds a time to first byte to the moving average. */
void ep_ttfb(struct ep_live *e, double seconds);

#endif
