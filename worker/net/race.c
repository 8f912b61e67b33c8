#include "worker/net/race.h"

#include "common/base/fd.h"
#include "common/base/mem.h"

#include <arpa/inet.h>
#include <string.h>

static void go_on(struct race *r);

static void stop(struct race *r)
{
    ev_timer_stop(r->loop, &r->timer);
    for (size_t i = 0; i < RACE_LANES; i++) {
        if (r->lane[i].runs)
            connect_cancel(&r->lane[i].connect);
        r->lane[i].runs = false;
    }
}

static void finish(struct race *r, int fd, enum net_fault why)
{
    stop(r);
    r->done(r->arg, fd, why); /* may free r */
}

static void on_connected(void *arg, int fd, enum net_fault why)
{
    struct lane *l = arg;
    struct race *r = l->race;
    l->runs = false;
    r->to->v[l->at].failed = fd == -1;
    if (fd != -1) {
        for (size_t i = 0; i < l->at; i++)
            r->to->v[i].failed = true; /* it had failed, or more time and did not connect */
        finish(r, fd, NET_NONE);
        return;
    }
    if (r->why == NET_NONE || why == NET_LOCAL)
        r->why = why;
    go_on(r);
}

static void address_of(const struct race *r, size_t i, struct sockaddr_storage *to, socklen_t *len)
{
    const struct address *a = &r->to->v[i];
    bool v6 = a->to.any.sa_family == AF_INET6;
    struct sockaddr_in6 six = a->to.v6;
    struct sockaddr_in four = a->to.v4;
    six.sin6_port = four.sin_port = htons(r->port);
    memset(to, 0, sizeof *to);
    *len = v6 ? sizeof six : sizeof four;
    memcpy(to, v6 ? (const void *)&six : (const void *)&four, *len);
}

static int64_t ms_left(const struct race *r)
{
    double s = r->end - ev_now(r->loop);
    return s > 0 ? (int64_t)(s * 1000) : 0;
}

static struct lane *free_lane(struct race *r)
{
    for (size_t i = 0; i < RACE_LANES; i++)
        if (!r->lane[i].runs)
            return &r->lane[i];
    return NULL;
}

static bool any_runs(const struct race *r)
{
    for (size_t i = 0; i < RACE_LANES; i++)
        if (r->lane[i].runs)
            return true;
    return false;
}

/* Tries the next address, if there is one and a lane is free. */
static void go_on(struct race *r)
{
    struct lane *l = free_lane(r);
    if (r->next == r->to->n && !any_runs(r)) {
        finish(r, -1, r->why);
        return;
    }
    if (r->next == r->to->n || !l)
        return; /* one that runs ends within the time */
    struct sockaddr_storage to;
    socklen_t len;
    l->race = r;
    l->at = r->next++;
    l->runs = true;
    address_of(r, l->at, &to, &len);
    connect_start(&l->connect, r->loop, &to, len, ms_left(r), on_connected, l);
    ev_timer_stop(r->loop, &r->timer);
    if (r->next < r->to->n) {
        ev_timer_set(&r->timer, RACE_STEP_MS / 1000.0, 0.);
        ev_timer_start(r->loop, &r->timer);
    }
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)loop, (void)revents;
    go_on(CONTAINER_OF(w, struct race, timer));
}

void race_start(struct race *r, struct ev_loop *loop, struct addresses *to, uint16_t port,
                int64_t timeout_ms, connect_done *done, void *arg)
{
    *r = (struct race){.loop = loop, .to = to, .port = port, .done = done, .arg = arg};
    ev_now_update(loop);
    r->end = ev_now(loop) + (double)timeout_ms / 1000.0;
    ev_init(&r->timer, on_timer);
    go_on(r);
}

void race_cancel(struct race *r)
{
    stop(r);
    mem_free(r->to);
    r->to = NULL;
}
