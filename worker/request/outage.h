/* outage: a request found no endpoint that it may be given to: why not each of them, and whether that ends by
 * itself. */
#ifndef QCC_WORKER_REQUEST_OUTAGE_H
#define QCC_WORKER_REQUEST_OUTAGE_H

#include "common/base/base.h"

struct req;

/* Whether somebody has to act before the request can be served: each endpoint is disabled, or does not offer the
 * model. A disabled one that is verified now and then counts too: no client waits for that. */
bool outage_stays(const struct req *r) MUST_CHECK;

/* Writes the sentence for the client into p[0..n), cut if it is longer: each endpoint with what stands against
 * it, and of one that stays so what to do. */
void outage_tell(const struct req *r, char *p, size_t n);

#endif
