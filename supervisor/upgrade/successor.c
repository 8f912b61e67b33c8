#include "supervisor/upgrade/successor.h"

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "supervisor/process/container.h"
#include "supervisor/process/systemd.h"
#include "supervisor/shared/events.h"
#include "supervisor/shared/health/health_cells.h"
#include "supervisor/shared/health/health_trials.h"
#include "supervisor/upgrade/successor_fork.h"
#include "supervisor/upgrade/successor_state.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TX_MAX = 64 << 20, /* bytes that may wait for a successor that is busy with its start */
    FLUSH_MS = 1000
};

/* The successor must serve within this time: it reads a configuration, loads a million bindings,
 * and waits for its workers. */
#define START_S 60.

void successor_init(struct successor *u, const struct successor_env *env)
{
    *u = (struct successor){.env = *env, .chan.fd = -1};
}

bool successor_going(const struct successor *u)
{
    return u->phase != SUCCESSOR_NONE;
}

bool successor_given(const struct successor *u)
{
    return u->phase == SUCCESSOR_GIVEN || u->phase == SUCCESSOR_DONE;
}

/* ---- its process */

static bool spawn(struct successor *u, const struct successor_order *o, int *fd, struct err *e)
{
    char by[ASKER_BY + 16];
    int theirs;
    snprintf(by, sizeof by, "%d %s", (int)getpid(), o->by);
    if (!fd_pair(fd, &theirs))
        return err_sys(e, "socketpair");
    setenv(HANDOVER_BY_ENV, by, 1);
    pid_t pid = successor_fork(u->env.store, o->program, o->conf_path, theirs);
    unsetenv(HANDOVER_BY_ENV); /* children of this process are not to have it */
    if (pid == -1) {
        err_sys(e, "fork");
        fd_close(fd);
    } else {
        u->pid = pid;
    }
    fd_close(&theirs);
    return pid != -1;
}

/* ---- the channel */

static void watch(struct successor *u)
{
    if (chan_pending(&u->chan))
        ev_io_start(u->env.loop, &u->wr);
    else
        ev_io_stop(u->env.loop, &u->wr);
}

static void unwatch(struct successor *u)
{
    ev_io_stop(u->env.loop, &u->rd);
    ev_io_stop(u->env.loop, &u->wr);
    ev_timer_stop(u->env.loop, &u->late);
    chan_fini(&u->chan);
}

static void answer(struct successor *u, unsigned status, const char *why)
{
    struct doc d;
    if (!u->asked)
        return;
    u->asked = false;
    doc_init(&d, IPC_ANSWER_MAX);
    if (why) {
        doc_refuse(&d, status, why);
    } else {
        doc_map(&d, 1);
        doc_kv_int(&d, "pid", u->pid);
    }
    u->asker.answer(&u->asker, status, &d);
    doc_free(&d);
}

/* The successor has failed before UP_SERVES: this supervisor goes on as before. */
static void failed(struct successor *u, const char *why)
{
    bool back = u->phase == SUCCESSOR_GIVEN;
    unwatch(u);
    ev_child_stop(u->env.loop, &u->child); /* the next upgrade initializes it again */
    if (u->pid)
        kill(u->pid, SIGKILL); /* its workers end with it */
    u->pid = 0;
    u->phase = SUCCESSOR_NONE;
    if (u->env.intent->want == PLAN_SERVE && !*u->env.stops)
        log_error("upgrade refused, this supervisor goes on: %s", why);
    else
        log_warn("upgrade given up: %s", why);
    events_add_by(u->env.events, clock_wall_ms(), EVENT_UPGRADE, NULL, u->by, "refused: %s", why);
    if (back) {
        health_freeze(u->env.health, false);
        store_allow(u->env.store, true);
        u->env.ops->failed(u->env.arg);
    }
    answer(u, 422, why);
}

static void send_up(void *arg, int pass, chan_put_fn *put, const void *m)
{
    struct successor *u = arg;
    if (u->chan.fd == -1 || u->peer_slow)
        return;
    u->peer_slow = !chan_send(&u->chan, pass, put, u->env.intent->gen, m);
    if (!u->peer_slow) {
        watch(u);
        return;
    }
    /* The channel is not closed here: the caller may be reading it. */
    ev_timer_stop(u->env.loop, &u->late);
    ev_timer_set(&u->late, 0., 0.);
    ev_timer_start(u->env.loop, &u->late);
}

/* ---- what is handed over */

static struct successor_state state_of(struct successor *u)
{
    return (struct successor_state){.health = u->env.health,
                                    .marks = u->env.marks,
                                    .lists = u->env.lists,
                                    .totals = u->env.totals,
                                    .ipc = u->ipc,
                                    .send = send_up,
                                    .arg = u};
}

static void give_first(struct successor *u, const struct successor_order *o)
{
    const struct successor_state state = state_of(u);
    struct ipc_up_hello hello = {.version = HANDOVER_VERSION,
                                 .ipc = IPC_VERSION,
                                 .pid = (uint32_t)getpid(),
                                 .gen = u->env.intent->gen,
                                 .build = STR(QCC_VERSION),
                                 .secret =
                                     str_make((const char *)u->env.store->secret, STORE_SECRET)};
    struct ipc_up_read end = {};
    send_up(u, -1, ipc_put_v_up_hello, &hello);
    successor_state_sockets(&state, o->listen, &o->handover);
    send_up(u, -1, ipc_put_v_up_read, &end);
}

/* Hands the whole state over; nothing is decided here from now on. */
static void give_state(struct successor *u)
{
    const struct successor_state state = state_of(u);
    struct ipc_up_go go = {.seq = u->env.health->seq};
    struct handover_cluster c;
    u->phase = SUCCESSOR_GIVEN;
    store_allow(u->env.store, false);
    health_freeze(u->env.health, true);
    successor_state_give(&state);
    if (state.ipc >= HANDOVER_CLUSTER_IPC && u->env.ops->cluster(u->env.arg, &c)) {
        const struct ipc_up_cluster m = {.host = str_c(c.host),
                                         .conn = c.conn,
                                         .known = c.known,
                                         .clock_ms = c.clock_ms + clock_suspended_ms()};
        send_up(u, -1, ipc_put_v_up_cluster, &m);
    }
    send_up(u, -1, ipc_put_v_up_go, &go);
    u->env.ops->given(u->env.arg);
}

/* ---- the history */

bool successor_records(const struct successor *u)
{
    return u->ipc >= HANDOVER_HISTORY_IPC;
}

/* Sends UP_HISTORY once. */
static void free_history(struct successor *u)
{
    struct ipc_up_history m = {};
    if (!u->history_free || !successor_records(u))
        return;
    u->history_free = false;
    send_up(u, -1, ipc_put_v_up_history, &m);
}

void successor_send_history(struct successor *u)
{
    u->history_free = true;
    free_history(u);
}

void successor_recent(struct successor *u, struct str records)
{
    struct ipc_up_recent m = {.records = records};
    if (records.n && u->phase == SUCCESSOR_DONE && u->ipc == IPC_VERSION)
        send_up(u, -1, ipc_put_v_up_recent, &m);
}

static void done(struct successor *u)
{
    const struct successor_state state = state_of(u);
    struct ipc_up_done m = {};
    u->phase = SUCCESSOR_DONE;
    ev_timer_stop(u->env.loop, &u->late);
    systemd_main_pid(u->pid); /* before the successor sends anything to systemd */
    successor_state_past(&state);
    successor_state_marks(&state);
    successor_state_lists(&state);
    send_up(u, -1, ipc_put_v_up_done, &m);
    successor_recent(
        u, str_make((const char *)u->env.recent->v, u->env.recent->n * sizeof *u->env.recent->v));
    answer(u, 200, NULL);
    u->env.ops->serves(u->env.arg);
}

/* ---- messages of the successor */

static bool on_up_tell(struct successor *u, const struct ipc_frame *f)
{
    struct ipc_up_tell m;
    struct ipc_endpoint e;
    if (!ipc_get_up_tell(f, &m))
        return false;
    u->ipc = m.ipc;
    free_history(u);
    struct ipc_frame as = {.id = IPC_ENDPOINT, .fields = m.fields, .nfields = m.nfields, .fd = -1};
    if (m.ipc != IPC_VERSION || u->phase != SUCCESSOR_DONE)
        return true; /* before UP_DONE: the successor sends all states again after it */
    if (!ipc_get_endpoint(&as, &e))
        return false;
    if (!u->env.health->overruled)
        health_cells_untell(u->env.health); /* UP_TELL tells endpoints alone */
    u->env.health->overruled = true;
    u->env.ops->endpoint(u->env.arg, &e);
    return true;
}

static bool on_up_tell_cell(const struct successor *u, const struct ipc_frame *f)
{
    struct ipc_up_tell_cell m;
    struct ipc_cell c;
    if (!ipc_get_up_tell_cell(f, &m))
        return false;
    struct ipc_frame as = {.id = IPC_CELL, .fields = m.fields, .nfields = m.nfields, .fd = -1};
    if (u->ipc != IPC_VERSION || u->phase != SUCCESSOR_DONE)
        return true;
    if (!ipc_get_cell(&as, &c))
        return false;
    u->env.health->send(u->env.health->arg, HEALTH_ALL, ipc_put_v_cell, &c);
    return true;
}

/* UP_TRIAL or UP_TRIAL_CELL. A worker that has died meanwhile loses it. */
static bool on_up_trial(struct successor *u, const struct ipc_frame *f)
{
    struct ipc_up_trial m;
    struct ipc_up_trial_cell c = {0};
    if (f->id == IPC_UP_TRIAL_CELL && ipc_get_up_trial_cell(f, &c))
        m = (struct ipc_up_trial){.slot = c.slot, .endpoint = c.endpoint, .seq = c.seq};
    else if (!ipc_get_up_trial(f, &m))
        return false;
    struct ipc_up_lost lost = {.endpoint = m.endpoint, .trial = m.seq};
    if (u->env.ops->alive(u->env.arg, m.slot))
        health_trial_granted(u->env.health, m.slot, m.endpoint, m.seq, c.family);
    else
        send_up(u, -1, ipc_put_v_up_lost, &lost);
    return true;
}

static bool on_frame(void *arg, struct ipc_frame *f, struct err *e)
{
    struct successor *u = arg;
    struct ipc_up_fails fails;
    struct ipc_up_lend lend;
    if (f->id == IPC_UP_TAKE && u->phase == SUCCESSOR_STARTING)
        give_state(u);
    else if (f->id == IPC_UP_SERVES && u->phase == SUCCESSOR_GIVEN)
        done(u);
    else if (f->id == IPC_UP_STOP && u->phase == SUCCESSOR_DONE)
        u->stops++;
    else if (f->id == IPC_UP_TELL && (successor_given(u) || u->phase == SUCCESSOR_STARTING))
        return on_up_tell(u, f) || err_set(e, "it sent a malformed %s", ipc_name(f->id));
    else if (f->id == IPC_UP_TELL_CELL && successor_given(u))
        return on_up_tell_cell(u, f) || err_set(e, "it sent a malformed %s", ipc_name(f->id));
    else if (f->id == IPC_UP_LEND && u->phase == SUCCESSOR_DONE && ipc_get_up_lend(f, &lend))
        health_places_granted(u->env.health, lend.endpoint, lend.n);
    else if ((f->id == IPC_UP_TRIAL || f->id == IPC_UP_TRIAL_CELL) && u->phase == SUCCESSOR_DONE)
        return on_up_trial(u, f) || err_set(e, "it sent a malformed %s", ipc_name(f->id));
    else if (f->id == IPC_UP_FAILS && ipc_get_up_fails(f, &fails))
        snprintf(u->why, sizeof u->why, STR_FMT, STR_ARG(fails.why));
    else
        return err_set(e, "it sent %s, which is not expected now", ipc_name(f->id));
    return true;
}

static void ended(struct successor *u, const char *how)
{
    if (u->phase == SUCCESSOR_DONE) {
        if (u->chan.fd == -1)
            return; /* the failure was logged before */
        unwatch(u);
        if (!container_is_init()) /* as process 1 of a container on_child is called at its end */
            u->pid = 0;
        u->env.health->overruled = false;
        log_warn("the new supervisor %s", how);
    } else if (successor_going(u)) {
        struct err why;
        err_set(&why, "the new supervisor %s", how);
        failed(u, u->why[0] ? u->why : why.msg);
    }
}

static void receive(struct successor *u)
{
    struct err e;
    enum chan_result r = u->chan.fd == -1 ? CHAN_OK : chan_read(&u->chan, on_frame, u, &e);
    if (r == CHAN_BROKEN)
        ended(u, e.msg);
    else if (r == CHAN_CLOSED && container_is_init() && u->pid)
        ev_io_stop(u->env.loop, &u->rd); /* on_child follows with the exit status */
    else if (r == CHAN_CLOSED)
        ended(u,
              u->phase == SUCCESSOR_DONE ? "has ended" : "has ended before it served, see above");
}

static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop, (void)events;
    receive(w->data);
}

static void on_writable(struct ev_loop *loop, ev_io *w, int events)
{
    struct successor *u = w->data;
    struct err e;
    (void)loop, (void)events;
    if (chan_write(&u->chan, &e) == CHAN_OK)
        watch(u);
    else
        ev_io_stop(u->env.loop, w);
}

/* The successor has ended. Called only in process 1 of a container, whose child the successor
 * becomes. */
static void on_child(struct ev_loop *loop, ev_child *w, int events)
{
    struct successor *u = w->data;
    char how[64];
    (void)events;
    ev_child_stop(loop, w);
    receive(u); /* the last frames are still to be read */
    u->pid = 0;
    u->code = WIFSIGNALED(w->rstatus) ? 128 + WTERMSIG(w->rstatus) : WEXITSTATUS(w->rstatus);
    if (WIFSIGNALED(w->rstatus))
        snprintf(how, sizeof how, "ended by signal %d", WTERMSIG(w->rstatus));
    else
        snprintf(how, sizeof how, "ended with exit code %d", WEXITSTATUS(w->rstatus));
    ended(u, how);
}

static void on_late(struct ev_loop *loop, ev_timer *w, int events)
{
    struct successor *u = w->data;
    (void)loop, (void)events;
    ended(u, u->peer_slow ? "does not read its messages" : "did not begin to serve in time");
}

/* ---- start and end */

bool successor_begin(struct successor *u, const struct successor_order *o, const struct asker *from,
                     struct err *e)
{
    int fd;
    if (successor_going(u))
        return err_set(e, "an upgrade is under way");
    if (access(o->program, X_OK) == -1)
        return err_sys(e, "%s", o->program);
    if (!spawn(u, o, &fd, e))
        return false;
    log_info("upgrade: %s starts, pid %d", o->program, (int)u->pid);
    u->phase = SUCCESSOR_STARTING;
    u->peer_slow = u->history_free = false;
    u->ipc = 0;
    u->why[0] = '\0';
    snprintf(u->by, sizeof u->by, "%s", o->by);
    u->asked = from != NULL;
    if (from)
        u->asker = *from;
    chan_init(&u->chan, fd, TO_OLD, TX_MAX, "the new supervisor");
    ev_io_init(&u->rd, on_readable, fd, EV_READ);
    ev_io_init(&u->wr, on_writable, fd, EV_WRITE);
    ev_child_init(&u->child, on_child, u->pid, 0);
    ev_timer_init(&u->late, on_late, START_S, 0.);
    u->rd.data = u->wr.data = u->child.data = u->late.data = u;
    ev_io_start(u->env.loop, &u->rd);
    ev_child_start(u->env.loop, &u->child);
    ev_now_update(u->env.loop);
    ev_timer_start(u->env.loop, &u->late);
    give_first(u, o);
    return true;
}

void successor_stop(struct successor *u)
{
    if (u->phase == SUCCESSOR_STARTING)
        failed(u, "the supervisor is told to stop");
    else if (u->phase == SUCCESSOR_GIVEN && u->pid)
        kill(u->pid, SIGTERM); /* UP_SERVES may be on its way: the successor decides */
}

/* Waits until the successor has read the last reports of the workers here. */
static void flush(struct successor *u)
{
    struct err e;
    for (int64_t until = clock_mono_ms() + FLUSH_MS;
         chan_pending(&u->chan) && clock_mono_ms() < until;) {
        struct pollfd p = {.fd = u->chan.fd, .events = POLLOUT};
        if (poll(&p, 1, FLUSH_MS) == -1 || chan_write(&u->chan, &e) != CHAN_OK)
            return;
    }
}

void successor_fini(struct successor *u)
{
    if (u->phase == SUCCESSOR_STARTING || u->phase == SUCCESSOR_GIVEN)
        failed(u, "the supervisor stops");
    else if (u->chan.fd != -1)
        flush(u);
    ev_child_stop(u->env.loop, &u->child);
    unwatch(u);
}

void successor_pass_reload(const struct successor *u)
{
    if (u->pid)
        kill(u->pid, SIGHUP);
}

/* ---- events during an upgrade */

static bool of_interest(enum successor_phase phase, enum ipc_id id)
{
    if (phase == SUCCESSOR_NONE)
        return false;
    return id == IPC_BINDS ||
           (phase != SUCCESSOR_STARTING &&
            (id == IPC_OUTCOME || id == IPC_VERDICT || id == IPC_STATS || id == IPC_TRIAL_BEGUN ||
             id == IPC_TRIAL_BACK || id == IPC_TRIAL_ASK || id == IPC_UNSERVED || id == IPC_ITEM));
}

void successor_relay(struct successor *u, unsigned slot, const struct ipc_frame *f)
{
    if (!of_interest(u->phase, f->id))
        return;
    const struct successor_state state = state_of(u);
    successor_state_said(&state, slot, f);
}

void successor_slot_gone(struct successor *u, unsigned slot)
{
    for (size_t i = 0; successor_given(u) && i < u->env.health->n; i++) {
        const struct health_endpoint *e = &u->env.health->v[i];
        struct ipc_up_lost m = {.endpoint = str_c(e->id),
                                .trial = health_loan_seq(e, slot),
                                .verifies = e->verify_slot == (int)slot ? e->verify_seq : 0};
        if (m.trial || m.verifies)
            send_up(u, -1, ipc_put_v_up_lost, &m);
        for (const struct health_cell *c = e->cells; c; c = c->next) {
            m = (struct ipc_up_lost){.endpoint = str_c(e->id), .trial = c->loan.seq};
            if (c->loan.slot == (int)slot && m.trial)
                send_up(u, -1, ipc_put_v_up_lost, &m);
        }
    }
}

void successor_send_lost(struct successor *u, const struct ipc_up_lost *m)
{
    if (successor_given(u))
        send_up(u, -1, ipc_put_v_up_lost, m);
}

void successor_turn(struct successor *u)
{
    const struct successor_state state = state_of(u);
    if (successor_given(u))
        successor_state_places(&state, u->phase == SUCCESSOR_DONE);
}
