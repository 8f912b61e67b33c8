#include "worker/loop/deadline.h"

#include <math.h>

static void arm(struct tmo *t)
{
    if (ev_is_active(&t->timer))
        ev_timer_stop(t->loop, &t->timer);
    double after = t->deadline - ev_now(t->loop);
    ev_timer_set(&t->timer, after > 0 ? after : 0, 0.);
    ev_timer_start(t->loop, &t->timer);
    t->armed = t->deadline;
}

static void fired(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)revents;
    struct tmo *t = CONTAINER_OF(w, struct tmo, timer);
    if (t->deadline == HUGE_VAL)
        return;
    if (t->deadline > ev_now(loop) + 0.0005) {
        arm(t);
        return;
    }
    t->deadline = HUGE_VAL;
    t->expired(t);
}

void tmo_init(struct tmo *t, struct ev_loop *loop, void (*expired)(struct tmo *))
{
    ev_timer_init(&t->timer, fired, 0., 0.);
    t->deadline = HUGE_VAL;
    t->armed = 0;
    t->expired = expired;
    t->loop = loop;
}

void tmo_set(struct tmo *t, int64_t ms)
{
    t->deadline = ev_now(t->loop) + (double)ms / 1000.0;
    if (!ev_is_active(&t->timer) || t->armed > t->deadline)
        arm(t);
}

void tmo_clear(struct tmo *t)
{
    t->deadline = HUGE_VAL;
}

void tmo_fini(struct tmo *t)
{
    t->deadline = HUGE_VAL;
    ev_timer_stop(t->loop, &t->timer); /* one that is due in this turn is not active any more, but pending */
}

bool tmo_active(const struct tmo *t)
{
    return t->deadline != HUGE_VAL;
}
