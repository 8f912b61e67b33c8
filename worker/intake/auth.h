/* auth: which of the configured clients a request comes from. */
#ifndef QCC_WORKER_INTAKE_AUTH_H
#define QCC_WORKER_INTAKE_AUTH_H

#include "common/conf/conf.h"
#include "worker/http/http1.h"

/* The client whose token stands in `Authorization: Bearer` or `x-api-key` (the first that does), or
 * NULL. Each line that holds a token of ours becomes hop-by-hop: clients may send it in both. The
 * token's SHA-256 is compared with every client's in constant time: neither the place nor the length
 * of a difference shows. */
const struct conf_client *auth_check(const struct conf *c, struct http_field *f, size_t nf);

#endif
