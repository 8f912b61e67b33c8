/* recent_ring: records of the last requests of this worker, for operators: a ring of fixed size,
 * allocated with the first request. */
#ifndef QCC_WORKER_SHARED_RECENT_RING_H
#define QCC_WORKER_SHARED_RECENT_RING_H

#include "common/ipc/recent_record.h"

struct uplink;

struct recent_ring {
    struct recent_record *v; /* owned, RECENT_RECORDS elements; NULL until the first record */
    size_t next;             /* index of the element that is written next */
    size_t n;                /* elements that are written */
};

/* Returns the next element, which the caller fills at once; it replaces the oldest one. */
struct recent_record *recent_ring_next(struct recent_ring *p);

/* Answers RECENT_ASK `id`: sends RECENT with at most `limit` records whose ids begin with `prefix`,
 * the newest first. */
void recent_ring_send(const struct recent_ring *p, struct uplink *uplink, uint64_t id, size_t limit,
                      struct str prefix);

/* Frees the records; *p is empty afterwards. */
void recent_ring_free(struct recent_ring *p);

#endif
