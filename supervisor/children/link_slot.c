#include "supervisor/children/link_slot.h"

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "supervisor/children/spawn.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* Seconds that it has to send what it has: within cluster.timeout, and a little. */
#define STOP_S 2.0

/* Changes of 2,000 endpoints, and bindings of some seconds. */
enum { TX_MAX = 16 << 20, FORK_RETRY_MS = 1000 };

static const struct backoff_conf respawn = {.young_ms = 2000, .first_ms = 100, .max_ms = 5000};

static void timer_in(struct link_slot *l, double seconds)
{
    ev_timer_stop(l->loop, &l->timer);
    ev_now_update(l->loop);
    ev_timer_set(&l->timer, seconds, 0);
    ev_timer_start(l->loop, &l->timer);
}

static void unwatch(struct link_slot *l)
{
    ev_io_stop(l->loop, &l->rd);
    ev_io_stop(l->loop, &l->wr);
}

static void kill_it(struct link_slot *l, const char *why)
{
    log_error("the link (pid %d) is killed: %s", (int)l->pid, why);
    kill(l->pid, SIGKILL);
    unwatch(l);
}

/* ---- the channel */

static void watch_writing(struct link_slot *l)
{
    if (chan_pending(&l->chan))
        ev_io_start(l->loop, &l->wr);
    else
        ev_io_stop(l->loop, &l->wr);
}

static void handle(struct link_slot *l, enum chan_result got, const struct err *e)
{
    if (got == CHAN_OK)
        watch_writing(l);
    else if (got == CHAN_CLOSED)
        unwatch(l); /* SIGCHLD follows */
    else
        kill_it(l, e->msg);
}

static bool on_frame(void *arg, struct ipc_frame *f, struct err *e)
{
    struct link_slot *l = arg;
    return l->ops->frame(l->arg, f, e);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
    struct link_slot *l = CONTAINER_OF(w, struct link_slot, rd);
    struct err e = {""};
    (void)loop, (void)events;
    enum chan_result got = chan_read(&l->chan, on_frame, l, &e);
    handle(l, got, &e);
}

static void on_writable(struct ev_loop *loop, ev_io *w, int events)
{
    struct link_slot *l = CONTAINER_OF(w, struct link_slot, wr);
    struct err e = {""};
    (void)loop, (void)events;
    enum chan_result got = chan_write(&l->chan, &e);
    handle(l, got, &e);
}

bool link_slot_send(struct link_slot *l, chan_put_fn *put, const void *m)
{
    if (l->phase != LINK_SLOT_RUNNING || !ev_is_active(&l->rd))
        return false;
    if (!chan_send(&l->chan, -1, put, 0, m)) {
        kill_it(l, "it does not read its channel");
        return false;
    }
    watch_writing(l);
    return true;
}

/* ---- its life */

static void wait_for_start(struct link_slot *l, int64_t ms)
{
    l->phase = LINK_SLOT_WAITING;
    timer_in(l, (double)ms / 1000);
}

static void on_reaped(struct ev_loop *loop, ev_child *w, int events)
{
    struct link_slot *l = CONTAINER_OF(w, struct link_slot, child);
    struct err e;
    char how[96];
    (void)events;
    ev_child_stop(loop, w);
    ev_timer_stop(loop, &l->timer);
    (void)!chan_read(&l->chan, on_frame, l, &e); /* what it said last */
    unwatch(l);
    chan_fini(&l->chan);
    bool told = l->phase == LINK_SLOT_STOPPING;
    int64_t wait = 0;
    spawn_end_text(w->rstatus, how, sizeof how);
    told = told && w->rstatus == 0;
    if (told) {
        log_debug("the link has finished");
    } else {
        l->failures++;
        log_error("the link (pid %d) ended unexpectedly: %s", (int)l->pid, how);
        wait = backoff_ended(&l->backoff, &respawn, clock_mono_ms() - l->started_ms);
    }
    l->pid = 0;
    l->phase = LINK_SLOT_OFF;
    l->ops->ended(l->arg, told);
    if (l->wanted)
        wait_for_start(l, wait);
}

static void start(struct link_slot *l)
{
    char *argv[] = {"qcc-link", "--link", NULL};
    int ours, theirs;
    if (!fd_pair(&ours, &theirs)) {
        log_error("the link cannot be started: %s", strerror(errno));
        wait_for_start(l, FORK_RETRY_MS);
        return;
    }
    const int fds[] = {theirs};
    l->pid = spawn_child(l->program, argv, fds, COUNT_OF(fds), l->failures > 0);
    fd_close(&theirs);
    if (l->pid == -1) {
        log_error("the link cannot be started: %s", strerror(errno));
        fd_close(&ours);
        l->pid = 0;
        wait_for_start(l, FORK_RETRY_MS);
        return;
    }
    chan_init(&l->chan, ours, FROM_LINK, TX_MAX, "link");
    ev_child_set(&l->child, l->pid, 0);
    ev_child_start(l->loop, &l->child);
    ev_io_set(&l->rd, ours, EV_READ);
    ev_io_set(&l->wr, ours, EV_WRITE);
    ev_io_start(l->loop, &l->rd);
    l->started_ms = clock_mono_ms();
    l->phase = LINK_SLOT_RUNNING;
    log_info("link started, pid %d", (int)l->pid);
    l->ops->started(l->arg);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
    struct link_slot *l = CONTAINER_OF(w, struct link_slot, timer);
    (void)loop, (void)events;
    if (l->phase == LINK_SLOT_WAITING)
        start(l);
    else if (l->phase == LINK_SLOT_STOPPING)
        kill_it(l, "it did not finish in time");
}

void link_slot_init(struct link_slot *l, struct ev_loop *loop, char *program,
                    const struct link_slot_ops *ops, void *arg)
{
    *l =
        (struct link_slot){.loop = loop, .ops = ops, .arg = arg, .program = program, .chan.fd = -1};
    ev_init(&l->rd, on_readable);
    ev_init(&l->wr, on_writable);
    ev_init(&l->child, on_reaped);
    ev_init(&l->timer, on_timer);
}

static void tell_to_stop(struct link_slot *l, bool keep)
{
    const struct ipc_link_stop m = {.keep = keep};
    if (!link_slot_send(l, ipc_put_v_link_stop, &m))
        return;
    l->phase = LINK_SLOT_STOPPING;
    timer_in(l, STOP_S);
}

void link_slot_want(struct link_slot *l, bool on, bool anew)
{
    if (on && !l->program)
        log_error("nothing is shared: there is no program qcc-link beside qcc-worker");
    l->wanted = on && l->program;
    if (!l->wanted) {
        (void)link_slot_stop(l, false);
    } else if (l->phase == LINK_SLOT_OFF) {
        start(l);
    } else if (l->phase == LINK_SLOT_RUNNING && anew) {
        tell_to_stop(l, false);
    }
}

bool link_slot_stop(struct link_slot *l, bool keep)
{
    l->wanted = false;
    if (l->phase == LINK_SLOT_WAITING) {
        ev_timer_stop(l->loop, &l->timer);
        l->phase = LINK_SLOT_OFF;
    }
    tell_to_stop(l, keep);
    return l->phase != LINK_SLOT_OFF;
}

void link_slot_free(struct link_slot *l)
{
    if (l->pid) {
        kill(l->pid, SIGKILL);
        ev_child_stop(l->loop, &l->child);
        unwatch(l);
        chan_fini(&l->chan);
    }
    ev_timer_stop(l->loop, &l->timer);
    mem_free(l->program);
}
