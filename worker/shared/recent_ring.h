/* past: the last requests of this worker, for an operator who asks: a ring of fixed size, made with
 * the first request. */
#ifndef QCC_WORKER_PAST_H
#define QCC_WORKER_PAST_H

#include "common/ipc/recent_record.h"

struct uplink;

struct past {
    struct recent_record *v; /* RECENT_RECORDS of them; NULL until the first */
    size_t next;             /* the one to be written next, the oldest */
    size_t n;
};

/* The place of the next record, to be filled at once: the oldest one goes. */
struct recent_record *past_next(struct past *p);

/* Sends the supervisor the newest whose ids begin with `prefix`, at most `limit`, as the answer to
 * RECENT_ASK `id`. */
void past_tell(const struct past *p, struct uplink *uplink, uint64_t id, size_t limit,
               struct str prefix);

void past_free(struct past *p);

#endif
