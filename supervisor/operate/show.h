/* show: the documents in which operators see the state of things. Whoever shows them (JSON, a table,
 * metrics) finds the same names in them. No key is in any of them. */
#ifndef QCC_SUPERVISOR_OPERATE_SHOW_H
#define QCC_SUPERVISOR_OPERATE_SHOW_H

#include "common/ipc/doc.h"
#include "supervisor/operate/operate_env.h"

/* Version, times, generation, listeners, workers, totals. */
void show_status(const struct operate_env *env, struct doc *d);

/* {"endpoints": […]}: all that is known of each. */
void show_endpoints(const struct operate_env *env, struct doc *d);

/* One of them, by its place in the configuration. */
void show_endpoint(const struct operate_env *env, size_t at, struct doc *d);

/* {"breakers": […]}, {"queue": […]}: of all endpoints; of those in the failure queue. */
void show_breakers(const struct operate_env *env, struct doc *d);
void show_queue(const struct operate_env *env, struct doc *d);

/* How many conversations are bound, in all and by endpoint. */
void show_sessions(const struct operate_env *env, struct doc *d);

#endif
