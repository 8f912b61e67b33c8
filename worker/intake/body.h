/* body: the body of a request, buffered as a whole so that it can be sent again; chunked bodies are
 * decoded. Its memory counts against limits.max_buffered_bytes of the worker. */
#ifndef QCC_WORKER_INTAKE_BODY_H
#define QCC_WORKER_INTAKE_BODY_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "worker/http/chunk.h"
#include "worker/http/http1.h"

struct body {
    uint64_t *held;    /* bytes that all bodies of the worker have allocated; a shared counter */
    uint64_t held_max; /* limits.max_buffered_bytes */
    char *p;           /* owned; NULL: nothing allocated */
    size_t len, cap;
    enum http_body kind; /* BODY_NONE, BODY_COUNTED or BODY_CHUNKED */
    uint64_t total;      /* BODY_COUNTED: length in bytes */
    uint64_t max;        /* limits.max_body_bytes */
    double since;        /* when it could begin to come, for body_slow; set by the caller */
    struct chunk chunk;
};

enum body_result {
    BODY_MORE,
    BODY_DONE,
    BODY_MALFORMED, /* malformed chunked framing: 400 */
    BODY_TOO_LARGE, /* over limits.max_body_bytes: 413 */
    BODY_NO_ROOM    /* the worker has limits.max_buffered_bytes allocated already: 503 */
};

/* Initializes an empty body. held: the worker's count of allocated bytes, kept up to held_max.
 * total: the length with BODY_COUNTED, which the caller has compared with max. */
void body_init(struct body *b, uint64_t *held, uint64_t held_max, enum http_body kind,
               uint64_t total, uint64_t max);

/* Frees the memory. A struct of zero bytes, never initialized, is allowed. */
void body_free(struct body *b);

/* Where to read bytes to: sets *at, returns how many fit (never beyond a counted body's end). 0: no
 * room. */
size_t body_room(struct body *b, char **at) MUST_CHECK;

/* Takes n bytes that were read to body_room. *used: bytes that belong to the body; the rest follows
 * it. */
enum body_result body_added(struct body *b, size_t n, size_t *used) MUST_CHECK;

/* Copies bytes that were read elsewhere; otherwise as body_added. n may be 0, with which a counted
 * body of 0 bytes is done. */
enum body_result body_feed(struct body *b, const char *p, size_t n, size_t *used) MUST_CHECK;

/* Whether the body has come more slowly than `rate` bytes a second (0: no bound), on average of the
 * 10 s and more since `since`; `now` is of the same clock, in seconds. */
bool body_slow(const struct body *b, double now, uint64_t rate);

/* The bytes so far; valid until the body changes. */
static inline struct str body_view(const struct body *b)
{
    return str_make(b->p ? b->p : "", b->len);
}

#endif
