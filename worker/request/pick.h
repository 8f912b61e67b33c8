/* pick: chooses an endpoint for a request's next attempt and starts it there. */
#ifndef QCC_WORKER_REQUEST_PICK_H
#define QCC_WORKER_REQUEST_PICK_H

#include "common/base/base.h"

struct exchange_ops;
struct req;

enum pick_result {
    PICK_STARTED, /* an attempt is under way */
    PICK_FAILED,  /* the attempt could not be started (NET_LOCAL) */
    PICK_WAIT,    /* the request waits for a place, a verdict or a cooldown's end */
    PICK_NONE,    /* no endpoint will serve it; r->sel says why */
    PICK_NO_MEMORY
};

/* Chooses an endpoint and starts the attempt (attempt_start), or repeats the last one at r->same.
 * *wait_ms: how long PICK_WAIT may last. */
enum pick_result pick_next(struct req *r, const struct exchange_ops *ops,
                           int64_t *wait_ms) MUST_CHECK;

/* Whether a request without a conversation would find a usable endpoint now, for one of the models
 * asked for within the hour; where none was, whatever it asks for. An endpoint with an open breaker
 * does not count, although it would be tried as the last resort. */
bool pick_possible(struct req *r);

#endif
