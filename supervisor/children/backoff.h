/* backoff: how long to wait before a process that has ended is started again. One that lived long
 * is started at once; one that dies young again and again waits longer each time. Pure. */
#ifndef QCC_SUPERVISOR_CHILDREN_BACKOFF_H
#define QCC_SUPERVISOR_CHILDREN_BACKOFF_H

#include "common/base/base.h"

/* Zero bytes are a valid start. */
struct backoff {
    unsigned young; /* young deaths in a row */
};

struct backoff_conf {
    int64_t young_ms; /* a life shorter than this is young */
    int64_t first_ms; /* the wait after the second young death in a row; doubles with each more */
    int64_t max_ms;   /* the longest wait */
};

/* Counts an end after lived_ms and returns the milliseconds to wait. The first young death in a row
 * waits 0: a single crash is taken as an accident. */
int64_t backoff_ended(struct backoff *b, const struct backoff_conf *c, int64_t lived_ms);

#endif
