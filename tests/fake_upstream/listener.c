#include "tests/fake_upstream/listener.h"

#include "common/base/fd.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { LISTENERS_MAX = 64, BACKLOG = 4096, ACCEPT_TURN = 64 };

struct listener {
    ev_io io;
    struct fake *f;
    int fd;
    bool tls, deaf, off;
    unsigned port;
    struct sockaddr_storage at;
    socklen_t at_n;
};

static struct listener all[LISTENERS_MAX];
static int all_n;

static void on_accept(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop, (void)events;
    struct listener *l = CONTAINER_OF(w, struct listener, io);
    for (int i = 0; i < ACCEPT_TURN; i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd == -1)
            return;
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        conn_new(l->f, fd, l->tls, l->port);
    }
}

/* A socket that is bound to l->at; -1, with errno, if there is none. */
static int bound(const struct listener *l)
{
    int on = 1, fd = socket(l->at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)&l->at, l->at_n) != 0)
        fd_close(&fd);
    return fd;
}

/* Binds l->fd to the port that it asks for, or to any. It is bound to that number expressly, since
 * the kernel takes one of its own choice away when the socket ceases to listen (turn_off): another
 * process would get it. */
static bool take_port(struct listener *l)
{
    int any = bound(l);
    if (any == -1 || getsockname(any, (struct sockaddr *)&l->at, &l->at_n) != 0) {
        fd_close(&any);
        return false;
    }
    l->fd = bound(l);
    fd_close(&any);
    return l->fd != -1;
}

static bool turn_on(struct listener *l, struct err *e)
{
    l->deaf = l->off = false;
    if (listen(l->fd, BACKLOG) != 0)
        return err_sys(e, "listen");
    ev_io_start(l->f->loop, &l->io);
    return true;
}

/* Refuses connections, and resets those that have waited; the port stays taken. */
static void turn_off(struct listener *l)
{
    l->off = true;
    ev_io_stop(l->f->loop, &l->io);
    shutdown(l->fd, SHUT_RD);
}

bool listener_open(struct fake *f, const char *where, bool tls, struct err *e)
{
    const char *colon = strrchr(where, ':');
    if (!colon || all_n == LISTENERS_MAX)
        return err_set(e, "%s: %s", where, colon ? "too many" : "ADDR:PORT is wanted");
    bool v6 = where[0] == '[' && colon > where && colon[-1] == ']';
    char host[128] = "";
    size_t n = (size_t)(colon - where);
    if (n >= sizeof host)
        return err_set(e, "%s: too long", where);
    memcpy(host, where + v6, n - 2 * (size_t)v6);
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICHOST, .ai_socktype = SOCK_STREAM},
                    *ai;
    int rc = getaddrinfo(host[0] ? host : NULL, colon + 1, &hints, &ai);
    if (rc != 0)
        return err_set(e, "%s: %s", where, gai_strerror(rc));
    struct listener *l = &all[all_n];
    *l = (struct listener){.f = f, .fd = -1, .tls = tls, .at_n = ai->ai_addrlen};
    memcpy(&l->at, ai->ai_addr, ai->ai_addrlen);
    freeaddrinfo(ai);
    if (!take_port(l))
        return err_set(e, "%s: %s", where, strerror(errno));
    ev_io_init(&l->io, on_accept, l->fd, EV_READ);
    if (!turn_on(l, e))
        return false;
    char addr[64] = "", port[16] = "";
    getnameinfo((struct sockaddr *)&l->at, l->at_n, addr, sizeof addr, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    l->port = (unsigned)strtoul(port, NULL, 10);
    printf(strchr(addr, ':') ? "listening [%s]:%s\n" : "listening %s:%s\n", addr, port);
    fflush(stdout);
    all_n++;
    return true;
}

bool listener_any(void)
{
    return all_n > 0;
}

bool listener_turn(struct str port, struct str word, struct err *e)
{
    uint64_t number = 0;
    struct listener *l = NULL;
    for (int i = 0; str_to_u64(port, UINT16_MAX, &number) && i < all_n && !l; i++)
        l = all[i].port == number ? &all[i] : NULL;
    if (!l)
        return err_set(e, "no such port");
    if (str_eq(word, STR("on"))) {
        if (l->deaf)
            turn_off(l); /* what has waited in its backlog is reset */
        return l->off ? turn_on(l, e) : true;
    }
    if (str_eq(word, STR("off"))) {
        turn_off(l);
        conn_reset_port(l->f, l->port);
        return true;
    }
    if (!str_eq(word, STR("deaf")) || l->off)
        return err_set(e, "on, off or deaf");
    ev_io_stop(l->f->loop, &l->io);
    l->deaf = true;
    return listen(l->fd, 0) == 0 || err_sys(e, "listen");
}

void listener_end_all(void)
{
    for (int i = 0; i < all_n; i++) {
        ev_io_stop(all[i].f->loop, &all[i].io);
        fd_close(&all[i].fd);
    }
}
