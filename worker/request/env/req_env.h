/* req_env: what requests need of the worker, which fills it in and owns what it points to. Lives as
 * long as the worker. */
#ifndef QCC_WORKER_REQUEST_ENV_REQ_ENV_H
#define QCC_WORKER_REQUEST_ENV_REQ_ENV_H

#include "common/base/base.h"
#include "common/base/list.h"
#include "common/secret/rnd.h"
#include "worker/upstream/exchange.h"

struct binding_replica;
struct conf;
struct counters;
struct demand;
struct feed;
struct http_head;
struct interpreter_env;
struct loans;
struct rankings;
struct recent_ring;
struct replica;
struct turn;
struct uplink;

struct req_env {
    struct ev_loop *loop;
    struct turn *turn;
    struct uplink *uplink;
    struct conf *conf; /* in force; changes with each CONF */
    struct replica *replica;
    struct loans *loans;
    struct rankings *rankings;
    struct demand *demand;
    struct binding_replica *binding;
    struct counters *counters;
    struct recent_ring *recent_ring;
    struct feed *feed;
    struct interpreter_env *interpreters;
    struct http_head *head; /* for parsing a request's head; valid within one call only */
    struct exchange_env *exchange_env;
    struct exchange_conf exchange_conf; /* of the configuration in force */
    const uint8_t *secret;              /* 32 bytes: key of the hash of conversations */
    struct rnd rnd;
    bool draining;   /* connections close after their reply */
    struct list due; /* req.wait_node of requests that choose at the end of this turn */
    /* req.wait_node of requests that wait for an endpoint, the oldest first */
    struct list waiting;
    struct list verifications; /* under way, or waiting for a place; the oldest first */
};

/* Initializes the lists and rnd. The caller sets the pointers. */
void req_env_init(struct req_env *env);

#endif
