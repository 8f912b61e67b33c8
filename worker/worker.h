/* worker: the root object of a worker process: its event loop, its channel to the supervisor, the
 * configuration in force, the state of each room. Lives as long as the process. */
#ifndef QCC_WORKER_WORKER_H
#define QCC_WORKER_WORKER_H

#include "common/base/base.h"
#include "common/conf/conf.h"
#include "worker/admin/admin.h"
#include "worker/client/listener.h"
#include "worker/request/env/req_env.h"
#include "worker/shared/binding_replica.h"
#include "worker/shared/counters.h"
#include "worker/shared/demand.h"
#include "worker/shared/feed.h"
#include "worker/shared/rankings.h"
#include "worker/translate/interpreter.h"
#include "worker/shared/recent_ring.h"
#include "worker/shared/loan.h"
#include "worker/shared/replica.h"
#include "worker/loop/deadline.h"
#include "worker/loop/turn.h"
#include "worker/loop/uplink.h"
#include "worker/net/tls.h"
#include "worker/upstream/exchange.h"

#include <ev.h>

struct worker {
    struct ev_loop *loop;
    struct turn turn;
    struct uplink uplink;
    unsigned slot;
    uint32_t cpus;     /* CPUs of the machine, as of the start: the number of workers by default */
    char name[24];     /* "worker 0" */
    struct conf *conf; /* in force; NULL until the first CONF */
    struct replica replica;
    struct loans loans;
    struct rankings rankings;
    struct demand demand;
    struct binding_replica binding;
    struct counters counters;
    struct recent_ring recent_ring;
    struct feed feed; /* of records, to the recorder */
    struct interpreter_env interpreters;
    struct dialer *dialer;
    struct exchange_env exchange_env;
    struct req_env req;
    struct conn_env conn;
    struct admin admin;
    struct service proxy, operators;
    uint8_t tickets[TLS_TICKETS]; /* from HELLO */
    uint8_t secret[32]; /* of this installation, from HELLO: key of the hash of conversations */
    uint32_t told_max;  /* conns_max when it was last compared with limits.max_connections */
    uint64_t files;     /* open files that this process may have (RLIMIT_NOFILE) */
    bool draining, quick;
    int exit_code;
    struct deadline drain_end; /* connections that are left then are closed */
    ev_timer stats_due; /* sends STATS; active while counters have changed since the last one */
    /* wakes waiting requests, frees what ended in this turn, writes the log */
    ev_prepare end_of_turn;
};

/* Puts the configuration c into force and takes a reference of its own. False with e set: the old
 * one stays in force. */
bool worker_configure(struct worker *w, struct conf *c, struct err *e) MUST_CHECK;

/* Returns free heap memory to the kernel when more than half of the heap is unused. Called once a
 * second. */
void worker_trim(struct worker *w);

/* Begins to drain (DRAIN): stops listening, sends RETIRED and ends the loop when the last
 * connection has ended. `quick`: idle client connections are closed at once; otherwise each may
 * carry one more request. Connections that are left after timeout_ms are closed. */
void worker_drain(struct worker *w, bool quick, int64_t timeout_ms);

/* conn_env.idle: called when a connection has become idle. Accepts again soon if that was paused.
 */
void worker_conn_idle(void *arg);

/* The callback of worker.drain_end. */
void worker_drain_over(struct deadline *t);

/* conn_env.ended: called when a connection has ended. Accepts again if that was paused; ends the
 * loop when this was the last connection of a draining worker. arg: the worker. */
void worker_conn_ended(void *arg);

#endif
