/* body: the body of a request, buffered whole so that it can be sent again, decoded if it came
 * chunked. Its memory counts against limits.max_buffered_bytes of the worker. */
#ifndef QCC_WORKER_INTAKE_BODY_H
#define QCC_WORKER_INTAKE_BODY_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "worker/http/chunk.h"
#include "worker/http/http1.h"

struct body {
    uint64_t *held;      /* bytes that all bodies of the worker hold */
    uint64_t held_max;   /* limits.max_buffered_bytes */
    char *p;
    size_t len, cap;
    enum http_body kind; /* NONE, COUNTED or CHUNKED */
    uint64_t total;      /* of a counted one */
    uint64_t max;        /* limits.max_body_bytes */
    struct chunk chunk;
};

enum body_result {
    BODY_MORE,
    BODY_DONE,
    BODY_MALFORMED, /* chunked framing is broken: 400 */
    BODY_TOO_LARGE, /* 413 */
    BODY_NO_ROOM    /* the worker holds limits.max_buffered_bytes already: 503 */
};

/* Nothing read yet. held: what all bodies of the worker hold, at most held_max bytes. `total` with
 * COUNTED; compared with max by the caller. */
void body_init(struct body *b, uint64_t *held, uint64_t held_max, enum http_body kind,
               uint64_t total, uint64_t max);

/* Gives the memory back. Also of a body of zero bytes that was never begun. */
void body_free(struct body *b);

/* Where bytes may be read to, and how many (never beyond a counted body's end). 0: no room. */
size_t body_room(struct body *b, char **at) MUST_CHECK;

/* n bytes were read there. *used: those that belong to the body; the rest follows it. */
enum body_result body_added(struct body *b, size_t n, size_t *used) MUST_CHECK;

/* Copies bytes that were read elsewhere; n may be 0 (a counted body of 0 bytes is then done). */
enum body_result body_feed(struct body *b, const char *p, size_t n, size_t *used) MUST_CHECK;

static inline struct str body_view(const struct body *b)
{
    return str_make(b->p ? b->p : "", b->len);
}

#endif
