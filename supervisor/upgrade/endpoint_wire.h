/* endpoint_wire: the whole state of an endpoint, from one supervisor to the next at an upgrade:
 * more than what lasts over a restart (saved.h). The reader checks every number. */
#ifndef QCC_SUPERVISOR_UPGRADE_ENDPOINT_WIRE_H
#define QCC_SUPERVISOR_UPGRADE_ENDPOINT_WIRE_H

#include "common/ipc/ipc.h"
#include "supervisor/shared/health/health.h"

/* Bytes of UP_ENDPOINT.queued_why that every build takes. */
enum { ENDPOINT_WIRE_WHY = 63 };

/* Fills m with the state of e. Borrows from e and from why, which takes the reason it is queued
 * for, cut. */
void endpoint_wire_put(const struct health_endpoint *e, struct ipc_up_endpoint *m,
                       char why[static ENDPOINT_WIRE_WHY + 1]);

/* Moves all times of m by by_ms: from this process's clock to that of UP_ENDPOINT with
 * -clock_suspended_ms(), back with clock_suspended_ms(). */
void endpoint_wire_move(struct ipc_up_endpoint *m, int64_t by_ms);
/* Moves a point in time; 0 (none) and INT64_MAX (never) stay what they are. */
void endpoint_wire_move_time(int64_t *t, int64_t by_ms);
/* Moves the times of UP_COUNT, as endpoint_wire_move does those of UP_ENDPOINT. */
void endpoint_wire_move_count(struct ipc_up_count *m, int64_t by_ms);

/* Takes the state over for the endpoint of that id; one that is not configured here is passed over.
 * A trial or verification of a worker of the predecessor then belongs to HEALTH_PREDECESSOR.
 * `enabled` of this configuration counts as in a reload. False: the message is malformed. */
bool endpoint_wire_get(struct health *h, const struct conf *c, const struct ipc_up_endpoint *m,
                       int64_t now_ms) MUST_CHECK;

/* Fills m with how the key of e was refused. False: e is not EP_BY_AUTH, or it is not known. */
bool endpoint_wire_put_refused(const struct health_endpoint *e,
                               struct ipc_up_refused *m) MUST_CHECK;
/* Takes over how the key of an endpoint was refused; one that is not configured here is passed
 * over. */
void endpoint_wire_get_refused(struct health *h, const struct ipc_up_refused *m);

/* Fills m with what is known about count_tokens of e. False: nothing is known. */
bool endpoint_wire_put_count(const struct health_endpoint *e, struct ipc_up_count *m) MUST_CHECK;
/* Takes over what is known about count_tokens; an endpoint that is not configured here is passed
 * over. */
void endpoint_wire_get_count(struct health *h, const struct ipc_up_count *m);

/* Fills m with how long the state of e lasts, and its last failure. Borrows from e. */
void endpoint_wire_put_past(const struct health_endpoint *e, int64_t now_ms, struct ipc_up_past *m);
/* Takes that over where nothing newer is known here; an endpoint that is not configured here is
 * passed over. */
void endpoint_wire_get_past(struct health *h, const struct ipc_up_past *m);

#endif
