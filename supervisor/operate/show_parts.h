/* show_parts: members that more than one document of show.h has. Each writes a name and its value
 * into the map that is open. */
#ifndef QCC_SUPERVISOR_OPERATE_SHOW_PARTS_H
#define QCC_SUPERVISOR_OPERATE_SHOW_PARTS_H

#include "common/ipc/doc.h"
#include "supervisor/operate/operate_env.h"

/* "listeners": address, admin, tls of each. */
void show_put_listeners(const struct operate_env *env, struct doc *d);
/* "workers": pid, state, counts, memory and age of each. */
void show_put_workers(const struct operate_env *env, struct doc *d);
/* How many endpoints there are in each state, under that key. */
void show_put_states(const struct operate_env *env, struct doc *d, const char *key);
/* "totals": the sums of all workers. */
void show_put_totals(const struct operate_env *env, struct doc *d);
/* "endpoints": the whole state of each. */
void show_put_endpoints(const struct operate_env *env, struct doc *d);
/* "queue": the endpoints in the failure queue. */
void show_put_queue(const struct operate_env *env, struct doc *d);

/* What the cluster shares of the endpoint i: "places", "lease", "not_followed"; and the number of these
 * members, 0 on a host that is alone. */
void show_put_shared(const struct operate_env *env, size_t i, struct doc *d);
uint32_t show_shared_members(const struct operate_env *env, size_t i);

/* "last_reload": at, ok, error, its first `max` faults and how many more there are; nil: there was
 * none. */
void show_put_last_reload(const struct operate_env *env, struct doc *d, size_t max);

/* "libraries": what each program is linked with, as a text. */
void show_put_libraries(const struct operate_env *env, struct doc *d);

/* The state of the service in one word: "starting" "serving" "stopping"; static. */
const char *show_state(const struct operate_env *env);

/* Writes a time of CLOCK_REALTIME as ISO 8601 in UTC; 0: nil. */
void show_put_wall(struct doc *d, const char *key, int64_t ms);

#endif
