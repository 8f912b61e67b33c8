/* accept: takes connections from the listening sockets, no more at a time than may be; pauses when
 * descriptors or memory ran out. */
#ifndef QCC_WORKER_CLIENT_ACCEPT_H
#define QCC_WORKER_CLIENT_ACCEPT_H

#include "worker/client/listener.h"

/* Prepares the timer that ends a pause. */
void accept_init(struct conn_env *env);

/* Connections wait at a listener: its on_ready (listener_add). */
void accept_on_ready(struct ev_loop *loop, ev_io *io, int events);

/* A connection has ended: a pause is over. */
void accept_resume(struct conn_env *env);

/* The worker drains or ends: no pause ends any more. */
void accept_stop(struct conn_env *env);

#endif
