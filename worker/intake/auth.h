/* auth: finds the configured client that a request comes from. */
#ifndef QCC_WORKER_INTAKE_AUTH_H
#define QCC_WORKER_INTAKE_AUTH_H

#include "common/conf/conf.h"
#include "worker/http/http1.h"

/* Finds the client by its token in `Authorization: Bearer` or `x-api-key`; the first line with a
 * valid token decides. NULL: there is none. Each line with a valid token is marked hop-by-hop, so
 * that it is not forwarded. The token's SHA-256 is compared with that of every client in constant
 * time, so that timing shows neither where nor how far a token differs. */
const struct conf_client *auth_check(const struct conf *c, struct http_field *f, size_t nf);

#endif
