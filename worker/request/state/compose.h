/* compose: the bytes of a request that one endpoint is sent. */
#ifndef QCC_WORKER_REQUEST_STATE_COMPOSE_H
#define QCC_WORKER_REQUEST_STATE_COMPOSE_H

#include <sys/uio.h>

struct ep;
struct req;

/* Makes the request's bytes for an endpoint: the head, and the body with the model's name replaced
 * where the endpoint has another; all of it translated where its protocol is another. Returns the
 * number of pieces in iov, which borrow from r; 0: they do not fit, or the interpreter's `fault`
 * says why such a request cannot be sent there. */
int compose_request(struct req *r, const struct ep *e, struct iovec iov[4]);

/* Frees the bytes, which are sent and will not be sent again. */
void compose_sent(struct req *r);

#endif
