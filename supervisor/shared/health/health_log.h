/* health_log: the changes of an endpoint in the log, one line each, and as events: the value
 * before, the value now, and why. */
#ifndef QCC_SUPERVISOR_SHARED_HEALTH_HEALTH_LOG_H
#define QCC_SUPERVISOR_SHARED_HEALTH_HEALTH_LOG_H

#include "common/policy/endpoint/endpoint_state.h"

struct events;

/* Logs the changes of the endpoint of that name. events: where they are added; NULL: nowhere. s:
 * its state now. reason: that of the report that led to them, or NULL. */
void health_log(struct events *events, const char *name, const struct ep_state *s,
                const struct ep_changes *ch, const char *reason);

#endif
