#include "worker/client/accept.h"

#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "worker/client/conn.h"
#include "worker/net/tls.h"
#include "worker/worker.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PER_TURN = 64,   /* connections taken in one turn: the rest of the loop is not to starve in a storm */
    OPERATORS = 16   /* the admin listener takes so many more than there may be: a crowd is to be looked at */
};

static void accept_later(struct wkr *w, bool admin_too)
{
    LIST_EACH(n, tmp, &w->listeners)
    {
        struct listener *l = LIST_ENTRY(n, struct listener, node);
        if (admin_too || !l->admin)
            ev_io_stop(w->loop, &l->io);
    }
    if (w->accept_paused)
        return;
    w->accept_paused = true;
    ev_timer_start(w->loop, &w->accept_again);
}

/* Whether a connection waits to be taken. */
static bool anybody(const struct listener *l)
{
    struct epoll_event ev;
    return epoll_wait(l->epfd, &ev, 1, 0) > 0;
}

static void on_connections(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop, (void)revents;
    struct listener *l = CONTAINER_OF(io, struct listener, io);
    struct wkr *w = l->w;
    for (int i = 0; i < PER_TURN && !l->gone; i++) {
        if (w->gauge.conns >= w->conns_max + (l->admin ? OPERATORS : 0)) {
            if (!anybody(l)) /* nobody has to go for nobody */
                return;
            if (!conn_close_idlest(w)) {
                accept_later(w, l->admin);
                return;
            }
        }
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd == -1) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                log_warn("accept on %s: %s", l->address, strerror(errno));
                if (!wkr_shed(w))
                    accept_later(w, true);
            } else if (errno == EINTR || errno == ECONNABORTED) {
                continue;
            }
            return; /* EAGAIN: another worker took it, or there are no more */
        }
        int on = 1;
        if (!l->unix_socket)
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        conn_new(w, l, fd);
    }
}

static const struct conf_listen *listen_of(const struct conf *c, const char *address)
{
    for (size_t i = 0; i < c->nlisten; i++)
        if (strcmp(c->listen[i].address, address) == 0)
            return &c->listen[i];
    return NULL;
}

bool listener_add(struct wkr *w, uint32_t id, bool admin, const char *address, int fd, struct err *e)
{
    struct listener *l = mem_zalloc(1, sizeof *l);
    l->w = w;
    l->id = id;
    l->admin = admin;
    l->refs = 1;
    l->fd = fd;
    l->unix_socket = strncmp(address, "unix:", 5) == 0;
    snprintf(l->address, sizeof l->address, "%s", address);
    l->epfd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLEXCLUSIVE};
    if (l->epfd == -1 || epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev) == -1) {
        err_sys(e, "listener %s", address);
        fd_close(&l->epfd);
        mem_free(l);
        return false;
    }
    const struct conf_listen *cl = admin || !w->conf ? NULL : listen_of(w->conf, address);
    if (cl && cl->certificate_pem) {
        l->tls = tls_server(cl->certificate_pem, cl->private_key_pem, e);
        if (!l->tls) {
            fd_close(&l->epfd);
            mem_free(l);
            return false;
        }
    }
    ev_io_init(&l->io, on_connections, l->epfd, EV_READ);
    list_push_back(&w->listeners, &l->node);
    if (w->started && !w->accept_paused)
        ev_io_start(w->loop, &l->io);
    return true;
}

void listener_unref(struct listener *l)
{
    if (--l->refs)
        return;
    SSL_CTX_free(l->tls);
    mem_free(l);
}

static void close_listener(struct listener *l)
{
    ev_io_stop(l->w->loop, &l->io);
    fd_close(&l->epfd);
    fd_close(&l->fd);
    l->gone = true;
    list_remove(&l->node);
    listener_unref(l);
}

void listener_remove(struct wkr *w, uint32_t id)
{
    LIST_EACH(n, tmp, &w->listeners)
    {
        struct listener *l = LIST_ENTRY(n, struct listener, node);
        if (l->id == id)
            close_listener(l);
    }
}

void listener_remove_all(struct wkr *w)
{
    LIST_EACH(n, tmp, &w->listeners)
        close_listener(LIST_ENTRY(n, struct listener, node));
}

void listener_start_all(struct wkr *w)
{
    LIST_EACH(n, tmp, &w->listeners)
        ev_io_start(w->loop, &LIST_ENTRY(n, struct listener, node)->io);
}

void listener_stop_all(struct wkr *w)
{
    LIST_EACH(n, tmp, &w->listeners)
        ev_io_stop(w->loop, &LIST_ENTRY(n, struct listener, node)->io);
}

bool listener_tls(struct wkr *w, const struct conf *c, struct err *e)
{
    size_t n = 0, i = 0;
    LIST_EACH(a, tmp_a, &w->listeners)
        n++;
    /* all contexts are made before the first is put in place */
    SSL_CTX **made = mem_zalloc(n + 1, sizeof *made);
    bool ok = true;
    LIST_EACH(b, tmp_b, &w->listeners)
    {
        struct listener *l = LIST_ENTRY(b, struct listener, node);
        const struct conf_listen *cl = l->admin ? NULL : listen_of(c, l->address);
        if (!cl && l->tls) { /* about to be closed: till then it stays what it was */
            SSL_CTX_up_ref(l->tls);
            made[i] = l->tls;
        } else if (ok && cl && cl->certificate_pem) {
            made[i] = tls_server(cl->certificate_pem, cl->private_key_pem, e);
            ok = made[i] != NULL;
        }
        i++;
    }
    i = 0;
    LIST_EACH(d, tmp_d, &w->listeners)
    {
        struct listener *l = LIST_ENTRY(d, struct listener, node);
        SSL_CTX *drop = ok ? l->tls : made[i];
        if (ok)
            l->tls = made[i];
        SSL_CTX_free(drop);
        i++;
    }
    mem_free(made);
    return ok;
}
