/* compose: the bytes of a request that one endpoint is sent. */
#ifndef QCC_WORKER_REQUEST_STATE_COMPOSE_H
#define QCC_WORKER_REQUEST_STATE_COMPOSE_H

#include <sys/uio.h>

struct conf_endpoint;
struct req;

/* Makes the request's bytes for an endpoint: the head, and the body with the model's name replaced
 * where the endpoint has another. Returns the number of pieces in iov, which borrow from r; 0: they
 * do not fit. */
int compose_request(struct req *r, const struct conf_endpoint *ce, struct iovec iov[4]);

#endif
