#include "supervisor/upgrade/predecessor.h"

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/secret/secret.h"
#include "supervisor/shared/health/endpoint_view.h"
#include "supervisor/shared/health/health_cells.h"
#include "supervisor/upgrade/predecessor_state.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TX_MAX = 1 << 20,
    EARLY_MAX = 64 << 20,
    GIVE_MS = 10000, /* the predecessor must have sent its sockets within this time */
    FAIL_MS = 1000   /* the predecessor must have read UP_FAILS within this time */
};

bool predecessor_holding(const struct predecessor *pre)
{
    enum predecessor_phase p = pre->phase;
    return p == PREDECESSOR_READING || p == PREDECESSOR_STARTING || p == PREDECESSOR_TAKING;
}

bool predecessor_waiting(const struct predecessor *pre)
{
    return pre->phase == PREDECESSOR_SERVING;
}

/* ---- first messages */

static void take_by(struct predecessor *pre)
{
    const char *v = getenv(HANDOVER_BY_ENV);
    char *end;
    if (v && strtoul(v, &end, 10) == pre->pid && *end == ' ')
        snprintf(pre->by, sizeof pre->by, "%s", end + 1);
    unsetenv(HANDOVER_BY_ENV);
}

static bool on_up_hello(struct predecessor *pre, const struct ipc_up_hello *m, struct err *e)
{
    if (m->version != HANDOVER_VERSION)
        return err_set(e, "the running supervisor hands over by version %u, this one by version %d",
                       m->version, HANDOVER_VERSION);
    if (m->secret.n != sizeof pre->secret)
        return err_set(e, "the running supervisor gave no secret");
    memcpy(pre->secret, m->secret.p, sizeof pre->secret);
    pre->version = m->version;
    pre->pid = m->pid;
    take_by(pre);
    pre->gen = m->gen;
    pre->ipc = m->ipc;
    pre->same_ipc = m->ipc == IPC_VERSION;
    snprintf(pre->build, sizeof pre->build, STR_FMT, STR_ARG(m->build));
    return true;
}

static bool on_up_socket(struct predecessor *pre, struct ipc_frame *f,
                         const struct ipc_up_socket *m)
{
    int fd = f->fd;
    f->fd = -1;
    switch (m->kind) {
    case HANDOVER_LISTENER:
    case HANDOVER_FOREIGN:
        return listen_given_add(&pre->given, fd, m->kind == HANDOVER_FOREIGN, (dev_t)m->dev,
                                (ino_t)m->ino);
    case HANDOVER_LOCK:
        fd_close(&pre->handover.lock);
        pre->handover.lock = fd;
        return true;
    case HANDOVER_CONTROL:
        fd_close(&pre->handover.control);
        pre->handover.control = fd;
        pre->handover.control_dev = (dev_t)m->dev;
        pre->handover.control_ino = (ino_t)m->ino;
        return true;
    case HANDOVER_RING:
        fd_close(&pre->handover.ring);
        pre->handover.ring = fd;
        return true;
    case HANDOVER_RING_READER:
        fd_close(&pre->handover.ring_reader);
        pre->handover.ring_reader = fd;
        return true;
    case HANDOVER_FEED:
        fd_close(&pre->handover.feed);
        pre->handover.feed = fd;
        return true;
    case HANDOVER_FEED_READER:
        fd_close(&pre->handover.feed_reader);
        pre->handover.feed_reader = fd;
        return true;
    }
    fd_close(&fd); /* a kind of a later build, which this one does not need */
    return true;
}

/* Keeps BINDS of the predecessor's workers until the table is restored. */
static bool on_up_said_early(struct predecessor *pre, const struct ipc_up_said *m)
{
    struct ipc_binds b;
    struct ipc_frame f = {.id = IPC_BINDS, .fields = m->fields, .nfields = m->nfields, .fd = -1};
    if (m->what != IPC_BINDS || !pre->same_ipc)
        return true;
    return ipc_get_binds(&f, &b) && buf_str(&pre->early, b.records);
}

static bool on_first(void *arg, struct ipc_frame *f, struct err *e)
{
    struct predecessor *pre = arg;
    if (f->id == IPC_UP_HELLO) {
        PREDECESSOR_GET(up_hello)
        return on_up_hello(pre, &m, e);
    }
    if (!pre->version)
        return err_set(e, "the running supervisor does not say who it is");
    if (f->id == IPC_UP_SOCKET) {
        PREDECESSOR_GET(up_socket)
        return on_up_socket(pre, f, &m) || err_set(e, "the running supervisor handed over a "
                                                      "descriptor that is not a listening socket");
    }
    if (f->id == IPC_UP_SAID) {
        PREDECESSOR_GET(up_said)
        return on_up_said_early(pre, &m) ||
               err_set(e, "the running supervisor's workers sent invalid bindings");
    }
    if (f->id != IPC_UP_READ)
        return err_set(e, "the running supervisor sent %s too early", ipc_name(f->id));
    pre->phase = PREDECESSOR_STARTING;
    return true;
}

bool predecessor_take(struct predecessor *pre, const struct predecessor_env *env, struct err *e)
{
    *pre = (struct predecessor){.env = *env,
                                .chan.fd = -1,
                                .handover = {.lock = -1,
                                             .state = -1,
                                             .control = -1,
                                             .ring = -1,
                                             .ring_reader = -1,
                                             .feed = -1,
                                             .feed_reader = -1}};
    if (!getenv(HANDOVER_ENV))
        return true;
    unsetenv(HANDOVER_ENV); /* so that no child takes itself for a successor */
    if (!fd_nonblock(HANDOVER_FD) || !fd_cloexec(HANDOVER_FD, true) ||
        !fd_cloexec(HANDOVER_STATE_FD, true))
        return err_sys(e, HANDOVER_ENV " is set, but nobody hands over");
    chan_init(&pre->chan, HANDOVER_FD, TO_NEW, TX_MAX, "the running supervisor");
    buf_init(&pre->early, EARLY_MAX);
    pre->handover.state = HANDOVER_STATE_FD;
    pre->phase = PREDECESSOR_READING;
    int64_t until = clock_mono_ms() + GIVE_MS;
    while (pre->phase == PREDECESSOR_READING) {
        struct pollfd p = {.fd = pre->chan.fd, .events = POLLIN};
        int64_t left = until - clock_mono_ms();
        if (left <= 0)
            return err_set(e, "the running supervisor does not hand over");
        if (poll(&p, 1, (int)left) == -1 && errno != EINTR)
            return err_sys(e, "poll");
        switch (chan_read(&pre->chan, on_first, pre, e)) {
        case CHAN_OK:
            break;
        case CHAN_CLOSED:
            return err_set(e, "the running supervisor has ended while it handed over");
        case CHAN_BROKEN:
            return false;
        }
    }
    return true;
}

void predecessor_fail(struct predecessor *pre, const char *why)
{
    struct ipc_up_fails m = {.why = str_c(why)};
    struct err e;
    m.why.n = min_size(m.why.n, 512);
    if (pre->chan.fd == -1 || pre->phase > PREDECESSOR_TAKING ||
        !chan_send(&pre->chan, -1, ipc_put_v_up_fails, 0, &m))
        return;
    for (int64_t until = clock_mono_ms() + FAIL_MS;
         chan_pending(&pre->chan) && clock_mono_ms() < until;) {
        struct pollfd p = {.fd = pre->chan.fd, .events = POLLOUT};
        if (poll(&p, 1, FAIL_MS) == -1 || chan_write(&pre->chan, &e) != CHAN_OK)
            return;
    }
}

/* ---- the channel */

static void watch(struct predecessor *pre)
{
    if (chan_pending(&pre->chan))
        ev_io_start(pre->env.loop, &pre->wr);
    else
        ev_io_stop(pre->env.loop, &pre->wr);
}

static void unwatch(struct predecessor *pre)
{
    ev_io_stop(pre->env.loop, &pre->rd);
    ev_io_stop(pre->env.loop, &pre->wr);
    chan_fini(&pre->chan);
}

static void send_up(struct predecessor *pre, chan_put_fn *put, const void *m)
{
    /* a predecessor that does not read is treated as gone; its end is seen by reading */
    if (pre->chan.fd != -1 && chan_send(&pre->chan, -1, put, pre->env.intent->gen, m))
        watch(pre);
}

void predecessor_send_endpoint(struct predecessor *pre, const struct ipc_endpoint *m)
{
    struct buf b;
    struct ipc_frame f;
    if (!predecessor_waiting(pre) || !pre->same_ipc)
        return;
    buf_init(&b, IPC_BLOCKS_MAX + 4096);
    if (ipc_put_endpoint(&b, 0, m) && ipc_open(buf_view(&b), TO_WORKER, &f)) {
        struct ipc_up_tell u = {.ipc = IPC_VERSION, .nfields = f.nfields, .fields = f.fields};
        send_up(pre, ipc_put_v_up_tell, &u);
    }
    buf_free(&b);
}

void predecessor_send_cell(struct predecessor *pre, const struct ipc_cell *m)
{
    struct buf b;
    struct ipc_frame f;
    if (!predecessor_waiting(pre) || !pre->same_ipc)
        return;
    buf_init(&b, 1024);
    if (ipc_put_cell(&b, 0, m) && ipc_open(buf_view(&b), TO_WORKER, &f)) {
        struct ipc_up_tell_cell u = {.nfields = f.nfields, .fields = f.fields};
        send_up(pre, ipc_put_v_up_tell_cell, &u);
    }
    buf_free(&b);
}

void predecessor_send_lend(struct predecessor *pre, const struct ipc_lend *m)
{
    struct ipc_up_lend u = {.endpoint = m->endpoint, .n = m->n};
    if (m->n)
        send_up(pre, ipc_put_v_up_lend, &u);
}

void predecessor_send_trial(struct predecessor *pre, const struct ipc_trial *m)
{
    const struct health_endpoint *e = health_by_id(pre->env.health, m->endpoint);
    const struct health_cell *cell = e && m->family.n ? health_cell_of(e, m->family) : NULL;
    struct ipc_up_trial u = {.endpoint = m->endpoint, .seq = m->seq};
    struct ipc_up_trial_cell c = {.endpoint = m->endpoint, .seq = m->seq, .family = m->family};
    if (!e || (m->family.n && !cell))
        return;
    if (cell) {
        c.slot = cell->loan.asks_afar;
        send_up(pre, ipc_put_v_up_trial_cell, &c);
        return;
    }
    u.slot = e->loan.asks_afar;
    send_up(pre, ipc_put_v_up_trial, &u);
}

void predecessor_send_endpoints(struct predecessor *pre)
{
    for (size_t i = 0; predecessor_waiting(pre) && i < pre->env.health->n; i++) {
        const struct health_endpoint *e = &pre->env.health->v[i];
        struct ipc_endpoint m = endpoint_view_make(e->id, &e->state, clock_boot_ms());
        predecessor_send_endpoint(pre, &m);
        for (const struct health_cell *c = e->cells; c; c = c->next)
            if (c->sent.family.n)
                predecessor_send_cell(pre, &c->sent);
    }
}

void predecessor_pass_reopen(const struct predecessor *pre)
{
    if (predecessor_waiting(pre))
        kill((pid_t)pre->pid, SIGUSR1);
}

void predecessor_stop(struct predecessor *pre)
{
    struct ipc_up_stop m = {};
    if (predecessor_waiting(pre))
        send_up(pre, ipc_put_v_up_stop, &m);
}

/* ---- taking the state over */

/* Frees the trials, verifications and places that the predecessor's workers hold. */
static void nothing_out(struct predecessor *pre)
{
    health_slot_gone(pre->env.health, HEALTH_PREDECESSOR, clock_boot_ms());
    for (size_t i = 0; i < pre->env.health->n; i++)
        health_places_elsewhere(pre->env.health, str_c(pre->env.health->v[i].id), 0, UINT32_MAX);
    places_departed_ended(&pre->env.health->departed);
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        totals_gone(pre->env.totals, TOTALS_ELSEWHERE + i);
}

/* This supervisor owns the state from now on. gave: UP_GO was received; else the predecessor has
 * died before, and the copy of its state is used. */
static void go(struct predecessor *pre, bool gave)
{
    struct ipc_up_serves m = {};
    const struct ipc_up_tell tell = {.ipc = IPC_VERSION};
    pre->phase = PREDECESSOR_SERVING;
    pre->go_ms = clock_boot_ms();
    if (!pre->same_ipc || !gave)
        nothing_out(pre);
    if (!gave) /* the copy has no cells: those of the file, of seconds ago */
        store_restore_cells(pre->env.store);
    health_taken(pre->env.health, clock_boot_ms());
    fd_close(&pre->handover.lock); /* not taken: it is the lock of another folder */
    store_dir_sign(&pre->env.store->dir);
    listen_given_own(&pre->given);
    listen_given_drop(&pre->given);
    pre->conf = NULL;
    pre->env.ops->go(pre->env.arg);
    if (!gave)
        return;
    send_up(pre, ipc_put_v_up_tell, &tell);
    send_up(pre, ipc_put_v_up_serves, &m);
}

static void over(struct predecessor *pre)
{
    unwatch(pre);
    if (predecessor_holding(pre)) {
        log_warn("the previous supervisor, pid %u, is gone before it has handed over", pre->pid);
        if (pre->phase == PREDECESSOR_TAKING)
            predecessor_ready(pre);
        return;
    }
    pre->phase = PREDECESSOR_OVER;
    nothing_out(pre);
    pre->env.ops->history(pre->env.arg);
    log_info("the previous supervisor, pid %u, has finished", pre->pid);
}

void predecessor_ready(struct predecessor *pre)
{
    struct ipc_up_take m = {};
    const struct ipc_up_tell tell = {.ipc = IPC_VERSION};
    if (pre->chan.fd != -1) {
        pre->phase = PREDECESSOR_TAKING;
        if (pre->ipc >= HANDOVER_CELL_IPC)
            send_up(pre, ipc_put_v_up_tell, &tell);
        send_up(pre, ipc_put_v_up_take, &m);
        return;
    }
    go(pre, false);
    pre->phase = PREDECESSOR_OVER;
    pre->env.ops->history(pre->env.arg);
    pre->env.ops->serves(pre->env.arg);
}

/* ---- messages of the predecessor */

static struct predecessor_state state_of(const struct predecessor *pre)
{
    return (struct predecessor_state){.health = pre->env.health,
                                      .marks = pre->env.marks,
                                      .lists = pre->env.lists,
                                      .recent = pre->env.recent,
                                      .totals = pre->env.totals,
                                      .bindings = pre->env.bindings,
                                      .successor = pre->env.successor,
                                      .conf = pre->conf};
}

static bool on_state(struct predecessor *pre, const struct ipc_frame *f, struct err *e)
{
    const struct predecessor_state state = state_of(pre);
    if (f->id == IPC_UP_CLUSTER) {
        PREDECESSOR_GET(up_cluster)
        struct handover_cluster c = {
            .conn = m.conn, .known = m.known, .clock_ms = m.clock_ms - clock_suspended_ms()};
        memcpy(c.host, m.host.p, min_size(m.host.n, sizeof c.host - 1));
        pre->env.ops->cluster(pre->env.arg, &c);
        return true;
    }
    if (f->id != IPC_UP_GO)
        return predecessor_state_get(&state, f, e);
    PREDECESSOR_GET(up_go)
    if (pre->env.intent->want != PLAN_SERVE)
        return true; /* this process ends, and the predecessor goes on when it sees that */
    if (m.seq > pre->env.health->seq)
        pre->env.health->seq = m.seq;
    go(pre, true);
    return true;
}

static bool on_frame(void *arg, struct ipc_frame *f, struct err *e)
{
    struct predecessor *pre = arg;
    const struct predecessor_state state = state_of(pre);
    if (f->id == IPC_UP_SAID) {
        PREDECESSOR_GET(up_said)
        return !pre->same_ipc || predecessor_state_said(&state, &m) ||
               err_set(e, "a worker of the previous supervisor sent an invalid report");
    }
    if (f->id == IPC_UP_PLACES) {
        PREDECESSOR_GET(up_places)
        if (pre->same_ipc)
            health_places_elsewhere(pre->env.health, m.endpoint, m.n, m.got);
        return true;
    }
    if (f->id == IPC_UP_WANT) {
        PREDECESSOR_GET(up_want)
        if (pre->same_ipc)
            health_place_wanted_elsewhere(pre->env.health, m.endpoint, clock_boot_ms());
        return true;
    }
    if (f->id == IPC_UP_LOST) {
        PREDECESSOR_GET(up_lost)
        successor_send_lost(pre->env.successor, &m);
        health_lost(pre->env.health, HEALTH_PREDECESSOR, m.endpoint, m.trial, m.verifies,
                    clock_boot_ms());
        return true;
    }
    if (pre->phase == PREDECESSOR_TAKING)
        return on_state(pre, f, e);
    bool late = f->id == IPC_UP_PAST || f->id == IPC_UP_MARK || f->id == IPC_UP_LIST ||
                f->id == IPC_UP_RECENT;
    if (late && pre->phase == PREDECESSOR_SERVING)
        return predecessor_state_get_late(&state, f, e);
    if (f->id == IPC_UP_HISTORY && pre->phase == PREDECESSOR_SERVING) {
        pre->env.ops->history(pre->env.arg);
        return true;
    }
    if (f->id != IPC_UP_DONE || pre->phase != PREDECESSOR_SERVING)
        return err_set(e, "the running supervisor sent %s, which is not expected now",
                       ipc_name(f->id));
    if (pre->ipc >= HANDOVER_MARK_IPC)
        marked_restored_since(pre->env.marks, pre->go_ms);
    predecessor_send_endpoints(pre);
    if (pre->ipc < HANDOVER_HISTORY_IPC) /* it has none */
        pre->env.ops->history(pre->env.arg);
    pre->env.ops->serves(pre->env.arg);
    return true;
}

static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
    struct predecessor *pre = w->data;
    struct err e;
    (void)loop, (void)events;
    enum chan_result r = chan_read(&pre->chan, on_frame, pre, &e);
    if (r == CHAN_BROKEN)
        log_error("%s", e.msg);
    if (r == CHAN_BROKEN && predecessor_holding(pre))
        pre->env.ops->failed(pre->env.arg, e.msg);
    else if (r != CHAN_OK)
        over(pre);
}

static void on_writable(struct ev_loop *loop, ev_io *w, int events)
{
    struct predecessor *pre = w->data;
    struct err e;
    (void)loop, (void)events;
    if (chan_write(&pre->chan, &e) == CHAN_OK)
        watch(pre);
    else
        ev_io_stop(pre->env.loop, w);
}

void predecessor_start(struct predecessor *pre, const struct conf *c)
{
    if (pre->phase == PREDECESSOR_NONE)
        return;
    pre->conf = c;
    const size_t most = BINDING_RECORDS * sizeof(struct binding_table_record);
    struct str left = buf_view(&pre->early);
    while (left.n) {
        size_t n = min_size(left.n, most);
        if (!bindings_on_binds(pre->env.bindings, str_make(left.p, n), clock_boot_ms()))
            log_warn("bindings of the last moment are lost");
        left = str_make(left.p + n, left.n - n);
    }
    buf_free(&pre->early);
    ev_io_init(&pre->rd, on_readable, pre->chan.fd, EV_READ);
    ev_io_init(&pre->wr, on_writable, pre->chan.fd, EV_WRITE);
    pre->rd.data = pre->wr.data = pre;
    ev_io_start(pre->env.loop, &pre->rd);
    watch(pre);
    log_info("takes the place of pid %u, qcc %s", pre->pid, pre->build);
}

void predecessor_fini(struct predecessor *pre)
{
    unwatch(pre);
    listen_given_drop(&pre->given);
    fd_close(&pre->handover.lock);
    fd_close(&pre->handover.state);
    fd_close(&pre->handover.control);
    fd_close(&pre->handover.ring);
    fd_close(&pre->handover.ring_reader);
    fd_close(&pre->handover.feed);
    fd_close(&pre->handover.feed_reader);
    buf_free(&pre->early);
    secret_wipe(pre->secret, sizeof pre->secret);
}
