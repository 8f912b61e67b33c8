/* req_env: what requests need of the worker, filled in by worker.c. Lives as long as the worker; what it
 * points to belongs to the worker. */
#ifndef QCC_WORKER_REQUEST_REQ_ENV_H
#define QCC_WORKER_REQUEST_REQ_ENV_H

#include "common/base/base.h"
#include "common/base/list.h"
#include "common/secret/rnd.h"
#include "worker/upstream/exchange.h"

struct binding_replica;
struct conf;
struct counters;
struct http_head;
struct loans;
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
    struct binding_replica *binding;
    struct counters *counters;
    struct recent_ring *recent_ring;
    struct http_head *head;  /* scratch for a request's head */
    struct exchange_env *exchange_env;
    struct exchange_conf exchange_conf;  /* of the configuration in force */
    const uint8_t *secret;   /* 32 bytes: conversations are hashed with it */
    struct rnd rnd;
    bool draining;           /* connections close after their reply */
    struct list waiting;       /* requests that wait for a place, a cooldown or a verdict; the oldest first */
    struct list verifications; /* under way, or waiting for a place; the oldest first */
};

/* Nothing waits yet. The pointers are the caller's to set. */
void req_env_init(struct req_env *env);

#endif
