#include "worker/loop/deadline.h"

#include "worker/loop/turn.h"

#include <math.h>

/* Seconds: a loop that runs calls its timers sooner than so much too late. */
#define LATE_S 0.1

static void arm(struct deadline *t)
{
    if (ev_is_active(&t->timer))
        ev_timer_stop(t->turn->loop, &t->timer);
    double after = t->deadline - t->turn->time;
    ev_timer_set(&t->timer, after > 0 ? after : 0, 0.);
    ev_timer_start(t->turn->loop, &t->timer);
    t->armed = t->deadline;
}

static void fired(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)loop, (void)revents;
    struct deadline *t = CONTAINER_OF(w, struct deadline, timer);
    if (t->deadline == HUGE_VAL)
        return;
    turn_look(t->turn);
    double late = t->turn->time - t->armed;
    if (t->deadline <= t->turn->time && late > LATE_S && !t->extended) {
        t->extended = true;
        t->deadline = t->turn->time + turn_late(t->turn, late);
    }
    if (t->deadline > t->turn->time + 0.0005) {
        arm(t);
        return;
    }
    /* What the deadline waits for may lie in a socket: epoll_wait(2) that was interrupted by a stop
     * and its end (EINTR) has told of none. One more look at them. */
    if (!t->looked) {
        t->looked = true;
        arm(t);
        return;
    }
    t->looked = t->extended = false;
    t->deadline = HUGE_VAL;
    t->expired(t);
}

void deadline_init(struct deadline *t, struct ev_loop *loop, void (*expired)(struct deadline *))
{
    ev_timer_init(&t->timer, fired, 0., 0.);
    /* what was read in the same turn comes first, and may have moved the deadline */
    ev_set_priority(&t->timer, EV_MINPRI);
    t->deadline = HUGE_VAL;
    t->armed = 0;
    t->looked = t->extended = false;
    t->expired = expired;
    t->turn = turn_of(loop);
}

void deadline_set(struct deadline *t, int64_t ms)
{
    t->deadline = t->turn->time + (double)ms / 1000.0;
    t->looked = t->extended = false;
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
    ev_timer_stop(t->turn->loop, &t->timer);
}

bool deadline_active(const struct deadline *t)
{
    return t->deadline != HUGE_VAL;
}
