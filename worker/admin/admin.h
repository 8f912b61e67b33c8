/* admin: answers requests of the admin listener. The page, /healthz and /readyz are answered by the
 * worker itself; everything else is asked of the supervisor (ASK) and written as JSON or Prometheus
 * text. Access is guarded by the token, by Host against DNS rebinding, and by Origin and
 * Sec-Fetch-Site against cross-site requests. */
#ifndef QCC_WORKER_ADMIN_ADMIN_H
#define QCC_WORKER_ADMIN_ADMIN_H

#include "common/base/list.h"
#include "common/ipc/ipc.h"
#include "worker/request/env/client.h"

/* Requests of operators that wait for ANSWER. */
struct admin {
    struct list asking; /* req.wait_node */
    uint64_t last_ask;  /* id of the last ASK */
};

/* Initializes a. */
void admin_init(struct admin *a);

/* The service of the admin listener; a must outlive it. */
struct service admin_service(struct admin *a);

/* ANSWER: answers the request that waits for it; dropped when that has ended. */
void admin_answer(struct admin *a, const struct ipc_answer *m);

#endif
