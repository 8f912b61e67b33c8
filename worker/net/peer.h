/* peer: the other end of a connection: its address, and whether a client that sent a FIN still
 * reads. shutdown(SHUT_WR) and close() send the
 * same FIN; only the state of the client's socket differs. For a peer on this machine the kernel is
 * asked for that state (sock_diag(7), unix(7)); for one elsewhere only a write can tell, which a
 * closed socket answers with a reset. */
#ifndef QCC_WORKER_NET_PEER_H
#define QCC_WORKER_NET_PEER_H

#include "common/base/base.h"

enum peer_state {
    PEER_HERE,   /* half-closed at most: it still reads */
    PEER_GONE,   /* closed */
    PEER_UNKNOWN /* on another machine, or the kernel gave no answer */
};

/* State of the other end of the connected TCP or Unix socket `fd`. Costs two to four system
 * calls: meant for after a FIN, not for each request. `diag`: the socket from peer_open, or -1. */
enum peer_state peer_look(int fd, int diag);

/* The address of the other end of `fd` without its port, cut at size; "" for a Unix socket. An
 * IPv4-mapped address is written as IPv4. */
void peer_address(int fd, char *text, size_t size);

/* Opens the NETLINK_SOCK_DIAG socket for peer_look; the caller closes it. -1: the system has
 * none. */
int peer_open(void);

#endif
