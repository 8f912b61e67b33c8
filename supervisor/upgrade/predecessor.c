#include "supervisor/upgrade/predecessor.h"

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/secret.h"
#include "supervisor/shared/endpoint_view.h"
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
    GIVE_MS = 10000, /* in which the other one has given what it has */
    FAIL_MS = 1000   /* and has heard why we cannot */
};

bool inherit_holding(const struct inherit *in)
{
    enum inherit_phase p = in->phase;
    return p == INHERIT_READING || p == INHERIT_STARTING || p == INHERIT_TAKING;
}

bool inherit_waiting(const struct inherit *in)
{
    return in->phase == INHERIT_SERVING;
}

/* ---- what is given at first */

static bool hello(struct inherit *in, const struct ipc_up_hello *m, struct err *e)
{
    if (m->version != HANDOVER_VERSION)
        return err_set(e, "the running supervisor hands over in a way %u, this one knows %d", m->version,
                       HANDOVER_VERSION);
    if (m->secret.n != sizeof in->secret)
        return err_set(e, "the running supervisor gave no secret");
    memcpy(in->secret, m->secret.p, sizeof in->secret);
    in->version = m->version;
    in->pid = m->pid;
    in->gen = m->gen;
    in->same_words = m->ipc == IPC_VERSION;
    snprintf(in->build, sizeof in->build, STR_FMT, STR_ARG(m->build));
    return true;
}

static bool socket_given(struct inherit *in, struct ipc_frame *f, const struct ipc_up_socket *m)
{
    int fd = f->fd;
    f->fd = -1;
    switch (m->kind) {
    case HANDOVER_LISTENER:
    case HANDOVER_FOREIGN:
        return listen_given_add(&in->given, fd, m->kind == HANDOVER_FOREIGN, (dev_t)m->dev, (ino_t)m->ino);
    case HANDOVER_LOCK:
        fd_close(&in->handover.lock);
        in->handover.lock = fd;
        return true;
    case HANDOVER_CONTROL:
        fd_close(&in->handover.control);
        in->handover.control = fd;
        in->handover.control_dev = (dev_t)m->dev;
        in->handover.control_ino = (ino_t)m->ino;
        return true;
    case HANDOVER_RING:
        fd_close(&in->handover.ring);
        in->handover.ring = fd;
        return true;
    case HANDOVER_RING_READER:
        fd_close(&in->handover.ring_reader);
        in->handover.ring_reader = fd;
        return true;
    }
    fd_close(&fd); /* of a later build: not known, not needed */
    return true;
}

/* Wishes of the other one's workers, until there is a table. */
static bool early(struct inherit *in, const struct ipc_up_said *m)
{
    struct ipc_binds b;
    struct ipc_frame f = {.id = IPC_BINDS, .fields = m->fields, .nfields = m->nfields, .fd = -1};
    if (m->what != IPC_BINDS || !in->same_words)
        return true;
    return ipc_get_binds(&f, &b) && buf_str(&in->early, b.records);
}

/* Reads one of the messages, or says that it cannot be. */
#define GET(low)                                                                                   \
    struct ipc_##low m;                                                                            \
    if (!ipc_get_##low(f, &m))                                                                     \
        return err_set(e, "the running supervisor sent a malformed %s", ipc_name(f->id));

static bool on_first(void *arg, struct ipc_frame *f, struct err *e)
{
    struct inherit *in = arg;
    if (f->id == IPC_UP_HELLO) {
        GET(up_hello)
        return hello(in, &m, e);
    }
    if (!in->version)
        return err_set(e, "the running supervisor does not say who it is");
    if (f->id == IPC_UP_SOCKET) {
        GET(up_socket)
        return socket_given(in, f, &m) || err_set(e, "the running supervisor gave what is no listening socket");
    }
    if (f->id == IPC_UP_SAID) {
        GET(up_said)
        return early(in, &m) || err_set(e, "the running supervisor's workers bind what cannot be");
    }
    if (f->id != IPC_UP_READ)
        return err_set(e, "the running supervisor sent %s too early", ipc_name(f->id));
    in->phase = INHERIT_STARTING;
    return true;
}

bool inherit_take(struct inherit *in, const struct predecessor_env *env, struct err *e)
{
    *in = (struct inherit){
        .env = *env,
        .chan.fd = -1,
        .handover = {.lock = -1, .state = -1, .control = -1, .ring = -1, .ring_reader = -1}};
    if (!getenv(HANDOVER_ENV))
        return true;
    unsetenv(HANDOVER_ENV); /* no child is to take itself for one that inherits */
    if (!fd_nonblock(HANDOVER_FD) || !fd_cloexec(HANDOVER_FD, true) || !fd_cloexec(HANDOVER_STATE_FD, true))
        return err_sys(e, HANDOVER_ENV " is set, but nobody hands over");
    chan_init(&in->chan, HANDOVER_FD, TO_NEW, TX_MAX, "the running supervisor");
    buf_init(&in->early, EARLY_MAX);
    in->handover.state = HANDOVER_STATE_FD;
    in->phase = INHERIT_READING;
    int64_t until = clock_mono_ms() + GIVE_MS;
    while (in->phase == INHERIT_READING) {
        struct pollfd p = {.fd = in->chan.fd, .events = POLLIN};
        int64_t left = until - clock_mono_ms();
        if (left <= 0)
            return err_set(e, "the running supervisor does not hand over");
        if (poll(&p, 1, (int)left) == -1 && errno != EINTR)
            return err_sys(e, "poll");
        switch (chan_read(&in->chan, on_first, in, e)) {
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

void inherit_fail(struct inherit *in, const char *why)
{
    struct ipc_up_fails m = {.why = str_c(why)};
    struct err e;
    m.why.n = min_size(m.why.n, 512);
    if (in->chan.fd == -1 || in->phase > INHERIT_TAKING ||
        !chan_send(&in->chan, -1, ipc_put_v_up_fails, 0, &m))
        return;
    for (int64_t until = clock_mono_ms() + FAIL_MS; chan_pending(&in->chan) && clock_mono_ms() < until;) {
        struct pollfd p = {.fd = in->chan.fd, .events = POLLOUT};
        if (poll(&p, 1, FAIL_MS) == -1 || chan_write(&in->chan, &e) != CHAN_OK)
            return;
    }
}

/* ---- the channel */

static void watch(struct inherit *in)
{
    if (chan_pending(&in->chan))
        ev_io_start(in->env.loop, &in->wr);
    else
        ev_io_stop(in->env.loop, &in->wr);
}

static void unwatch(struct inherit *in)
{
    ev_io_stop(in->env.loop, &in->rd);
    ev_io_stop(in->env.loop, &in->wr);
    chan_fini(&in->chan);
}

static void tell(struct inherit *in, chan_put_fn *put, const void *m)
{
    /* One that does not read is as good as gone; its end is seen by reading. */
    if (in->chan.fd != -1 && chan_send(&in->chan, -1, put, in->env.intent->gen, m))
        watch(in);
}

void inherit_tell(struct inherit *in, const struct ipc_endpoint *m)
{
    struct buf b;
    struct ipc_frame f;
    if (!inherit_waiting(in) || !in->same_words)
        return;
    buf_init(&b, IPC_BLOCKS_MAX + 4096);
    if (ipc_put_endpoint(&b, 0, m) && ipc_open(buf_view(&b), TO_WORKER, &f)) {
        struct ipc_up_tell u = {.ipc = IPC_VERSION, .nfields = f.nfields, .fields = f.fields};
        tell(in, ipc_put_v_up_tell, &u);
    }
    buf_free(&b);
}

void inherit_lend(struct inherit *in, const struct ipc_lend *m)
{
    struct ipc_up_lend u = {.endpoint = m->endpoint, .n = m->n};
    if (m->n)
        tell(in, ipc_put_v_up_lend, &u);
}

void inherit_tell_all(struct inherit *in)
{
    for (size_t i = 0; inherit_waiting(in) && i < in->env.health->n; i++) {
        const struct health_endpoint *e = &in->env.health->v[i];
        struct ipc_endpoint m = view_make(e->id, &e->state, clock_mono_ms());
        inherit_tell(in, &m);
    }
}

void inherit_pass_reopen(const struct inherit *in)
{
    if (inherit_waiting(in))
        kill((pid_t)in->pid, SIGUSR1);
}

void inherit_stop(struct inherit *in)
{
    struct ipc_up_stop m = {};
    if (inherit_waiting(in))
        tell(in, ipc_put_v_up_stop, &m);
}

/* ---- the state becomes ours */

/* What the other one's workers have of an endpoint comes back. */
static void nothing_out(struct inherit *in)
{
    health_slot_gone(in->env.health, HEALTH_PREDECESSOR, clock_mono_ms());
    for (size_t i = 0; i < in->env.health->n; i++)
        health_places_elsewhere(in->env.health, str_c(in->env.health->v[i].id), 0, UINT32_MAX);
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        totals_gone(in->env.totals, TOTALS_ELSEWHERE + i);
}

/* gave: the other one said GO; else it died before, and what was copied must do. */
static void go(struct inherit *in, bool gave)
{
    struct ipc_up_serves m = {};
    in->phase = INHERIT_SERVING;
    if (!in->same_words || !gave)
        nothing_out(in);
    health_taken(in->env.health, clock_mono_ms());
    fd_close(&in->handover.lock); /* of a folder that is not in use here */
    state_dir_sign(&in->env.store->dir);
    listen_given_own(&in->given);
    listen_given_drop(&in->given);
    in->conf = NULL;
    in->env.ops->go(in->env.arg);
    if (gave)
        tell(in, ipc_put_v_up_serves, &m);
}

static void over(struct inherit *in)
{
    unwatch(in);
    if (inherit_holding(in)) {
        log_warn("the supervisor before this one, pid %u, is gone before it has handed over", in->pid);
        if (in->phase == INHERIT_TAKING)
            inherit_ready(in);
        return;
    }
    in->phase = INHERIT_OVER;
    nothing_out(in);
    log_info("the supervisor before this one, pid %u, has finished", in->pid);
}

void inherit_ready(struct inherit *in)
{
    struct ipc_up_take m = {};
    if (in->chan.fd != -1) {
        in->phase = INHERIT_TAKING;
        tell(in, ipc_put_v_up_take, &m);
        return;
    }
    go(in, false);
    in->phase = INHERIT_OVER;
    in->env.ops->serves(in->env.arg);
}

/* ---- what the other one says */

static bool counters(struct inherit *in, const struct ipc_up_counters *m)
{
    uint64_t v[SAVED_COUNTS];
    if (m->v.n != sizeof v)
        return false;
    memcpy(v, m->v.p, sizeof v);
    if (m->endpoint.n)
        totals_restore_endpoint(in->env.totals, m->endpoint, v);
    else
        totals_restore(in->env.totals, v);
    return true;
}

/* A frame of one of its workers: as if one of ours had said it, but for who is answered. */
static bool said(struct inherit *in, const struct ipc_up_said *u)
{
    struct health *h = in->env.health;
    struct ipc_frame f = {.id = (enum ipc_id)u->what, .fields = u->fields, .nfields = u->nfields, .fd = -1};
    const unsigned who = HEALTH_PREDECESSOR;
    int64_t now = clock_mono_ms();
    union {
        struct ipc_binds binds;
        struct ipc_outcome outcome;
        struct ipc_verdict verdict;
        struct ipc_trial_begun begun;
        struct ipc_trial_back back;
        struct ipc_stats stats;
    } m;
    if (!in->same_words)
        return true;
    successor_relay(in->env.successor, u->slot, &f); /* there may be one after us already */
    if (u->what == IPC_BINDS)
        return ipc_get_binds(&f, &m.binds) && sessions_wishes(in->env.sessions, m.binds.records, now);
    if (u->what == IPC_OUTCOME)
        return ipc_get_outcome(&f, &m.outcome) && health_outcome(h, who, &m.outcome, now);
    if (u->what == IPC_VERDICT)
        return ipc_get_verdict(&f, &m.verdict) && health_verdict(h, who, &m.verdict, now);
    if (u->what == IPC_STATS)
        return ipc_get_stats(&f, &m.stats) &&
               totals_add(in->env.totals, TOTALS_ELSEWHERE + u->slot % SLOTS_MAX, m.stats.total,
                          m.stats.records, now);
    if (u->what == IPC_TRIAL_BEGUN && ipc_get_trial_begun(&f, &m.begun))
        health_trial_begun(h, who, m.begun.endpoint, m.begun.seq, now);
    else if (u->what == IPC_TRIAL_BACK && ipc_get_trial_back(&f, &m.back))
        health_trial_back(h, who, m.back.endpoint, m.back.seq, now);
    return true;
}

static bool on_state(struct inherit *in, const struct ipc_frame *f, struct err *e)
{
    if (f->id == IPC_UP_ENDPOINT) {
        GET(up_endpoint)
        return carry_get(in->env.health, in->conf, &m, clock_mono_ms()) ||
               err_set(e, "the running supervisor knows of an endpoint what cannot be");
    }
    if (f->id == IPC_UP_COUNTERS) {
        GET(up_counters)
        return counters(in, &m) || err_set(e, "the running supervisor counts in another way");
    }
    if (f->id != IPC_UP_GO)
        return err_set(e, "the running supervisor sent %s instead of its state", ipc_name(f->id));
    GET(up_go)
    if (in->env.intent->want != PLAN_SERVE)
        return true; /* we end, and the other one goes on when it sees that */
    if (m.seq > in->env.health->seq)
        in->env.health->seq = m.seq;
    go(in, true);
    return true;
}

static bool on_frame(void *arg, struct ipc_frame *f, struct err *e)
{
    struct inherit *in = arg;
    if (f->id == IPC_UP_SAID) {
        GET(up_said)
        return said(in, &m) || err_set(e, "a worker of the supervisor before this one reports what cannot be");
    }
    if (f->id == IPC_UP_PLACES) {
        GET(up_places)
        if (in->same_words)
            health_places_elsewhere(in->env.health, m.endpoint, m.n, m.got);
        return true;
    }
    if (f->id == IPC_UP_WANT) {
        GET(up_want)
        if (in->same_words)
            health_place_wanted_elsewhere(in->env.health, m.endpoint);
        return true;
    }
    if (f->id == IPC_UP_LOST) {
        GET(up_lost)
        successor_send_lost(in->env.successor, &m);
        health_lost(in->env.health, HEALTH_PREDECESSOR, m.endpoint, m.trial, m.verifies, clock_mono_ms());
        return true;
    }
    if (in->phase == INHERIT_TAKING)
        return on_state(in, f, e);
    if (f->id != IPC_UP_DONE || in->phase != INHERIT_SERVING)
        return err_set(e, "the running supervisor sent %s, which means nothing now", ipc_name(f->id));
    inherit_tell_all(in);
    in->env.ops->serves(in->env.arg);
    return true;
}

static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
    struct inherit *in = w->data;
    struct err e;
    (void)loop, (void)events;
    enum chan_result r = chan_read(&in->chan, on_frame, in, &e);
    if (r == CHAN_BROKEN)
        log_error("%s", e.msg);
    if (r == CHAN_BROKEN && inherit_holding(in))
        in->env.ops->failed(in->env.arg, e.msg);
    else if (r != CHAN_OK)
        over(in);
}

static void on_writable(struct ev_loop *loop, ev_io *w, int events)
{
    struct inherit *in = w->data;
    struct err e;
    (void)loop, (void)events;
    if (chan_write(&in->chan, &e) == CHAN_OK)
        watch(in);
    else
        ev_io_stop(in->env.loop, w);
}

void inherit_start(struct inherit *in, const struct conf *c)
{
    if (in->phase == INHERIT_NONE)
        return;
    in->conf = c;
    const size_t most = BINDINGS_RECORDS * sizeof(struct bindings_record);
    struct str left = buf_view(&in->early);
    while (left.n) {
        size_t n = min_size(left.n, most);
        if (!sessions_wishes(in->env.sessions, str_make(left.p, n), clock_mono_ms()))
            log_warn("bindings of the last moment are lost");
        left = str_make(left.p + n, left.n - n);
    }
    buf_free(&in->early);
    ev_io_init(&in->rd, on_readable, in->chan.fd, EV_READ);
    ev_io_init(&in->wr, on_writable, in->chan.fd, EV_WRITE);
    in->rd.data = in->wr.data = in;
    ev_io_start(in->env.loop, &in->rd);
    watch(in);
    log_info("takes the place of pid %u, qcc %s", in->pid, in->build);
}

void inherit_fini(struct inherit *in)
{
    unwatch(in);
    listen_given_drop(&in->given);
    fd_close(&in->handover.lock);
    fd_close(&in->handover.state);
    fd_close(&in->handover.control);
    fd_close(&in->handover.ring);
    fd_close(&in->handover.ring_reader);
    buf_free(&in->early);
    secret_wipe(in->secret, sizeof in->secret);
}
