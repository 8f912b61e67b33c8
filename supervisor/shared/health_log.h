/* notes: what has changed of an endpoint, for people: one line of the log each, with what it was,
 * what it is, and why. */
#ifndef QCC_SUPERVISOR_SHARED_HEALTH_LOG_H
#define QCC_SUPERVISOR_SHARED_HEALTH_LOG_H

#include "common/policy/endpoint/endpoint_state.h"

/* Logs the changes of the endpoint of that name. s: as it is now. reason: what the report said that
 * led to them, or NULL. */
void health_log(const char *name, const struct ep_state *s, const struct ep_changes *ch,
               const char *reason);

#endif
