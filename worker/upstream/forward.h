/* forward: the heads that QCC forwards: of a request to an endpoint, of a reply to a client. Lines
 * that are not changed are copied byte by byte. */
#ifndef QCC_WORKER_UPSTREAM_FORWARD_H
#define QCC_WORKER_UPSTREAM_FORWARD_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/conf/conf.h"
#include "worker/http/http1.h"

/* The head of a request as it is kept for its attempts. */
struct forward_request {
    struct str method, target, host; /* host: http_head.host */
    struct http_field *f;
    size_t nf;
    bool has_body; /* a body, perhaps an empty one: content-length is sent */
    bool counted;  /* Max-Forwards is sent as max_forwards (hops.h) */
    uint32_t max_forwards;
};

/* Appends the request's head for the endpoint e, with the empty line. False: over the buffer's
 * ceiling. */
bool forward_to_endpoint(struct buf *b, const struct forward_request *r,
                         const struct conf_endpoint *e, uint64_t content_length) MUST_CHECK;

/* The same for an endpoint that speaks OpenAI's protocol: `path` behind the base URL's, with the
 * base URL's query. Of the client's fields only user-agent and accept go out, and none of its
 * credentials. False: over the buffer's ceiling. */
bool forward_to_openai(struct buf *b, const struct forward_request *r,
                       const struct conf_endpoint *e, struct str path,
                       uint64_t content_length) MUST_CHECK;

/* Appends status line and lines of a reply of such an endpoint, whose body was translated into one
 * of that content-type: beside it retry-after, and x-request-id as request-id. Otherwise as
 * forward_to_client. */
bool forward_from_openai(struct buf *b, unsigned status, struct str reason,
                         const struct http_field *f, size_t nf, struct str type) MUST_CHECK;

/* Appends the status line and the end-to-end lines of a reply, without framing, without
 * access-control-… (QCC writes its own, cors.h) and without the empty line. False: over the
 * ceiling. */
bool forward_to_client(struct buf *b, const struct http_head *h) MUST_CHECK;

/* Copies fields of a head into the arena, as the head is valid during an event only. Returns their
 * number; 0: none, or out of memory. */
size_t forward_keep(struct arena *a, const struct http_field *f, size_t nf,
                    struct http_field **out);

/* Reason phrase of a status with which QCC itself answers; a static string. */
const char *forward_reason(unsigned status);

#endif
