#include "worker/worker_ipc.h"

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/logring.h"
#include "common/conf/conf_wire.h"
#include "worker/client/accept.h"
#include "worker/admin/admin.h"
#include "worker/libraries.h"
#include "worker/recent_answer.h"
#include "worker/verify/verify.h"
#include "worker/worker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Bytes that may be queued for the supervisor; when it reads so little that more would wait, the
 * channel counts as broken. */
enum { TX_MAX = 4 << 20, FLUSH_MS = 1000 };

static void broken(struct worker *w, const char *why)
{
    log_error("channel to the supervisor: %s", why);
    w->exit_code = WORKER_EXIT_BAD_PEER;
    ev_break(w->loop, EVBREAK_ALL);
}

static void on_broken(struct uplink *u, const char *why)
{
    broken(CONTAINER_OF(u, struct worker, uplink), why);
}

#define SEND(w, low, ...)                                                                          \
    do {                                                                                           \
        struct ipc_##low m_ = {__VA_ARGS__};                                                       \
        uplink_send(&(w)->uplink, ipc_put_v_##low, &m_);                                           \
    } while (0)

static bool on_hello(struct worker *w, struct ipc_frame *f, const struct ipc_hello *m,
                     struct err *e)
{
    (void)f;
    if (m->version != IPC_VERSION)
        return err_set(e, "supervisor speaks version %u, this worker %d", m->version, IPC_VERSION);
    if (m->secret.n != sizeof w->secret)
        return err_set(e, "HELLO with a secret of %zu bytes", m->secret.n);
    if (m->tickets.n != sizeof w->tickets)
        return err_set(e, "HELLO with a secret of tickets of %zu bytes", m->tickets.n);
    memcpy(w->secret, m->secret.p, sizeof w->secret);
    memcpy(w->tickets, m->tickets.p, sizeof w->tickets);
    char libraries[IPC_LIBRARIES_MAX + 1];
    libraries_text(libraries);
    SEND(w, ready, .version = IPC_VERSION, .pid = (uint32_t)getpid());
    SEND(w, libraries, .text = str_c(libraries));
    return true;
}

static bool on_conf(struct worker *w, struct ipc_frame *f, const struct ipc_conf *m, struct err *e)
{
    uint64_t gen = f->gen;
    struct conf *c = conf_wire_get(m->body, e);
    if (c) {
        /* the new configuration may drop endpoints with unsent counts */
        counters_send(&w->counters);
        c->gen = gen;
        if (worker_configure(w, c, e))
            w->uplink.gen = gen;
        else
            log_error("configuration %llu: %s", (unsigned long long)gen, e->msg);
    }
    bool ok = c && w->uplink.gen == gen;
    conf_unref(c);
    SEND(w, conf_ack, .ok = ok, .why = ok ? STR("") : str_c(e->msg));
    return true;
}

static bool on_listen(struct worker *w, struct ipc_frame *f, const struct ipc_listen *m,
                      struct err *e)
{
    if (f->fd == -1)
        return err_set(e, "LISTEN without a descriptor");
    char address[257];
    snprintf(address, sizeof address, "%.*s", (int)min_size(m->address.n, 256), m->address.p);
    int fd = f->fd;
    f->fd = -1;
    if (!listener_add(&w->conn, m->id, m->admin ? &w->operators : &w->proxy, address, fd,
                      accept_on_ready, e)) {
        fd_close(&fd);
        return false;
    }
    return true;
}

static bool on_start(struct worker *w, struct ipc_frame *f, const struct ipc_start *m,
                     struct err *e)
{
    (void)f, (void)m;
    if (!w->conf)
        return err_set(e, "START before a configuration");
    w->conn.started = true;
    if (!w->draining && !w->conn.accept_paused)
        listener_start_all(&w->conn);
    return true;
}

static bool on_log_file(struct worker *w, struct ipc_frame *f, const struct ipc_log_file *m,
                        struct err *e)
{
    (void)w;
    if (!m->to_stderr && f->fd == -1)
        return err_set(e, "LOG_FILE without a descriptor");
    log_take_fd(m->to_stderr ? -1 : f->fd);
    if (!m->to_stderr)
        f->fd = -1;
    return true;
}

static bool on_ping(struct worker *w, struct ipc_frame *f, const struct ipc_ping *m, struct err *e)
{
    (void)f, (void)e;
    worker_trim(w);
    counters_send(&w->counters);
    loan_sweep(&w->loans);
    SEND(w, pong, .seq = m->seq, .connections = w->counters.conns,
         .requests_open = w->counters.requests_open, .requests = w->counters.requests,
         .buffered_bytes = w->counters.buffered);
    return true;
}

static bool on_unlisten(struct worker *w, struct ipc_frame *f, const struct ipc_unlisten *m,
                        struct err *e)
{
    (void)f, (void)e;
    accept_rest_of(&w->conn, m->id);
    listener_remove(&w->conn, m->id);
    return true;
}

static bool on_drain(struct worker *w, struct ipc_frame *f, const struct ipc_drain *m,
                     struct err *e)
{
    (void)f, (void)e;
    worker_drain(w, m->quick, (int64_t)min_size(m->timeout_ms, INT32_MAX));
    return true;
}

static bool on_log_ring(struct worker *w, struct ipc_frame *f, const struct ipc_log_ring *m,
                        struct err *e)
{
    (void)w, (void)m;
    return f->fd == -1 ? err_set(e, "LOG_RING without a descriptor") : logring_use(f->fd, e);
}

static bool on_feed(struct worker *w, struct ipc_frame *f, const struct ipc_feed *m, struct err *e)
{
    if (m->on && f->fd == -1)
        return err_set(e, "FEED without a descriptor");
    feed_use(&w->feed, m->on ? f->fd : -1);
    if (m->on)
        f->fd = -1;
    return true;
}

static bool on_endpoint(struct worker *w, struct ipc_frame *f, const struct ipc_endpoint *m,
                        struct err *e)
{
    (void)f, (void)e;
    struct ep_live *live = replica_update(&w->replica, m);
    if (live)
        loan_on_endpoint(&w->loans, live);
    turn_wake(&w->turn);
    return true;
}

static bool on_cell(struct worker *w, struct ipc_frame *f, const struct ipc_cell *m, struct err *e)
{
    (void)f, (void)e;
    uint64_t gone;
    struct ep_live *live = replica_update_cell(&w->replica, m, &gone);
    if (live)
        loan_on_cell(&w->loans, live, m->family, gone);
    turn_wake(&w->turn);
    return true;
}

static bool on_models(struct worker *w, struct ipc_frame *f, const struct ipc_models *m,
                      struct err *e)
{
    (void)f, (void)e;
    replica_update_models(&w->replica, m);
    return true;
}

static bool on_list(struct worker *w, struct ipc_frame *f, const struct ipc_list *m, struct err *e)
{
    (void)f, (void)e;
    replica_update_list(&w->replica, m);
    return true;
}

static bool on_mark(struct worker *w, struct ipc_frame *f, const struct ipc_mark *m, struct err *e)
{
    (void)f, (void)e;
    replica_mark(&w->replica, m, clock_boot_ms());
    return true;
}

static bool on_asked(struct worker *w, struct ipc_frame *f, const struct ipc_asked *m,
                     struct err *e)
{
    (void)f, (void)e;
    demand_on_asked(&w->demand, m);
    return true;
}

static bool on_learnt(struct worker *w, struct ipc_frame *f, const struct ipc_learnt *m,
                      struct err *e)
{
    (void)f, (void)e;
    interpreter_on_learnt(&w->interpreters, m);
    return true;
}

static bool on_trial(struct worker *w, struct ipc_frame *f, const struct ipc_trial *m,
                     struct err *e)
{
    (void)f, (void)e;
    loan_on_trial(&w->loans, m);
    return true;
}

static bool on_trial_recall(struct worker *w, struct ipc_frame *f, const struct ipc_trial_recall *m,
                            struct err *e)
{
    (void)f, (void)e;
    loan_on_recall(&w->loans, m);
    return true;
}

static bool on_lend(struct worker *w, struct ipc_frame *f, const struct ipc_lend *m, struct err *e)
{
    (void)f, (void)e;
    loan_on_lend(&w->loans, m);
    return true;
}

static bool on_verify(struct worker *w, struct ipc_frame *f, const struct ipc_verify *m,
                      struct err *e)
{
    (void)f, (void)e;
    verify_begin(&w->req, m);
    return true;
}

static bool on_answer(struct worker *w, struct ipc_frame *f, const struct ipc_answer *m,
                      struct err *e)
{
    (void)f, (void)e;
    admin_answer(&w->admin, m);
    return true;
}

static bool on_recent_ask(struct worker *w, struct ipc_frame *f, const struct ipc_recent_ask *m,
                          struct err *e)
{
    (void)f, (void)e;
    recent_answer(w, m);
    return true;
}

static bool on_bindings(struct worker *w, struct ipc_frame *f, const struct ipc_bindings *m,
                        struct err *e)
{
    (void)f;
    return binding_replica_learn(&w->binding, m->records, e);
}

/* A row of the table without its handler does not compile; one that goes another way never gets
 * here: chan_read refuses it. */
#define HANDLE_TO_SUP(NAME, low)
#define HANDLE_TO_NEW(NAME, low)
#define HANDLE_TO_REC(NAME, low)
#define HANDLE_FROM_REC(NAME, low)
#define HANDLE_TO_LINK(NAME, low)
#define HANDLE_FROM_LINK(NAME, low)
#define HANDLE_TO_OLD(NAME, low)
#define HANDLE_FROM_CTL(NAME, low)
#define HANDLE_TO_CTL(NAME, low)
#define HANDLE_TO_WORKER(NAME, low)                                                                \
    if (f->id == IPC_##NAME) {                                                                     \
        struct ipc_##low m;                                                                        \
        if (!ipc_get_##low(f, &m))                                                                 \
            return err_set(e, "malformed " #NAME);                                                 \
        return on_##low(w, f, &m, e);                                                              \
    }
#define HANDLE(NAME, dir, low, id) HANDLE_##dir(NAME, low)

static bool on_frame(void *arg, struct ipc_frame *f, struct err *e)
{
    struct worker *w = arg;
    IPC_TABLE(HANDLE)
    return err_set(e, "unexpected %s", ipc_name(f->id));
}

static void handle(struct worker *w, enum chan_result r, const struct err *e)
{
    switch (r) {
    case CHAN_OK:
        if (!chan_pending(&w->uplink.chan))
            ev_io_stop(w->loop, &w->uplink.wr);
        return;
    case CHAN_CLOSED:
        ev_io_stop(w->loop, &w->uplink.rd);
        ev_io_stop(w->loop, &w->uplink.wr);
        chan_fini(&w->uplink.chan);
        if (!w->draining)
            log_warn("the supervisor is gone: finishing what is in flight");
        loan_orphaned(&w->loans, w->conf && w->conf->workers ? w->conf->workers : w->cpus);
        worker_drain(w, true, w->conf ? w->conf->limits.drain_timeout : 0);
        return;
    case CHAN_BROKEN:
        broken(w, e->msg);
        return;
    }
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop, (void)revents;
    struct worker *w = CONTAINER_OF(io, struct worker, uplink.rd);
    struct err e = {""};
    enum chan_result r = chan_read(&w->uplink.chan, on_frame, w, &e);
    handle(w, r, &e);
}

static void on_writable(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop, (void)revents;
    struct worker *w = CONTAINER_OF(io, struct worker, uplink.wr);
    struct err e = {""};
    enum chan_result r = chan_write(&w->uplink.chan, &e);
    handle(w, r, &e);
}

void worker_ipc_start(struct worker *w, int fd)
{
    if (!fd_nonblock(fd) || !fd_cloexec(fd, true))
        die("no channel to the supervisor");
    w->uplink.loop = w->loop;
    w->uplink.broken = on_broken;
    chan_init(&w->uplink.chan, fd, TO_WORKER, TX_MAX, "supervisor");
    ev_io_init(&w->uplink.rd, on_readable, fd, EV_READ);
    ev_io_init(&w->uplink.wr, on_writable, fd, EV_WRITE);
    ev_set_priority(&w->uplink.rd, EV_MAXPRI); /* decisions of the supervisor come before traffic */
    ev_io_start(w->loop, &w->uplink.rd);
}

/* Waits until the supervisor has read the last reports. */
static void flush(struct worker *w)
{
    struct err e;
    int64_t left, until = clock_mono_ms() + FLUSH_MS;
    while (chan_pending(&w->uplink.chan) && (left = until - clock_mono_ms()) > 0) {
        struct pollfd p = {.fd = w->uplink.chan.fd, .events = POLLOUT};
        if ((poll(&p, 1, (int)left) == -1 && errno != EINTR) ||
            chan_write(&w->uplink.chan, &e) != CHAN_OK)
            return;
    }
}

void worker_ipc_stop(struct worker *w)
{
    flush(w);
    ev_io_stop(w->loop, &w->uplink.rd);
    ev_io_stop(w->loop, &w->uplink.wr);
    chan_fini(&w->uplink.chan);
}
