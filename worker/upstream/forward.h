/* head: the heads that QCC writes: of a request to an endpoint, of a reply to a client. Lines that
 * stay are copied as they came. */
#ifndef QCC_WORKER_UPSTREAM_FORWARD_H
#define QCC_WORKER_UPSTREAM_FORWARD_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/conf/conf.h"
#include "worker/http/http1.h"

/* The head of a request as it is kept for its attempts. */
struct forward_request {
    struct str method, target, host; /* host: what it is addressed to (http_head) */
    struct http_field *f;
    size_t nf;
    bool has_body;                 /* even an empty one: content-length is sent */
};

/* Appends the head for one endpoint, with the empty line. False: over the buffer's ceiling. */
bool forward_to_endpoint(struct buf *b, const struct forward_request *r, const struct conf_endpoint *e,
                      uint64_t content_length) MUST_CHECK;

/* Appends the status line and the end-to-end lines of a reply, without framing, without access-control-…
 * (what a page may read is for QCC to say) and without the empty line. False: over the ceiling. */
bool forward_to_client(struct buf *b, const struct http_head *h) MUST_CHECK;

/* Copies a head's fields, which are valid during an event only. Returns how many: all, or 0 without
 * memory. */
size_t forward_keep(struct arena *a, const struct http_head *h, struct http_field **out);

/* Standard reason phrase of a status that QCC itself answers with. */
const char *forward_reason(unsigned status);

#endif
