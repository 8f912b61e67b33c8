/* stats: what a worker has counted, as it stands in the blobs of a STATS frame. Counts are what came
 * since the frame before; gauges are as they are now. Raw structs: both ends are processes of one
 * build on one machine. */
#ifndef QCC_COMMON_IPC_STATS_H
#define QCC_COMMON_IPC_STATS_H

#include "common/base/base.h"
#include "common/policy/hist.h"
#include "common/policy/outcome.h"

enum stats_tokens {
    TOKENS_INPUT,
    TOKENS_OUTPUT,
    TOKENS_CACHE_READ,
    TOKENS_CACHE_WRITE,
    TOKENS__COUNT
};

/* Requests by the first digit of the status that the client got; 0: it left before. */
enum { STATS_STATUSES = 6 };

/* How a reply came: in one piece (or there was none), or as an event stream. */
enum stats_reply { STATS_WHOLE, STATS_STREAM, STATS_REPLIES };

/* Of one endpoint. */
struct stats_record {
    char id[8];
    uint32_t open;                     /* requests that use it now */
    uint32_t idle, in_use;             /* connections to it; in_use: those being opened too */
    uint32_t dialled, reused;          /* connections opened; requests that found an idle one */
    uint32_t charged;                  /* failures that were held against it */
    uint32_t attempts[OUTCOME__COUNT]; /* by how they ended */
    uint32_t first_byte[HIST_BUCKETS]; /* of replies that were passed on */
    uint64_t first_byte_us;            /* their sum */
    uint64_t tokens[TOKENS__COUNT];
};

/* Of the worker as a whole; the admin listener's own requests are not in it. */
struct stats_total {
    uint32_t streams_open; /* event streams that clients are reading now */
    uint32_t connections;  /* of clients, accepted */
    uint32_t requests[STATS_STATUSES];
    uint32_t duration[STATS_REPLIES][HIST_BUCKETS]; /* of whole requests */
    uint64_t duration_us[STATS_REPLIES];
    uint64_t bytes_in, bytes_out; /* bodies, from and to clients */
};

/* Records in one frame at most. */
enum { STATS_RECORDS = 128 };

#endif
