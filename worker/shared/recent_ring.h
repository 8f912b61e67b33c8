/* past: the last requests of this worker, for an operator who asks: a ring of fixed size, made with
 * the first request. */
#ifndef QCC_WORKER_SHARED_RECENT_RING_H
#define QCC_WORKER_SHARED_RECENT_RING_H

#include "common/ipc/recent_record.h"

struct uplink;

struct recent_ring {
    struct recent_record *v; /* RECENT_RECORDS of them; NULL until the first */
    size_t next;             /* the one to be written next, the oldest */
    size_t n;
};

/* The place of the next record, to be filled at once: the oldest one goes. */
struct recent_record *recent_ring_next(struct recent_ring *p);

/* Sends the supervisor the newest whose ids begin with `prefix`, at most `limit`, as the answer to
 * RECENT_ASK `id`. */
void recent_ring_send(const struct recent_ring *p, struct uplink *uplink, uint64_t id, size_t limit,
               struct str prefix);

void recent_ring_free(struct recent_ring *p);

#endif
