/* admin: the requests of the admin listener (behaviour.md section 8). The page and the liveness
 * answers are the worker's own; everything else is asked of the supervisor (ASK) and written as
 * JSON. Guarded: a token unless on loopback, Host and Origin against DNS rebinding and cross-site
 * requests. */
#ifndef QCC_WORKER_ADMIN_ADMIN_H
#define QCC_WORKER_ADMIN_ADMIN_H

#include "common/base/list.h"
#include "common/ipc/ipc.h"
#include "worker/request/client.h"

/* Operators' requests that wait for the supervisor. */
struct admin {
    struct list asking;
    uint64_t last_ask;
};

void admin_init(struct admin *a);

/* What the admin listener serves. */
struct service admin_service(struct admin *a);

/* ANSWER: the supervisor's answer to an ASK. */
void admin_answer(struct admin *a, const struct ipc_answer *m);

#endif
