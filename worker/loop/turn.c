#include "worker/loop/turn.h"

#include "common/base/clock.h"
#include "common/base/log.h"

/* ---- the time in which the process ran */

/* Seconds: longer than any process lives, and so short that a double still tells microseconds. */
#define ANCHOR_S 1e9
/* Least seconds between two settings of the beat: a loop that turns often sets it rarely, and in
 * one that gets a message a second (PING) it never fires. */
#define BEAT_PAUSE_S 0.5

/* The time of libev's timers, in seconds since turn_init. Not ev_now(), which jumps with the wall
 * clock; no clock is read. */
static double turn_mono(const struct turn *t)
{
    return ANCHOR_S - ev_timer_remaining(t->loop, (ev_timer *)&t->anchor);
}

static void stood_still(struct turn *t, double s)
{
    t->stalls++;
    t->time -= TURN_GRACE_S;
    log_info("stood still for %.1f s: no timeout counts that time", s);
}

void turn_look(struct turn *t)
{
    int64_t now = clock_suspended_ms(), ms = now - t->suspended_ms;
    t->suspended_ms = now;
    if ((double)ms >= TURN_GAP_S * 1000)
        stood_still(t, (double)ms / 1000);
}

double turn_late(struct turn *t, double seconds)
{
    if (t->late_at != t->mono) {
        t->late_at = t->mono;
        t->stalls++;
        log_debug("stood still for %.1f s at least, %.1f s at most", seconds, t->gap);
    }
    return t->gap;
}

static void on_beat(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)loop, (void)w, (void)revents; /* on_begin has looked */
}

static void on_begin(struct ev_loop *loop, ev_check *w, int revents)
{
    (void)loop, (void)revents;
    struct turn *t = CONTAINER_OF(w, struct turn, begin);
    double mono = turn_mono(t), gap = mono - t->mono;
    t->mono = mono;
    t->gap = gap;
    if (gap < TURN_GAP_S)
        t->time += gap;
    else
        stood_still(t, gap);
    if (mono - t->beat_at < BEAT_PAUSE_S)
        return;
    turn_look(t);
    t->beat_at = mono;
    ev_timer_again(t->loop, &t->beat);
}

/* ---- lanes */

static void on_serve(struct ev_loop *loop, ev_prepare *w, int revents)
{
    (void)loop, (void)revents;
    struct turn *t = CONTAINER_OF(w, struct turn, serve);
    for (int i = 0; i < TURN_LANES; i++) {
        while (!list_empty(&t->lanes[i])) {
            struct ready *r = LIST_ENTRY(t->lanes[i].next, struct ready, node);
            list_remove(&r->node);
            r->run(r);
        }
    }
}

void turn_queue(struct turn *t, enum turn_lane lane, struct ready *r)
{
    if (!list_empty(&r->node))
        return;
    if (lane == TURN_SENDS)
        list_push_back(&t->lanes[lane], &r->node);
    else
        list_push_front(&t->lanes[lane], &r->node);
    ev_feed_event(t->loop, &t->serve, EV_CUSTOM);
}

/* ---- begin and end */

void turn_init(struct turn *t, struct ev_loop *loop)
{
    *t = (struct turn){.loop = loop, .suspended_ms = clock_suspended_ms()};
    list_init(&t->dead);
    for (int i = 0; i < TURN_LANES; i++)
        list_init(&t->lanes[i]);
    ev_prepare_init(&t->serve, on_serve);
    ev_set_priority(&t->serve, -1); /* behind the sockets' callbacks, before the deadlines */
    ev_set_userdata(loop, t);
    ev_now_update(loop);
    ev_timer_init(&t->anchor, on_beat, ANCHOR_S, 0.);
    ev_timer_start(loop, &t->anchor);
    ev_unref(loop);
    t->mono = t->beat_at = turn_mono(t);
    ev_timer_init(&t->beat, on_beat, TURN_BEAT_S, TURN_BEAT_S);
    ev_timer_start(loop, &t->beat);
    ev_unref(loop);
    ev_check_init(&t->begin, on_begin);
    ev_set_priority(&t->begin, EV_MAXPRI);
    ev_check_start(loop, &t->begin);
    ev_unref(loop);
}

void turn_fini(struct turn *t)
{
    for (int i = 0; i < 3; i++)
        ev_ref(t->loop);
    ev_check_stop(t->loop, &t->begin);
    ev_clear_pending(t->loop, &t->serve);
    ev_timer_stop(t->loop, &t->beat);
    ev_timer_stop(t->loop, &t->anchor);
    ev_set_userdata(t->loop, NULL);
}

/* ---- ends and wake-ups */

void turn_bury(struct turn *t, struct dead *d, void (*free)(struct dead *))
{
    d->free = free;
    list_push_back(&t->dead, &d->node);
}

void turn_wake(struct turn *t)
{
    t->wake = true;
}

bool turn_woken(struct turn *t)
{
    bool was = t->wake;
    t->wake = false;
    return was;
}

void turn_free_dead(struct turn *t)
{
    while (!list_empty(&t->dead)) {
        struct dead *d = LIST_ENTRY(t->dead.next, struct dead, node);
        list_remove(&d->node);
        d->free(d);
    }
}
