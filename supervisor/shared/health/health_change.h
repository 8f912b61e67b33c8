/* health_change: what follows a change of an endpoint's state, whoever made it: the workers get the
 * state, others may become the last one, the log gets a line. For the files of health.h alone. */
#ifndef QCC_SUPERVISOR_SHARED_HEALTH_HEALTH_CHANGE_H
#define QCC_SUPERVISOR_SHARED_HEALTH_HEALTH_CHANGE_H

#include "supervisor/shared/health/health_state.h"

/* What decisions about e depend on besides its own state. */
struct ep_ctx health_ctx(const struct health *h, const struct health_endpoint *e);

/* Updates whether each endpoint is usable, since a cooldown ends by time alone, and forgets models
 * that are no longer asked for. Called before a decision that depends on it. */
void health_look_at_all(struct health *h, int64_t now_ms);

/* Sends the state of e to the workers if it differs from the one last sent. */
void health_send_state(struct health *h, struct health_endpoint *e, int64_t now_ms);

/* Counts an event of e. */
void health_count_event(const struct health *h, const struct health_endpoint *e,
                        enum health_count what);

/* Acts on the changes of an event. reason: that of the report, or NULL. */
void health_changed(struct health *h, struct health_endpoint *e, const struct ep_changes *ch,
                    const char *reason, int64_t now_ms);

#endif
