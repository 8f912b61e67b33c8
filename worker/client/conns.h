/* conns: all connections of a worker: one closed to make room, all drained, all closed at the end.
 */
#ifndef QCC_WORKER_CLIENT_CONNS_H
#define QCC_WORKER_CLIENT_CONNS_H

#include "worker/client/listener.h"

struct conn;
struct req;

/* For so long at least a connection is left to a client that was accepted and has sent nothing yet:
 * its first bytes may have been lost once and be sent again after a second (RFC 6298). */
enum { CONNS_NEW_MS = 2000 };

/* The connection that may be closed to make room: the longest idle one of those that have been so
 * for CROWDED_MS after a reply, or for CONNS_NEW_MS (limits.header_timeout where that is
 * shorter) since they were accepted. Spares those on which a request has just come. NULL: there is
 * none. */
struct conn *conns_idlest(struct conn_env *env);

/* Closes the connection that conns_idlest returns. False: there is none. */
bool conns_close_idlest(struct conn_env *env);

/* For draining: idle connections are closed at once (quick), others after their reply. What a
 * client has already sent is still served. */
void conns_drain(struct conn_env *env, bool quick);

/* Lists the requests under way, but none of operators, in v, which has room for `max`. Returns
 * their number. */
size_t conns_requests(const struct conn_env *env, struct req **v, size_t max);

/* Closes everything at once, with a reset: the drain has timed out. */
void conns_kill(struct conn_env *env);

#endif
