/* outage: explains why a request found no endpoint: the reason for each of them, and whether it
 * ends by itself. */
#ifndef QCC_WORKER_REQUEST_FAILED_OUTAGE_H
#define QCC_WORKER_REQUEST_FAILED_OUTAGE_H

#include "common/base/base.h"

struct req;

/* Whether an operator has to act before the request can be served: each endpoint is disabled or
 * does not offer the model. Disabled endpoints that are verified from time to time count as well,
 * for that is rarer than a client waits. */
bool outage_stays(const struct req *r) MUST_CHECK;

/* Whether the request, which was sent nowhere, needs a tool of Anthropic's servers and only
 * endpoints that speak OpenAI's protocol are usable. */
bool outage_of_tool(const struct req *r) MUST_CHECK;

/* Writes the message for the client of outage_of_tool into p[0..n), cut if it is longer. */
void outage_tell_tool(const struct req *r, char *p, size_t n);

/* Writes the message for the client into p[0..n), cut if it is longer: each endpoint with the
 * reason, and what to do where the reason does not end by itself. */
void outage_tell(const struct req *r, char *p, size_t n);

#endif
