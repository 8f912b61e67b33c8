#include "supervisor/upgrade/predecessor.h"

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/secret/secret.h"
#include "supervisor/shared/health/endpoint_view.h"
#include "supervisor/shared/health/health_cells.h"
#include "supervisor/upgrade/cell_wire.h"
#include "supervisor/upgrade/endpoint_wire.h"

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

/* Decodes the frame as that message into `m`, or returns false with e. */
#define GET(low)                                                                                   \
    struct ipc_##low m;                                                                            \
    if (!ipc_get_##low(f, &m))                                                                     \
        return err_set(e, "the running supervisor sent a malformed %s", ipc_name(f->id));

static bool on_first(void *arg, struct ipc_frame *f, struct err *e)
{
    struct predecessor *pre = arg;
    if (f->id == IPC_UP_HELLO) {
        GET(up_hello)
        return on_up_hello(pre, &m, e);
    }
    if (!pre->version)
        return err_set(e, "the running supervisor does not say who it is");
    if (f->id == IPC_UP_SOCKET) {
        GET(up_socket)
        return on_up_socket(pre, f, &m) || err_set(e, "the running supervisor handed over a "
                                                      "descriptor that is not a listening socket");
    }
    if (f->id == IPC_UP_SAID) {
        GET(up_said)
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
    if (!pre->same_ipc || !gave)
        nothing_out(pre);
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

static bool on_up_counters(struct predecessor *pre, const struct ipc_up_counters *m)
{
    uint64_t v[SAVED_COUNTS];
    if (m->v.n != sizeof v)
        return false;
    memcpy(v, m->v.p, sizeof v);
    if (m->endpoint.n)
        totals_restore_endpoint(pre->env.totals, m->endpoint, v);
    else
        totals_restore(pre->env.totals, v);
    return true;
}

/* Handles a frame of a worker of the predecessor as that of a worker in slot HEALTH_PREDECESSOR. */
static bool on_up_said(struct predecessor *pre, const struct ipc_up_said *u)
{
    struct health *h = pre->env.health;
    struct ipc_frame f = {
        .id = (enum ipc_id)u->what, .fields = u->fields, .nfields = u->nfields, .fd = -1};
    const unsigned who = HEALTH_PREDECESSOR;
    int64_t now = clock_boot_ms();
    union {
        struct ipc_binds binds;
        struct ipc_outcome outcome;
        struct ipc_verdict verdict;
        struct ipc_trial_begun begun;
        struct ipc_trial_back back;
        struct ipc_trial_ask ask;
        struct ipc_stats stats;
        struct ipc_unserved unserved;
        struct ipc_item item;
    } m;
    if (!pre->same_ipc)
        return true;
    /* not passed on to a third supervisor, which knows no slots but those here */
    if (u->what == IPC_TRIAL_ASK) {
        if (ipc_get_trial_ask(&f, &m.ask))
            health_trial_asked_elsewhere(h, u->slot, m.ask.endpoint, m.ask.family);
        return true;
    }
    successor_relay(pre->env.successor, u->slot, &f); /* if another upgrade is under way */
    if (u->what == IPC_BINDS)
        return ipc_get_binds(&f, &m.binds) &&
               bindings_on_binds(pre->env.bindings, m.binds.records, now);
    if (u->what == IPC_OUTCOME) {
        if (!ipc_get_outcome(&f, &m.outcome))
            return false;
        marked_outcome(pre->env.marks, &m.outcome, now);
        return health_outcome(h, who, &m.outcome, now);
    }
    if (u->what == IPC_ITEM)
        return ipc_get_item(&f, &m.item) && marked_item(pre->env.marks, &m.item, now);
    if (u->what == IPC_VERDICT)
        return ipc_get_verdict(&f, &m.verdict) && health_verdict(h, who, &m.verdict, now);
    if (u->what == IPC_UNSERVED && ipc_get_unserved(&f, &m.unserved))
        health_unserved(h, &m.unserved, now);
    if (u->what == IPC_STATS)
        return ipc_get_stats(&f, &m.stats) &&
               totals_add(pre->env.totals, TOTALS_ELSEWHERE + u->slot % SLOTS_MAX, m.stats.total,
                          m.stats.records, now);
    if (u->what == IPC_TRIAL_BEGUN && ipc_get_trial_begun(&f, &m.begun))
        health_trial_begun(h, who, m.begun.endpoint, m.begun.seq, now);
    else if (u->what == IPC_TRIAL_BACK && ipc_get_trial_back(&f, &m.back))
        health_trial_back(h, who, m.back.endpoint, m.back.seq, now);
    return true;
}

static bool on_state(struct predecessor *pre, const struct ipc_frame *f, struct err *e)
{
    if (f->id == IPC_UP_ENDPOINT) {
        GET(up_endpoint)
        endpoint_wire_move(&m, clock_suspended_ms());
        return endpoint_wire_get(pre->env.health, pre->conf, &m, clock_boot_ms()) ||
               err_set(e, "the running supervisor sent an invalid state of an endpoint");
    }
    if (f->id == IPC_UP_CELL) {
        struct cell_wire w;
        GET(up_cell)
        return (cell_wire_read(&w, &m) && (cell_wire_move(&w, clock_suspended_ms()), true) &&
                cell_wire_get(pre->env.health, &w, clock_boot_ms())) ||
               err_set(e, "the running supervisor sent an invalid cell of an endpoint");
    }
    if (f->id == IPC_UP_REFUSED) {
        GET(up_refused)
        endpoint_wire_get_refused(pre->env.health, &m);
        return true;
    }
    if (f->id == IPC_UP_COUNT) {
        GET(up_count)
        endpoint_wire_move_count(&m, clock_suspended_ms());
        endpoint_wire_get_count(pre->env.health, &m);
        return true;
    }
    if (f->id == IPC_UP_COUNTERS) {
        GET(up_counters)
        return on_up_counters(pre, &m) ||
               err_set(e, "the running supervisor's counters have another format");
    }
    if (f->id != IPC_UP_GO)
        return err_set(e, "the running supervisor sent %s instead of its state", ipc_name(f->id));
    GET(up_go)
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
    if (f->id == IPC_UP_SAID) {
        GET(up_said)
        return on_up_said(pre, &m) ||
               err_set(e, "a worker of the previous supervisor sent an invalid report");
    }
    if (f->id == IPC_UP_PLACES) {
        GET(up_places)
        if (pre->same_ipc)
            health_places_elsewhere(pre->env.health, m.endpoint, m.n, m.got);
        return true;
    }
    if (f->id == IPC_UP_WANT) {
        GET(up_want)
        if (pre->same_ipc)
            health_place_wanted_elsewhere(pre->env.health, m.endpoint, clock_boot_ms());
        return true;
    }
    if (f->id == IPC_UP_LOST) {
        GET(up_lost)
        successor_send_lost(pre->env.successor, &m);
        health_lost(pre->env.health, HEALTH_PREDECESSOR, m.endpoint, m.trial, m.verifies,
                    clock_boot_ms());
        return true;
    }
    if (pre->phase == PREDECESSOR_TAKING)
        return on_state(pre, f, e);
    if (f->id == IPC_UP_PAST && pre->phase == PREDECESSOR_SERVING) {
        GET(up_past)
        endpoint_wire_get_past(pre->env.health, &m);
        return true;
    }
    if (f->id == IPC_UP_MARK && pre->phase == PREDECESSOR_SERVING) {
        GET(up_mark)
        struct saved_mark x = {
            .kind = (uint8_t)m.kind, .n = (uint8_t)m.name.n, .until_wall_ms = m.until_ms};
        if (m.kind >= MARK__COUNT || m.name.n > sizeof x.name || m.endpoint.n >= sizeof x.id)
            return err_set(e, "the running supervisor sent an invalid mark");
        memcpy(x.id, m.endpoint.p, m.endpoint.n);
        memcpy(x.name, m.name.p, m.name.n);
        marked_restore(pre->env.marks, &x, 1, clock_boot_ms(), clock_wall_ms());
        return true;
    }
    if (f->id == IPC_UP_HISTORY && pre->phase == PREDECESSOR_SERVING) {
        pre->env.ops->history(pre->env.arg);
        return true;
    }
    if (f->id != IPC_UP_DONE || pre->phase != PREDECESSOR_SERVING)
        return err_set(e, "the running supervisor sent %s, which is not expected now",
                       ipc_name(f->id));
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
