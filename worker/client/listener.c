#include "worker/client/listener.h"

#include "common/base/fd.h"
#include "common/base/mem.h"
#include "worker/net/tls.h"
#include "worker/request/env/req_env.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

static const struct conf_listen *listen_of(const struct conf *c, const char *address)
{
    for (size_t i = 0; i < c->nlisten; i++)
        if (strcmp(c->listen[i].address, address) == 0)
            return &c->listen[i];
    return NULL;
}

bool listener_add(struct conn_env *env, uint32_t id, const struct service *service,
                  const char *address, int fd, void (*on_ready)(struct ev_loop *, ev_io *, int),
                  struct err *e)
{
    struct listener *l = mem_zalloc(1, sizeof *l);
    l->env = env;
    l->id = id;
    l->service = service;
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
    const struct conf_listen *cl =
        service->operators || !env->req->conf ? NULL : listen_of(env->req->conf, address);
    if (cl && cl->certificate_pem) {
        l->tls = tls_server(cl->certificate_pem, cl->private_key_pem, env->tickets, e);
        if (!l->tls) {
            fd_close(&l->epfd);
            mem_free(l);
            return false;
        }
    }
    ev_io_init(&l->io, on_ready, l->epfd, EV_READ);
    list_push_back(&env->listeners, &l->node);
    if (env->started && !env->accept_paused)
        ev_io_start(env->loop, &l->io);
    return true;
}

void listener_unref(struct listener *l)
{
    if (--l->refs)
        return;
    SSL_CTX_free(l->tls);
    mem_free(l);
}

bool listener_crowded(const struct conn_env *env)
{
    return env->crowded_since > 0 &&
           ev_now(env->loop) - env->crowded_since > CROWDED_MS / 1000.0 - 0.001;
}

static void close_listener(struct listener *l)
{
    ev_io_stop(l->env->loop, &l->io);
    fd_close(&l->epfd);
    fd_close(&l->fd);
    l->gone = true;
    list_remove(&l->node);
    listener_unref(l);
}

void listener_remove(struct conn_env *env, uint32_t id)
{
    LIST_EACH(n, tmp, &env->listeners)
    {
        struct listener *l = LIST_ENTRY(n, struct listener, node);
        if (l->id == id)
            close_listener(l);
    }
}

void listener_remove_all(struct conn_env *env)
{
    LIST_EACH(n, tmp, &env->listeners)
    close_listener(LIST_ENTRY(n, struct listener, node));
}

void listener_start_all(struct conn_env *env)
{
    LIST_EACH(n, tmp, &env->listeners)
    ev_io_start(env->loop, &LIST_ENTRY(n, struct listener, node)->io);
}

void listener_stop_all(struct conn_env *env, bool operators_too)
{
    LIST_EACH(n, tmp, &env->listeners)
    {
        struct listener *l = LIST_ENTRY(n, struct listener, node);
        if (operators_too || !l->service->operators)
            ev_io_stop(env->loop, &l->io);
    }
}

bool listener_tls(struct conn_env *env, const struct conf *c, struct err *e)
{
    size_t n = 0, i = 0;
    LIST_EACH(a, tmp_a, &env->listeners)
    n++;
    /* All contexts are made before the first is used, so that a failure changes nothing. */
    SSL_CTX **made = mem_zalloc(n + 1, sizeof *made);
    bool ok = true;
    LIST_EACH(b, tmp_b, &env->listeners)
    {
        struct listener *l = LIST_ENTRY(b, struct listener, node);
        const struct conf_listen *cl = l->service->operators ? NULL : listen_of(c, l->address);
        if (!cl && l->tls) { /* UNLISTEN will close it: its context stays until then */
            SSL_CTX_up_ref(l->tls);
            made[i] = l->tls;
        } else if (ok && cl && cl->certificate_pem) {
            made[i] = tls_server(cl->certificate_pem, cl->private_key_pem, env->tickets, e);
            ok = made[i] != NULL;
        }
        i++;
    }
    i = 0;
    LIST_EACH(d, tmp_d, &env->listeners)
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
