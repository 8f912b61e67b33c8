/* wkr: the root object of a worker process: its loop, its channel to the supervisor, the
 * configuration in force, and what all of its connections share. Lives as long as the process. */
#ifndef QCC_WORKER_WKR_H
#define QCC_WORKER_WKR_H

#include "common/base/base.h"
#include "common/conf/conf.h"
#include "worker/admin/admin.h"
#include "worker/client/listener.h"
#include "worker/request/req_env.h"
#include "worker/shared/binding_replica.h"
#include "worker/shared/counters.h"
#include "worker/shared/recent_ring.h"
#include "worker/shared/loan.h"
#include "worker/shared/replica.h"
#include "worker/loop/turn.h"
#include "worker/loop/uplink.h"
#include "worker/upstream/exchange.h"

#include <ev.h>


struct worker {
    struct ev_loop *loop;
    struct turn turn;
    struct uplink uplink;
    unsigned slot;
    char name[24]; /* "worker 0" */
    struct conf *conf; /* in force; NULL until the first CONF */
    struct replica replica;
    struct loans loans;
    struct binding_replica binding;
    struct counters counters;
    struct recent_ring recent_ring;
    struct dialer *dialer;
    struct exchange_env exchange_env;
    struct req_env req;
    struct conn_env conn;
    struct admin admin;
    struct service proxy, operators;
    uint8_t secret[32]; /* of this installation: conversations are hashed with it */
    uint64_t files;     /* descriptors this process may have */
    bool draining, quick;
    int exit_code;
    ev_timer drain_timer;
    ev_timer stats_due;     /* what was counted is told to the supervisor */
    ev_prepare end_of_turn; /* frees the dead, wakes those who wait, writes the log */
};

/* Takes a configuration into use. False with e set: the old one stays in force. */
bool worker_configure(struct worker *w, struct conf *c, struct err *e) MUST_CHECK;

/* Called once a second: gives memory that a crowd left behind back to the system. */
void worker_trim(struct worker *w);

/* Begins to drain; see the DRAIN message. */
void worker_drain(struct worker *w, bool quick, int64_t timeout_ms);

/* A connection has ended (for conn_env): goes on accepting if that had paused; ends the process when it
 * drains and this was the last. arg: the worker. */
void worker_conn_ended(void *arg);

#endif
