#include "worker/net/named.h"

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/mem.h"

static void finish(struct named *n, int fd, enum net_fault why)
{
    struct detail d;
    detail_set(&d, why, n->host, n->more);
    named_done *done = n->done;
    void *arg = n->arg;
    named_cancel(n);
    done(arg, fd, why, &d); /* may free n */
}

/* Reports a failure from the loop. */
static void fail_soon(struct named *n, enum net_fault why, const char *more)
{
    n->why = why;
    n->more = more;
    ev_timer_stop(n->loop, &n->timer);
    ev_timer_set(&n->timer, 0., 0.);
    ev_timer_start(n->loop, &n->timer);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)loop, (void)revents;
    struct named *n = CONTAINER_OF(w, struct named, timer);
    finish(n, -1, n->why);
}

static int64_t ms_left(const struct named *n)
{
    double s = n->end - ev_now(n->loop);
    return s > 0 ? (int64_t)(s * 1000) : 0;
}

static void resolve_now(struct named *n)
{
    n->fresh = true;
    if (!resolve_start(n->resolver, &n->question, n->host)) {
        fail_soon(n, NET_LOCAL, "no thread for a name server");
        return;
    }
    n->why = NET_CONNECT_TIMEOUT;
    n->more = "no answer from a name server";
    ev_timer_stop(n->loop, &n->timer);
    ev_timer_set(&n->timer, (double)ms_left(n) / 1000., 0.);
    ev_timer_start(n->loop, &n->timer);
}

static void on_raced(void *arg, int fd, enum net_fault why)
{
    struct named *n = arg;
    resolve_tell(n->resolver, n->host, n->race.to, fd != -1);
    if (fd != -1 || n->fresh || why == NET_LOCAL || ms_left(n) == 0) {
        finish(n, fd, why);
        return;
    }
    n->tried = n->race.to;
    n->race.to = NULL;
    resolve_now(n);
    n->why = why; /* if the answer brings nothing new, or none comes */
    n->more = NULL;
}

static void race(struct named *n, const struct addresses *a)
{
    race_start(&n->race, n->loop, addresses_copy(a), n->port, ms_left(n), on_raced, n);
}

static void on_answer(struct resolve *q, const struct addresses *a, int error)
{
    struct named *n = CONTAINER_OF(q, struct named, question);
    ev_timer_stop(n->loop, &n->timer);
    n->more = NULL;
    if (a && (!n->tried || addresses_news(a, n->tried))) {
        race(n, a);
        return;
    }
    if (a) { /* the same as before */
        finish(n, -1, n->why);
        return;
    }
    bool local = error == EAI_MEMORY || error == EAI_SYSTEM;
    n->more = error == EAI_AGAIN || local ? gai_strerror(error) : NULL;
    finish(n, -1, local ? NET_LOCAL : NET_RESOLVE);
}

void named_start(struct named *n, struct ev_loop *loop, struct resolver *r, const char *host,
                 uint16_t port, int64_t timeout_ms, named_done *done, void *arg)
{
    *n = (struct named){.loop = loop,
                        .resolver = r,
                        .host = mem_strdup(host),
                        .port = port,
                        .done = done,
                        .arg = arg,
                        .question = {.done = on_answer},
                        .race = {.loop = loop}};
    list_init(&n->question.node);
    ev_init(&n->timer, on_timer);
    ev_now_update(loop);
    n->end = ev_now(loop) + (double)timeout_ms / 1000.;
    const struct addresses *known = resolve_cached(r, host, clock_boot_ms());
    if (known)
        race(n, known);
    else
        resolve_now(n);
}

void named_cancel(struct named *n)
{
    ev_timer_stop(n->loop, &n->timer);
    resolve_cancel(&n->question);
    race_cancel(&n->race);
    mem_free(n->tried);
    n->tried = NULL;
    mem_free(n->host);
    n->host = NULL;
}
