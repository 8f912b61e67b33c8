/* accept: accepts connections from the listening sockets, up to conn_env.conns_max; pauses when
 * that is reached, and when descriptors or memory ran out. Clients that find no room wait in the
 * listen queue: after CROWDED_MS, in which another worker can accept them, idle connections
 * are closed for them. */
#ifndef QCC_WORKER_CLIENT_ACCEPT_H
#define QCC_WORKER_CLIENT_ACCEPT_H

#include "worker/client/listener.h"

/* Initializes the timer that ends a pause. */
void accept_init(struct conn_env *env);

/* Accepts the connections that wait at a listener. The on_ready callback of listener_add. */
void accept_on_ready(struct ev_loop *loop, ev_io *io, int events);

/* Ends a pause, if there is one: a connection has ended. */
void accept_resume(struct conn_env *env);

/* Shortens a pause: a connection has become idle, and may be closed in CROWDED_MS. */
void accept_resume_soon(struct conn_env *env);

/* Accepts what waits in the listen queues, before the sockets are closed, also beyond conns_max:
 * the kernel has let those clients in, and would reset their connections. */
void accept_rest(struct conn_env *env);

/* The same for the listener of that id alone. */
void accept_rest_of(struct conn_env *env, uint32_t id);

/* Stops the timer: the worker drains or ends. */
void accept_stop(struct conn_env *env);

#endif
