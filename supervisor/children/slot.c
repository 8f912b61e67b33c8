#include "supervisor/children/slot.h"

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "supervisor/children/spawn.h"
#include "supervisor/shared/events.h"
#include "supervisor/shared/health/health.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    /* bytes: two CONFs and all other frames that may wait for a worker that does not read */
    TX_MAX = 2 * IPC_FRAME_MAX + (1 << 20),
    RETIRE_GRACE_MS = 1000, /* beyond the drain timeout, when the worker itself ends its requests */
    FORK_RETRY_MS = 1000
};

static const struct backoff_conf respawn = {.young_ms = 2000, .first_ms = 100, .max_ms = 5000};

#define BIT(state) (1u << SLOT_##state)
static const unsigned slot_next[SLOT__COUNT] = {
    [SLOT_EMPTY] = BIT(STARTING),
    [SLOT_STARTING] = BIT(SERVING) | BIT(RETIRING) | BIT(KILLED) | BIT(EMPTY),
    [SLOT_SERVING] = BIT(RETIRING) | BIT(KILLED) | BIT(EMPTY),
    [SLOT_RETIRING] = BIT(KILLED) | BIT(EMPTY),
    [SLOT_KILLED] = BIT(EMPTY),
};

static void move(struct slot *s, enum slot_state to)
{
    if (!(slot_next[s->st.state] & 1u << to))
        die("%s: no way from state %d to %d", s->name, (int)s->st.state, (int)to);
    s->st.state = to;
}

bool slot_active(const struct slot *s)
{
    return s->st.state == SLOT_STARTING || s->st.state == SLOT_SERVING;
}

bool slot_alive(const struct slot *s)
{
    return slot_active(s) || s->st.state == SLOT_RETIRING;
}

/* ---- the channel */

static void watch_writing(struct slot *s)
{
    if (chan_pending(&s->chan) || s->feeding)
        ev_io_start(s->env->loop, &s->wr);
    else
        ev_io_stop(s->env->loop, &s->wr);
}

static void unwatch(struct slot *s)
{
    ev_io_stop(s->env->loop, &s->rd);
    ev_io_stop(s->env->loop, &s->wr);
}

static void channel_ended(struct slot *s, enum chan_result r, const struct err *e)
{
    switch (r) {
    case CHAN_OK:
        watch_writing(s);
        return;
    case CHAN_CLOSED:
        /* The worker has ended, or is about to: SIGCHLD says how. If it lives on it becomes stuck
         * (PLAN_MISSED). */
        unwatch(s);
        return;
    case CHAN_BROKEN:
        slot_kill(s, e->msg);
        return;
    }
}

static bool on_frame(void *slot, struct ipc_frame *f, struct err *e)
{
    struct slot *s = slot;
    return s->env->ops->frame(s->env->arg, s, f, e);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
    struct slot *s = w->data;
    struct err e;
    (void)loop;
    (void)events;
    enum chan_result r = chan_read(&s->chan, on_frame, s, &e);
    if (slot_alive(s)) /* the handler of a frame may have killed it */
        channel_ended(s, r, &e);
}

static void on_writable(struct ev_loop *loop, ev_io *w, int events)
{
    struct slot *s = w->data;
    struct err e;
    (void)events;
    enum chan_result r = chan_write(&s->chan, &e);
    if (r == CHAN_CLOSED)
        ev_io_stop(loop, &s->wr); /* read_rest must still find the last frames */
    else if (r == CHAN_OK && s->feeding && !chan_pending(&s->chan))
        s->env->ops->room(s->env->arg, s);
    else
        channel_ended(s, r, &e);
}

void slot_send(struct slot *s, int pass, chan_put_fn *put, const void *m)
{
    if (!slot_alive(s))
        return;
    if (chan_send(&s->chan, pass, put, s->gen_sent, m))
        watch_writing(s);
    else
        slot_kill(s, "does not read its channel");
}

/* ---- the end of a life */

/* SIGCHLD can be handled before the last frames are read; without this the worker's last OUTCOMEs
 * are lost. */
static void read_rest(struct slot *s)
{
    enum { TURNS = 64 }; /* of a MiB each: more than a socket's buffer holds */
    struct err e;
    for (int i = 0; i < TURNS && slot_alive(s); i++)
        if (chan_read(&s->chan, on_frame, s, &e) != CHAN_OK)
            return;
}

/* Why another start would end the same way, by the exit status; NULL: it may succeed. */
static const char *cannot_start(int status)
{
    if (!WIFEXITED(status))
        return NULL;
    if (WEXITSTATUS(status) == WORKER_EXIT_NO_EXEC)
        return "its program cannot be executed";
    if (WEXITSTATUS(status) == WORKER_EXIT_CANNOT_START)
        return "it lacks what it needs from the system";
    return NULL;
}

/* How a worker ended that was not told to, in the log and as an event. */
static void note_end(struct slot *s, enum log_level level, pid_t pid, const char *what)
{
    log_line(level, (struct str){0}, "%s (pid %d) %s", s->name, (int)pid, what);
    events_add(s->env->events, clock_wall_ms(), EVENT_WORKER, NULL, "%s (pid %d) %s", s->name,
               (int)pid, what);
}

/* The process ended without having been told to. was_active: it was not killed by the supervisor.
 * Decides when the next one starts, and logs why. */
static void on_failure(struct slot *s, pid_t pid, int status, int64_t lived, bool was_active)
{
    struct err what;
    char how[96];
    int64_t wait = backoff_ended(&s->backoff, &respawn, lived);
    bool known = s->cannot_start != NULL;
    s->failures++;
    s->cannot_start = was_active ? cannot_start(status) : NULL;
    if (s->cannot_start) {
        wait = respawn.max_ms;
        err_set(&what, "cannot start: %s; the next try is in %lld ms", s->cannot_start,
                (long long)wait);
        if (known)
            log_debug("%s (pid %d) %s", s->name, (int)pid, what.msg);
        else
            note_end(s, LOG_L_ERROR, pid, what.msg);
    } else if (was_active) {
        spawn_end_text(status, how, sizeof how);
        err_set(&what, "ended unexpectedly after %.1f s: %s", (double)lived / 1000, how);
        note_end(s, LOG_L_ERROR, pid, what.msg);
    }
    s->st.start_at += wait;
    if (wait && !s->cannot_start && s->env->intent->want == PLAN_SERVE)
        log_warn("%s ends too often: next start in %lld ms", s->name, (long long)wait);
}

static void on_reaped(struct ev_loop *loop, ev_child *w, int events)
{
    struct slot *s = w->data;
    struct err what;
    char how[96];
    (void)events;
    ev_child_stop(loop, w);
    pid_t pid = s->pid;
    s->pid = 0; /* after waitpid the number may be another process's */
    read_rest(s);
    unwatch(s);
    chan_fini(&s->chan);
    int64_t now = clock_mono_ms(), lived = now - s->started_ms;
    bool was_active = slot_active(s), was_retiring = s->st.state == SLOT_RETIRING;
    move(s, SLOT_EMPTY);
    s->st.start_at = now;
    if (was_retiring && w->rstatus == 0) {
        log_info("%s (pid %d) has finished", s->name, (int)pid);
    } else if (was_retiring) {
        spawn_end_text(w->rstatus, how, sizeof how);
        err_set(&what, "ended badly while it drained: %s", how);
        note_end(s, LOG_L_ERROR, pid, what.msg);
    } else {
        on_failure(s, pid, w->rstatus, lived, was_active);
    }
    s->env->ops->ended(s->env->arg, s);
}

void slot_kill(struct slot *s, const char *why)
{
    if (!slot_alive(s))
        return;
    struct err what;
    err_set(&what, "is killed: %s", why);
    note_end(s, s->env->intent->want == PLAN_STOP ? LOG_L_WARNING : LOG_L_ERROR, s->pid, what.msg);
    if (s->pid)
        kill(s->pid, SIGKILL);
    unwatch(s);
    move(s, SLOT_KILLED);
    health_slot_retires(s->env->health, s->number);
}

/* ---- start */

static bool spawn(struct slot *s, const char *program, int *fd, struct err *e)
{
    int theirs;
    if (!fd_pair(fd, &theirs))
        return err_sys(e, "socketpair");
    char number[16];
    snprintf(number, sizeof number, "%u", s->number);
    char *argv[] = {"qcc-worker", "--slot", number, NULL};
    /* that the program cannot be executed was logged before */
    pid_t pid = spawn_child(program, argv, &theirs, 1, s->cannot_start != NULL);
    if (pid == -1) {
        err_sys(e, "fork");
        fd_close(fd);
    } else {
        s->pid = pid;
    }
    fd_close(&theirs);
    return pid != -1;
}

bool slot_start(struct slot *s, const char *program)
{
    struct err e;
    int fd;
    if (!spawn(s, program, &fd, &e)) {
        log_error("%s cannot be started: %s", s->name, e.msg);
        s->st.start_at = clock_mono_ms() + FORK_RETRY_MS;
        return false;
    }
    chan_init(&s->chan, fd, TO_SUP, TX_MAX, s->name);
    ev_child_set(&s->child, s->pid, 0);
    ev_child_start(s->env->loop, &s->child);
    ev_io_set(&s->rd, fd, EV_READ);
    ev_io_set(&s->wr, fd, EV_WRITE);
    ev_io_start(s->env->loop, &s->rd);
    s->started_ms = clock_mono_ms();
    s->started_wall_ms = clock_wall_ms();
    s->gen_sent = s->listen_gen = s->ping_seq = 0;
    s->ready = s->feeding = false;
    s->acked = 0;
    s->st.gen = 0;
    s->st.missed = s->st.unacked = 0;
    s->requests_before += s->gauges.requests;
    s->gauges = (struct ipc_pong){0};
    move(s, SLOT_STARTING);
    log_line(s->cannot_start ? LOG_L_DEBUG : LOG_L_INFO, (struct str){0}, "%s started, pid %d",
             s->name, (int)s->pid);
    return true;
}

void slot_serves(struct slot *s, uint64_t gen)
{
    s->st.gen = gen;
    if (s->st.state != SLOT_STARTING)
        return;
    move(s, SLOT_SERVING);
    if (s->cannot_start)
        log_info("%s (pid %d) could be started again", s->name, (int)s->pid);
    s->cannot_start = NULL;
    health_slot_up(s->env->health, s->number);
}

void slot_retire(struct slot *s, bool quick, int64_t timeout_ms)
{
    if (!slot_alive(s))
        return;
    struct ipc_drain m = {.quick = quick, .timeout_ms = (uint64_t)timeout_ms};
    s->st.retire_by = clock_mono_ms() + timeout_ms + RETIRE_GRACE_MS;
    if (s->st.state != SLOT_RETIRING)
        move(s, SLOT_RETIRING);
    health_slot_retires(s->env->health, s->number);
    slot_send(s, -1, ipc_put_v_drain, &m);
}

void slot_tick(struct slot *s)
{
    if (!slot_alive(s))
        return;
    if (s->gauges.seq != s->ping_seq)
        s->st.missed++;
    if (s->st.gen != s->gen_sent)
        s->st.unacked++;
    struct ipc_ping m = {.seq = ++s->ping_seq};
    slot_send(s, -1, ipc_put_v_ping, &m);
}

void slots_stood_still(struct slots *all, int64_t ms)
{
    for (size_t i = 0; i < all->n; i++) {
        all->v[i]->st.missed = all->v[i]->st.unacked = 0;
        all->v[i]->st.retire_by += ms;
    }
}

/* ---- the slot itself */

static struct slot *slot_new(const struct slot_env *env, unsigned number)
{
    struct slot *s = mem_zalloc(1, sizeof *s);
    s->env = env;
    s->number = number;
    s->chan.fd = -1;
    snprintf(s->name, sizeof s->name, "worker %u", number);
    ev_init(&s->rd, on_readable);
    ev_init(&s->wr, on_writable);
    ev_init(&s->child, on_reaped);
    s->rd.data = s->wr.data = s->child.data = s;
    return s;
}

static void slot_free(struct slot *s)
{
    if (s->st.state != SLOT_EMPTY) {
        kill(s->pid, SIGKILL);
        ev_child_stop(s->env->loop, &s->child);
        unwatch(s);
        chan_fini(&s->chan);
    }
    mem_free(s);
}

/* ---- all slots */

struct slot *slots_at(struct slots *all, const struct slot_env *env, size_t i)
{
    for (; all->n <= i; all->n++)
        all->v[all->n] = slot_new(env, (unsigned)all->n);
    return all->v[i];
}

void slots_send(struct slots *all, int slot, chan_put_fn *put, const void *m)
{
    for (size_t i = 0; i < all->n; i++)
        if (slot == -1 || (size_t)slot == i)
            slot_send(all->v[i], -1, put, m);
}

void slots_free(struct slots *all)
{
    for (size_t i = 0; i < all->n; i++)
        slot_free(all->v[i]);
    all->n = 0;
}
