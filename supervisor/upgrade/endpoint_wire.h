/* carry: all that is known of an endpoint, from one supervisor to the next at an upgrade: more than
 * what lasts over a restart (saved.h). Who reads it trusts no number of it. */
#ifndef QCC_SUPERVISOR_UPGRADE_ENDPOINT_WIRE_H
#define QCC_SUPERVISOR_UPGRADE_ENDPOINT_WIRE_H

#include "common/ipc/ipc.h"
#include "supervisor/shared/health.h"

/* What the other is to know of e. Borrows from e. */
void endpoint_wire_put(const struct health_endpoint *e, struct ipc_up_endpoint *m);

/* Takes it up, for the endpoint of that id; one that is not configured here is passed over. What a
 * worker of the other supervisor has (trial, verification) is then HEALTH_PREDECESSOR's. `enabled`
 * of this configuration counts as in a reload. False: it cannot be so. */
bool endpoint_wire_get(struct health *h, const struct conf *c, const struct ipc_up_endpoint *m,
               int64_t now_ms) MUST_CHECK;

/* How the key of one that is disabled by auth was refused. False: it is not, or nothing is known. */
bool endpoint_wire_put_refused(const struct health_endpoint *e, struct ipc_up_refused *m) MUST_CHECK;
void endpoint_wire_get_refused(struct health *h, const struct ipc_up_refused *m);

/* What is known of its count_tokens. False: nothing. */
bool endpoint_wire_put_count(const struct health_endpoint *e, struct ipc_up_count *m) MUST_CHECK;
void endpoint_wire_get_count(struct health *h, const struct ipc_up_count *m);

#endif
