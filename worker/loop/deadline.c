#include "worker/loop/deadline.h"

#include <math.h>

static void arm(struct deadline *t)
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
    struct deadline *t = CONTAINER_OF(w, struct deadline, timer);
    if (t->deadline == HUGE_VAL)
        return;
    if (t->deadline > ev_now(loop) + 0.0005) {
        arm(t);
        return;
    }
    t->deadline = HUGE_VAL;
    t->expired(t);
}

void deadline_init(struct deadline *t, struct ev_loop *loop, void (*expired)(struct deadline *))
{
    ev_timer_init(&t->timer, fired, 0., 0.);
    t->deadline = HUGE_VAL;
    t->armed = 0;
    t->expired = expired;
    t->loop = loop;
}

void deadline_set(struct deadline *t, int64_t ms)
{
    t->deadline = ev_now(t->loop) + (double)ms / 1000.0;
    if (!ev_is_active(&t->timer) || t->armed > t->deadline)
        arm(t);
}

void deadline_clear(struct deadline *t)
{
    t->deadline = HUGE_VAL;
}

void deadline_fini(struct deadline *t)
{
    t->deadline = HUGE_VAL;
    /* also when it is not active: it may be pending in this turn */
    ev_timer_stop(t->loop, &t->timer);
}

bool deadline_active(const struct deadline *t)
{
    return t->deadline != HUGE_VAL;
}
