/* connect: opens one TCP connection to a given address, without a resolver, a proxy or libcurl. */
#ifndef QCC_WORKER_NET_CONNECT_H
#define QCC_WORKER_NET_CONNECT_H

#include "common/base/base.h"
#include "common/policy/outcome.h"

#include <ev.h>
#include <sys/socket.h>

/* How the connection attempt ended: fd, now the callback's (non-blocking, close-on-exec,
 * TCP_NODELAY), or -1 with the reason. Always called from the loop. */
typedef void connect_done(void *arg, int fd, enum net_fault why);

struct connect {
    struct ev_loop *loop;
    ev_io io;
    ev_timer timer;
    int fd;             /* being connected; -1: none */
    enum net_fault why; /* reason that is reported when the timer fires */
    connect_done *done;
    void *arg;
};

/* Parses an IP address ("192.0.2.1" or "2001:db8::1", without brackets and scope) into *to and
 * *len. False: `host` is a name. */
bool connect_literal(const char *host, uint16_t port, struct sockaddr_storage *to,
                     socklen_t *len) MUST_CHECK;

/* Starts to connect; `done` is called once, unless connect_cancel is called before. c is the
 * caller's and must live until then. */
void connect_start(struct connect *c, struct ev_loop *loop, const struct sockaddr_storage *to,
                   socklen_t len, int64_t timeout_ms, connect_done *done, void *arg);

/* Gives up and closes the socket; no callback follows. Harmless after the attempt has ended. */
void connect_cancel(struct connect *c);

#endif
