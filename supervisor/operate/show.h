/* show: the documents that show operators the state of the service. JSON, tables and metrics use
 * the same names. No document holds a key. */
#ifndef QCC_SUPERVISOR_OPERATE_SHOW_H
#define QCC_SUPERVISOR_OPERATE_SHOW_H

#include "common/ipc/doc.h"
#include "supervisor/operate/operate_env.h"

/* Writes version, times, generation, listeners, workers, totals. */
void show_status(const struct operate_env *env, struct doc *d);

/* Writes status, endpoints, queue, history and the last reload in one. */
void show_overview(const struct operate_env *env, struct doc *d);

/* Writes {"endpoints": […]}: the whole state of each. */
void show_endpoints(const struct operate_env *env, struct doc *d);

/* Writes the whole state of one endpoint, by its position in the configuration. */
void show_endpoint(const struct operate_env *env, size_t at, struct doc *d);

/* Answers who would get a request for the model that the query names, and why not each of the
 * others. Returns the status: 400 for another query. */
unsigned show_choice(const struct operate_env *env, struct str arg, struct doc *d);

/* Writes {"breakers": […]}: the breakers of all endpoints. */
void show_breakers(const struct operate_env *env, struct doc *d);
/* Writes {"queue": […]}: the endpoints in the failure queue. */
void show_queue(const struct operate_env *env, struct doc *d);

/* Writes how many conversations are bound, in all and by endpoint. */
void show_sessions(const struct operate_env *env, struct doc *d);

/* Answers GET /api/v1/events from memory (common/ipc/event_doc.h). Returns the status. */
unsigned show_events(const struct operate_env *env, struct str arg, struct doc *d);

/* Writes the prices in force, or of the model that the query names, without what only the history
 * knows. Returns the status: 400 for another query. */
unsigned show_prices(const struct operate_env *env, struct str arg, struct doc *d);

/* Writes the configuration in use, as a tree of the file's form with what differs from the
 * defaults, and how the last reload ended. Secrets are masked. */
void show_config(const struct operate_env *env, struct doc *d);

/* The history: its state, the file, what is in it. */
void show_history(const struct operate_env *env, struct doc *d);

#endif
