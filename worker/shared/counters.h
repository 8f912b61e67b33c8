/* counters: what a worker counts, of itself and of its endpoints. A few increments per request;
 * STATS sends the increments since the last one to the supervisor, which adds them up. */
#ifndef QCC_WORKER_SHARED_COUNTERS_H
#define QCC_WORKER_SHARED_COUNTERS_H

#include "common/ipc/stats.h"
#include "common/policy/outcome.h"

struct ep_live;
struct sse_usage;
struct replica;
struct uplink;

struct counters {
    uint32_t conns;           /* client connections open */
    uint32_t requests_open;   /* requests between head and end of reply */
    uint64_t requests;        /* requests begun since the start of the process */
    uint64_t buffered;        /* bytes of request bodies held */
    struct stats_total total; /* counted since the last STATS; streams_open: now */
    /* `total` has changed since the last STATS */
    bool stats_changed;
    struct replica *replica; /* the endpoints whose stats are sent */
    struct uplink *uplink;
};

/* Counts an attempt at the endpoint that has ended with the outcome `how`. */
void counters_attempt(struct ep_live *l, enum outcome how);

/* Counts a failure that is charged to the endpoint. */
void counters_charged(struct ep_live *l);

/* Adds the time to the first byte of a reply that is passed on. */
void counters_first_byte(struct ep_live *l, double seconds);

/* Adds the token counts that a reply reported; implausible ones are ignored. */
void counters_tokens(struct ep_live *l, const struct sse_usage *u);

/* Counts an event stream to a client that begins (`begun`) or has ended. */
void counters_stream(struct counters *g, bool begun);

/* Counts a client connection that was accepted. */
void counters_accepted(struct counters *g);

/* Counts a request that has ended with `status` (0: the client left before) after `seconds`. in,
 * out: bytes received from and sent to the client. */
void counters_request(struct counters *g, unsigned status, enum stats_reply how, double seconds,
                      uint64_t in, uint64_t out);

/* Sends STATS with what has changed since the last one, if anything. */
void counters_send(struct counters *g);

#endif
