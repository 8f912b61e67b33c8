/* backoff: how long to wait before something that has ended is started again. What lived long is
 * started at once; what dies young again and again waits longer each time. Pure. */
#ifndef QCC_COMMON_POLICY_ENDPOINT_BACKOFF_H
#define QCC_COMMON_POLICY_ENDPOINT_BACKOFF_H

#include "common/base/base.h"

/* Zero bytes are a valid start. */
struct backoff {
    unsigned young; /* how often in a row it died young */
};

struct backoff_conf {
    int64_t young_ms; /* a life shorter than this is young */
    int64_t first_ms; /* the wait after the second young death in a row; doubles with each more */
    int64_t max_ms;   /* and is never longer than this */
};

/* It has ended after lived_ms: returns the milliseconds to wait. The first young death costs
 * nothing: one crash is an accident. */
int64_t backoff_ended(struct backoff *b, const struct backoff_conf *c, int64_t lived_ms);

#endif
