#include "worker/client/accept.h"

#include "common/base/log.h"
#include "worker/client/conn.h"
#include "worker/client/conns.h"
#include "worker/request/env/req_env.h"
#include "worker/shared/counters.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
    REST = 4096,   /* connections of one listen queue that are accepted at the end */
    PER_TURN = 64, /* connections accepted in one turn: a burst must not starve other events */
    /* connections the admin listener accepts beyond limits.max_connections, so that an operator can
     * examine an overload */
    ADMIN_EXTRA = 16
};

/* Seconds without accepting after descriptors or memory ran out, or as long as no connection may be
 * closed for those that wait. */
#define PAUSE_S 0.1

/* Whether a connection waits in the listen queue. */
static bool one_waits(const struct listener *l)
{
    struct epoll_event ev;
    return epoll_wait(l->epfd, &ev, 1, 0) > 0;
}

static void go_on(struct conn_env *env)
{
    bool waits = false;
    env->accept_paused = false;
    if (!env->started || env->req->draining)
        return;
    LIST_EACH(n, tmp, &env->listeners)
    waits |= one_waits(LIST_ENTRY(n, struct listener, node));
    if (!waits) /* another worker has accepted them */
        env->crowded_since = 0;
    listener_start_all(env);
}

static void on_pause_over(struct ev_loop *loop, ev_timer *t, int events)
{
    (void)loop, (void)events;
    go_on(CONTAINER_OF(t, struct conn_env, accept_again));
}

void accept_init(struct conn_env *env)
{
    ev_timer_init(&env->accept_again, on_pause_over, PAUSE_S, 0.);
}

void accept_resume(struct conn_env *env)
{
    if (!env->accept_paused || env->req->draining || !ev_is_active(&env->accept_again))
        return;
    ev_timer_stop(env->loop, &env->accept_again);
    go_on(env);
}

void accept_stop(struct conn_env *env)
{
    ev_timer_stop(env->loop, &env->accept_again);
}

static void timer_arm(struct conn_env *env, double seconds)
{
    ev_timer_stop(env->loop, &env->accept_again);
    ev_timer_set(&env->accept_again, seconds, 0.);
    ev_timer_start(env->loop, &env->accept_again);
}

void accept_resume_soon(struct conn_env *env)
{
    double soon = CROWDED_MS / 1000.0;
    if (env->accept_paused && ev_is_active(&env->accept_again) &&
        ev_timer_remaining(env->loop, &env->accept_again) > soon)
        timer_arm(env, soon);
}

static void pause_accepting(struct conn_env *env, bool operators_too, double seconds)
{
    listener_stop_all(env, operators_too);
    if (env->accept_paused)
        return;
    env->accept_paused = true;
    timer_arm(env, seconds);
}

/* Whether a connection may be accepted; *instead: the idle one to be closed if that succeeds, or
 * NULL. False: none waits, or too many are open. */
static bool has_room(struct listener *l, struct conn **instead)
{
    struct conn_env *env = l->env;
    bool operators = l->service->operators;
    *instead = NULL;
    if (env->counters->conns < env->conns_max + (operators ? ADMIN_EXTRA : 0))
        return true;
    if (!one_waits(l)) { /* no client is waiting: keep the idle ones */
        env->crowded_since = 0;
        return false;
    }
    if (env->crowded_since <= 0)
        env->crowded_since = ev_now(env->loop);
    bool crowded = listener_crowded(env);
    if (crowded && (*instead = conns_idlest(env)))
        return true;
    pause_accepting(env, operators, crowded ? PAUSE_S : CROWDED_MS / 1000.0);
    return false;
}

/* The next connection of the listen queue, beyond those that have ended there; -1 with errno. */
static int next_waiting(const struct listener *l)
{
    int fd;
    do
        fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (fd == -1 && (errno == EINTR || errno == ECONNABORTED));
    return fd;
}

static void begin(struct listener *l, int fd)
{
    int on = 1;
    if (!l->unix_socket)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    conn_new(l, fd);
}

void accept_on_ready(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop, (void)events;
    struct listener *l = CONTAINER_OF(io, struct listener, io);
    struct conn_env *env = l->env;
    struct conn *instead;
    for (int i = 0; i < PER_TURN && !l->gone && has_room(l, &instead); i++) {
        int fd = next_waiting(l);
        if (fd == -1) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                log_warn("accept on %s: %s", l->address, strerror(errno));
                if (!env->shed(env->arg))
                    pause_accepting(env, true, PAUSE_S);
            }
            env->crowded_since = 0;
            return; /* EAGAIN: no connection waits, or another worker accepted it */
        }
        if (instead)
            conn_close_as(instead, false);
        begin(l, fd);
    }
}

static void rest_of(struct listener *l)
{
    for (int i = 0; i < REST; i++) {
        int fd = next_waiting(l);
        if (fd == -1)
            break;
        begin(l, fd);
    }
}

void accept_rest(struct conn_env *env)
{
    LIST_EACH(n, tmp, &env->listeners)
    rest_of(LIST_ENTRY(n, struct listener, node));
}

void accept_rest_of(struct conn_env *env, uint32_t id)
{
    LIST_EACH(n, tmp, &env->listeners)
    {
        struct listener *l = LIST_ENTRY(n, struct listener, node);
        if (l->id == id)
            rest_of(l);
    }
}
