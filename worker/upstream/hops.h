/* hops: Max-Forwards (RFC 9110 7.6.2): how many intermediaries may pass a request on. */
#ifndef QCC_WORKER_UPSTREAM_HOPS_H
#define QCC_WORKER_UPSTREAM_HOPS_H

#include "common/base/base.h"
#include "worker/upstream/forward.h"

enum hops {
    HOPS_NONE, /* the request is not counted: another method, or no Max-Forwards */
    HOPS_LEFT, /* it may be passed on, with the number that r has now */
    HOPS_OVER, /* it may not be passed on */
    HOPS_BAD   /* Max-Forwards is given twice, or is no number */
};

/* Reads Max-Forwards of a request and, with HOPS_LEFT, sets r->max_forwards to one less and
 * r->counted. Numbers that do not fit 32 bits count as the largest that does. */
enum hops hops_count(struct forward_request *r) MUST_CHECK;

#endif
