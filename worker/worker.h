/* wkr: the root object of a worker process: its loop, its channel to the supervisor, the
 * configuration in force, and what all of its connections share. Lives as long as the process. */
#ifndef QCC_WORKER_WKR_H
#define QCC_WORKER_WKR_H

#include "common/base/base.h"
#include "common/base/list.h"
#include "common/base/rnd.h"
#include "common/conf/conf.h"
#include "common/ipc/chan.h"
#include "worker/shared/binding_replica.h"
#include "worker/shared/counters.h"
#include "worker/http/http1.h"
#include "worker/shared/recent_ring.h"
#include "worker/shared/replica.h"
#include "worker/upstream/exchange.h"

#include <ev.h>

/* The shared read buffer: as much as one event takes from a socket. */
enum { WKR_RBUF = 65536 };

/* Something that ended within a callback of its own and is freed at the end of the loop's turn. */
struct dead {
    struct list node;
    void (*free)(struct dead *d);
};

struct wkr {
    struct ev_loop *loop;
    unsigned slot;
    char name[24]; /* "worker 0" */
    struct chan chan;
    ev_io chan_rd, chan_wr;
    uint64_t gen;
    struct conf *conf; /* in force; NULL until the first CONF */
    struct replica replica;
    struct binding binding;
    struct dialer *dialer;
    struct up_env up_env;
    struct up_conf up_conf;
    struct http_head *head; /* scratch for requests, as up_env.head is for replies */
    char *rbuf;
    struct rnd rnd;
    int diag; /* peer.h */
    uint8_t secret[32]; /* of this installation: conversations are hashed with it */

    struct list listeners;
    struct list conns;      /* all client connections */
    struct list idle_conns; /* those between two requests, longest idle first */
    struct list verifications; /* under way */
    struct list waiting;    /* requests that wait for a place or a cooldown */
    struct list asking;     /* admin requests that wait for the supervisor */
    uint64_t last_ask;
    bool started;           /* accepting */
    bool accept_paused;
    uint64_t files;         /* descriptors this process may have */
    uint32_t conns_max;     /* limits.max_connections, or what the descriptors allow */
    ev_timer accept_again;
    bool draining, quick;
    int exit_code;
    ev_timer drain_timer;
    ev_timer tell; /* what was counted */

    struct list dead;
    ev_prepare turn; /* end of a turn: free the dead, wake those who wait, write the log */
    bool wake_waiting;
    bool settle; /* something was lent: what nobody took goes back */
    struct gauge gauge;
    struct past past;
};

/* Runs the worker on the channel `fd` until it is retired; returns the exit code. */
int wkr_run(int fd, unsigned slot);

/* Takes a configuration into use. False with e set: the old one stays in force. */
bool wkr_configure(struct wkr *w, struct conf *c, struct err *e) MUST_CHECK;

/* Frees d at the end of this turn of the loop. */
void wkr_bury(struct wkr *w, struct dead *d, void (*free)(struct dead *));

/* Something was freed that a waiting request may need: they are looked at at the end of the turn. */
void wkr_wake(struct wkr *w);

/* A connection ended: goes on accepting if that had stopped; ends the process when it drains and
 * this was the last. */
void wkr_conn_ended(struct wkr *w);

/* Called once a second: gives memory that a crowd left behind back to the system. */
void wkr_tidy(struct wkr *w);

/* Descriptors are used up: closes what is idle. Returns whether anything was. */
bool wkr_shed(struct wkr *w);

/* Begins to drain; see the DRAIN message. */
void wkr_drain(struct wkr *w, bool quick, int64_t timeout_ms);

/* wkr_ipc.c: starts to listen to the supervisor; reports. */
void wkr_ipc_start(struct wkr *w, int fd);
void wkr_ipc_stop(struct wkr *w);
void wkr_ipc_outcome(struct wkr *w, const struct ipc_outcome *o);
void wkr_ipc_send(struct wkr *w, chan_put_fn *put, const void *m);
void wkr_ipc_retired(struct wkr *w);
void wkr_ipc_binds(struct wkr *w, struct str records);
void wkr_ipc_stats(struct wkr *w, struct str total, struct str records);
void wkr_ipc_recent(struct wkr *w, uint64_t id, struct str records);
void wkr_ipc_ask(struct wkr *w, uint64_t id, struct str what, struct str arg);

#endif
