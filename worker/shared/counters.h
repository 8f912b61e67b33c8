/* gauge: what a worker counts, of itself and of its endpoints. A few increments for each request;
 * once a second what came is told to the supervisor, which adds up. */
#ifndef QCC_WORKER_SHARED_COUNTERS_H
#define QCC_WORKER_SHARED_COUNTERS_H

#include "common/ipc/stats.h"
#include "common/policy/outcome.h"

struct ep_live;
struct sse_usage;
struct replica;
struct uplink;

struct counters {
    uint32_t conns;          /* client connections open */
    uint32_t requests_open;  /* requests between head and end of reply */
    uint64_t requests;       /* requests begun */
    uint64_t buffered;       /* bytes of request bodies held */
    struct stats_total total; /* since it was last told */
    bool stats_changed; /* total has something to tell */
    struct replica *replica; /* whose endpoints are counted */
    struct uplink *uplink;
};

/* One attempt at the endpoint has ended; a failure was held against it. */
void counters_attempt(struct ep_live *l, enum outcome how);
void counters_charged(struct ep_live *l);

/* A reply is passed on: how long its first byte took. */
void counters_first_byte(struct ep_live *l, double seconds);

/* What the reply has told of tokens. */
void counters_tokens(struct ep_live *l, const struct sse_usage *u);

/* A client has begun to get an event stream; it has ended. */
void counters_stream(struct counters *g, bool begun);

/* A client's connection was accepted. */
void counters_accepted(struct counters *g);

/* A request has ended with this status (0: the client left before). */
void counters_request(struct counters *g, unsigned status, enum stats_reply how, double seconds, uint64_t in,
                   uint64_t out);

/* Tells the supervisor what is new, if anything. */
void counters_send(struct counters *g);

#endif
