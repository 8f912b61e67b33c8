/* inflated: the body of a compressed request, inflated so that it can be read. In pieces, each for
 * one turn of the event loop; its memory counts against limits.max_buffered_bytes of the worker. */
#ifndef QCC_WORKER_INTAKE_INFLATED_H
#define QCC_WORKER_INTAKE_INFLATED_H

#include "worker/http/inflate.h"
#include "worker/intake/body.h"

struct inflated {
    struct inflate inflate;
    struct arena mem; /* of zlib, until it is done */
    struct str wire;  /* what is left of the body as it came */
    struct body text; /* what came of it so far */
};

/* Prepares to inflate the body `wire`, which must stay. c: CODING_GZIP or CODING_DEFLATE. */
void inflated_begin(struct inflated *x, enum coding c, const struct body *wire);

enum inflated_result {
    INFLATED_MORE, /* to be called again in another turn */
    INFLATED_DONE,
    INFLATED_DAMAGED,   /* damaged, cut, or not of that coding: 400 */
    INFLATED_TOO_LARGE, /* over limits.max_body_bytes, or 100 times as large as it came: 413 */
    INFLATED_NO_ROOM    /* limits.max_buffered_bytes are allocated: 503 */
};

/* Inflates a piece. */
enum inflated_result inflated_step(struct inflated *x) MUST_CHECK;

/* Frees the memory. A struct of zero bytes is allowed. */
void inflated_free(struct inflated *x);

#endif
