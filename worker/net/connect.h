/* connect: one TCP connection to an address that is known already: nothing to resolve, nothing to race, no
 * proxy. What dial.h does with libcurl for names, without it. */
#ifndef QCC_WORKER_CONNECT_H
#define QCC_WORKER_CONNECT_H

#include "common/base/base.h"
#include "common/policy/outcome.h"

#include <ev.h>
#include <sys/socket.h>

/* As dial_done: fd is the caller's, or -1 and why. Always from the loop. */
typedef void connect_done(void *arg, int fd, enum net_fault why);

struct connect {
    struct ev_loop *loop;
    ev_io io;
    ev_timer timer;
    int fd;
    enum net_fault why; /* what the timer brings */
    connect_done *done;
    void *arg;
};

/* "192.0.2.1" or "2001:db8::1" (without brackets and scope) as an address. False: it is a name. */
bool connect_literal(const char *host, uint16_t port, struct sockaddr_storage *to, socklen_t *len) MUST_CHECK;

/* Begins; done is called once, unless connect_cancel comes before. */
void connect_start(struct connect *c, struct ev_loop *loop, const struct sockaddr_storage *to, socklen_t len,
                   int64_t timeout_ms, connect_done *done, void *arg);

/* Gives up; fine also when it has ended. */
void connect_cancel(struct connect *c);

#endif
