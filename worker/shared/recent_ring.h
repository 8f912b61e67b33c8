/* past: the last requests of this worker, for an operator who asks: a ring of fixed size, made with
 * the first request. */
#ifndef QCC_WORKER_PAST_H
#define QCC_WORKER_PAST_H

#include "common/ipc/recent_record.h"

struct req;
struct wkr;

struct past {
    struct recent_record *v; /* RECENT_RECORDS of them; NULL until the first */
    size_t next;             /* the one to be written next, the oldest */
    size_t n;
};

/* A request has ended: status (0: the client got none), and in words how. */
void past_note(struct past *p, const struct req *r, unsigned status, const char *end);

/* Tells the supervisor the newest whose ids begin with `prefix`, at most `limit`. */
void past_tell(struct wkr *w, uint64_t id, size_t limit, struct str prefix);

void past_free(struct past *p);

#endif
