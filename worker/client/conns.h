/* conns: all connections of a worker: one closed to make room, all drained, all closed at the end.
 */
#ifndef QCC_WORKER_CLIENT_CONNS_H
#define QCC_WORKER_CLIENT_CONNS_H

#include "worker/client/listener.h"

/* Closes the connection that has been idle longest, unless a request has just come on it. False:
 * none is idle. */
bool conns_close_idlest(struct conn_env *env);

/* For draining: idle connections are closed at once (quick), others after their reply. What a
 * client has already sent is still served. */
void conns_drain(struct conn_env *env, bool quick);

/* Closes everything at once, with a reset: the drain has timed out. */
void conns_kill(struct conn_env *env);

#endif
