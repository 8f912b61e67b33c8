/* recent_ring: records of the last requests of this worker, for operators: a ring of fixed size,
 * allocated with the first request. */
#ifndef QCC_WORKER_SHARED_RECENT_RING_H
#define QCC_WORKER_SHARED_RECENT_RING_H

#include "common/ipc/recent_record.h"

struct buf;
struct uplink;

struct recent_ring {
    struct recent_record *v; /* owned, RECENT_RECORDS elements; NULL until the first record */
    size_t next;             /* index of the element that is written next */
    size_t n;                /* elements that are written */
    bool leaves;             /* the supervisor keeps what is recorded from now on */
};

/* Returns the next element, which the caller fills at once; it replaces the oldest one. */
struct recent_record *recent_ring_next(struct recent_ring *p);

/* Appends at most `limit` records whose ids begin with `prefix`, the newest first. */
void recent_ring_find(const struct recent_ring *p, size_t limit, struct str prefix, struct buf *to);

/* The element that recent_ring_next returned is filled. Once p->leaves it is sent in a RECENT of
 * its own, with id 0. */
void recent_ring_added(const struct recent_ring *p, struct uplink *uplink,
                       const struct recent_record *r);

/* Frees the records; *p is empty afterwards. */
void recent_ring_free(struct recent_ring *p);

#endif
