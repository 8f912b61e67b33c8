/* endpoint_view: the part of an endpoint's state (health.h) that workers get, as the fields of
 * ENDPOINT. */
#ifndef QCC_SUPERVISOR_SHARED_HEALTH_ENDPOINT_VIEW_H
#define QCC_SUPERVISOR_SHARED_HEALTH_ENDPOINT_VIEW_H

#include "common/ipc/ipc.h"
#include "common/policy/endpoint/endpoint_state.h"

/* The view of the endpoint with that id and state at now_ms. Borrows from both. */
struct ipc_endpoint endpoint_view_make(const char *id, const struct ep_state *s, int64_t now_ms);

/* Whether two views of one endpoint are equal. */
bool endpoint_view_same(const struct ipc_endpoint *a, const struct ipc_endpoint *b);

#endif
