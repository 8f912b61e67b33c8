/* peer: has a client that ended its sending side only done that, or gone away for good? A FIN looks
 * the same for shutdown(SHUT_WR) and close(); the difference shows on the other end. For a peer on
 * this machine the kernel is asked for the other end (sock_diag(7), unix(7)); for one elsewhere
 * only a write can tell, which a closed end answers with a reset. */
#ifndef QCC_WORKER_PEER_H
#define QCC_WORKER_PEER_H

#include "common/base/base.h"

enum peer_state {
    PEER_HERE,   /* half-closed at most: it still reads */
    PEER_GONE,   /* closed */
    PEER_UNKNOWN /* on another machine, or the kernel does not say */
};

/* State of the other end of a connected TCP or Unix socket. Costs three system calls; for the rare
 * moment after a FIN. `diag`: a NETLINK_SOCK_DIAG socket from peer_open, or -1. */
enum peer_state peer_look(int fd, int diag);

/* The socket that peer_look asks through; -1 when the system has none. */
int peer_open(void);

#endif
