/* stats: what a worker has counted, as it stands in the blobs of a STATS frame. Counts are those
 * since the frame before; numbers of what is open now are absolute. Raw structs: both ends are
 * processes of one build on one machine. */
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

/* Requests are counted by the first digit of the status that was sent; 0: the client left
 * before. */
enum { STATS_STATUSES = 6 };

/* How a reply was sent: in one piece (or there was none), or as an event stream. */
enum stats_reply { STATS_WHOLE, STATS_STREAM, STATS_REPLIES };

/* Counts of one endpoint. */
struct stats_record {
    char id[8];
    uint32_t open;                     /* requests at the endpoint now */
    uint32_t idle, in_use;             /* connections now; in_use: with those being opened */
    uint32_t dialled, reused;          /* connections opened; attempts that used an idle one */
    uint32_t charged;                  /* failures charged to the endpoint */
    uint32_t attempts[OUTCOME__COUNT]; /* attempts by enum outcome */
    uint32_t first_byte[HIST_BUCKETS]; /* time to first byte of replies passed on */
    uint64_t first_byte_us;            /* sum of the times in first_byte */
    uint64_t tokens[TOKENS__COUNT];
};

/* Counts of the whole worker, without the requests of its admin listener. */
struct stats_total {
    uint32_t streams_open; /* event streams being sent to clients now */
    uint32_t connections;  /* client connections accepted */
    uint32_t requests[STATS_STATUSES];
    uint32_t duration[STATS_REPLIES][HIST_BUCKETS]; /* requests by enum stats_reply and duration */
    uint64_t duration_us[STATS_REPLIES];
    uint64_t bytes_in, bytes_out; /* bytes of bodies received from clients, sent to clients */
    uint32_t history_dropped;     /* records of requests that the history did not get */
};

/* Records that one STATS carries at most. */
enum { STATS_RECORDS = 128 };

#endif
