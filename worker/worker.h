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
#include "worker/shared/loan.h"
#include "worker/shared/replica.h"
#include "worker/loop/turn.h"
#include "worker/loop/uplink.h"
#include "worker/upstream/exchange.h"

#include <ev.h>

/* Exit codes the supervisor knows. */
enum wkr_exit { WKR_RETIRED = 0, WKR_ORPHANED = 0, WKR_BAD_PEER = 3, WKR_CANNOT_START = 4 };

struct wkr {
    struct ev_loop *loop;
    struct turn turn;
    struct uplink uplink;
    unsigned slot;
    char name[24]; /* "worker 0" */
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

    ev_prepare end_of_turn; /* frees the dead, wakes those who wait, writes the log */
    struct loans loans;
    struct gauge gauge;
    struct past past;
};

/* Runs the worker on the channel `fd` until it is retired; returns the exit code. */
int wkr_run(int fd, unsigned slot);

/* Takes a configuration into use. False with e set: the old one stays in force. */
bool wkr_configure(struct wkr *w, struct conf *c, struct err *e) MUST_CHECK;

/* A connection ended: goes on accepting if that had stopped; ends the process when it drains and
 * this was the last. */
void wkr_conn_ended(struct wkr *w);

/* Called once a second: gives memory that a crowd left behind back to the system. */
void wkr_tidy(struct wkr *w);

/* Descriptors are used up: closes what is idle. Returns whether anything was. */
bool wkr_shed(struct wkr *w);

/* Begins to drain; see the DRAIN message. */
void wkr_drain(struct wkr *w, bool quick, int64_t timeout_ms);

/* worker_ipc.c: starts to listen to the supervisor. */
void wkr_ipc_start(struct wkr *w, int fd);
void wkr_ipc_stop(struct wkr *w);
void wkr_ipc_retired(struct wkr *w);

#endif
