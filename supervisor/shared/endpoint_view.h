/* view: what workers know of an endpoint: an excerpt of the truth about it (health.h) as it travels. */
#ifndef QCC_SUPERVISOR_SHARED_ENDPOINT_VIEW_H
#define QCC_SUPERVISOR_SHARED_ENDPOINT_VIEW_H

#include "common/ipc/ipc.h"
#include "common/policy/endpoint/endpoint_state.h"

/* Of the endpoint with that id and state, as it is at now_ms. Borrows from both. */
struct ipc_endpoint endpoint_view_make(const char *id, const struct ep_state *s, int64_t now_ms);

/* Whether two views of one endpoint say the same. */
bool endpoint_view_same(const struct ipc_endpoint *a, const struct ipc_endpoint *b);

#endif
