#include "worker/net/connect.h"

#include "common/base/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>

bool connect_literal(const char *host, uint16_t port, struct sockaddr_storage *to, socklen_t *len)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    memset(to, 0, sizeof *to);
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        memcpy(to, &v4, sizeof v4);
        *len = sizeof v4;
        return true;
    }
    if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        memcpy(to, &v6, sizeof v6);
        *len = sizeof v6;
        return true;
    }
    return false;
}

static enum net_fault fault_of(int why)
{
    switch (why) {
    case 0:
        return NET_NONE;
    case ECONNREFUSED:
        return NET_REFUSED;
    case ETIMEDOUT:
        return NET_CONNECT_TIMEOUT;
    /* from here to EADDRNOTAVAIL: this host is short of descriptors, memory or ports */
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EADDRNOTAVAIL:
        return NET_LOCAL;
    default:
        return NET_CONNECT;
    }
}

static void end(struct connect *c, enum net_fault why)
{
    int fd = c->fd;
    c->fd = -1;
    connect_cancel(c);
    if (why != NET_NONE)
        fd_close(&fd);
    c->done(c->arg, fd, why); /* may free c */
}

static void on_writable(struct ev_loop *loop, ev_io *w, int events)
{
    struct connect *c = CONTAINER_OF(w, struct connect, io);
    int why = 0;
    socklen_t len = sizeof why;
    (void)loop, (void)events;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &why, &len) == -1)
        why = errno;
    end(c, fault_of(why));
}

/* A process that stood still finds the time over and the connection made, which epoll_wait(2) need
 * not have told yet. */
static bool connected_meanwhile(const struct connect *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLOUT};
    return ev_is_active(&c->io) && poll(&p, 1, 0) == 1;
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
    struct connect *c = CONTAINER_OF(w, struct connect, timer);
    if (connected_meanwhile(c))
        on_writable(loop, &c->io, events);
    else
        end(c, c->why);
}

void connect_start(struct connect *c, struct ev_loop *loop, const struct sockaddr_storage *to,
                   socklen_t len, int64_t timeout_ms, connect_done *done, void *arg)
{
    static const int on = 1;
    *c = (struct connect){.loop = loop, .done = done, .arg = arg, .why = NET_CONNECT_TIMEOUT};
    c->fd = socket(to->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    int why = c->fd == -1 ? errno : 0;
    if (c->fd != -1) {
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        why = connect(c->fd, (const struct sockaddr *)to, len) == -1 ? errno : 0;
    }
    bool pending = why == EINPROGRESS;
    if (!pending)
        c->why = fault_of(why); /* reported by the timer, so that `done` is called from the loop */
    ev_init(&c->io, on_writable);
    ev_init(&c->timer, on_timer);
    if (pending) {
        ev_io_set(&c->io, c->fd, EV_WRITE);
        ev_io_start(loop, &c->io);
    }
    ev_now_update(loop); /* ev_now() is the time at which this turn began */
    ev_timer_set(&c->timer, pending ? (double)timeout_ms / 1000.0 : 0., 0.);
    ev_timer_start(loop, &c->timer);
}

void connect_cancel(struct connect *c)
{
    ev_io_stop(c->loop, &c->io);
    ev_timer_stop(c->loop, &c->timer);
    fd_close(&c->fd);
}
