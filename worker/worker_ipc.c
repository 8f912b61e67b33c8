#include "worker/worker_ipc.h"

#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/logring.h"
#include "common/conf/conf_wire.h"
#include "worker/client/accept.h"
#include "worker/admin/admin.h"
#include "worker/client/conn.h"
#include "worker/verify/verify.h"
#include "worker/worker.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Bytes that may be queued for the supervisor; when it reads so little that more would wait, the
 * channel counts as broken. */
enum { TX_MAX = 4 << 20 };

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

static bool on_hello(struct worker *w, const struct ipc_hello *m, struct err *e)
{
    if (m->version != IPC_VERSION)
        return err_set(e, "supervisor speaks version %u, this worker %d", m->version, IPC_VERSION);
    if (m->secret.n != sizeof w->secret)
        return err_set(e, "HELLO with a secret of %zu bytes", m->secret.n);
    memcpy(w->secret, m->secret.p, sizeof w->secret);
    SEND(w, ready, .version = IPC_VERSION, .pid = (uint32_t)getpid());
    return true;
}

static void on_conf(struct worker *w, uint64_t gen, const struct ipc_conf *m)
{
    struct err e;
    struct conf *c = conf_wire_get(m->body, &e);
    if (c) {
        /* the new configuration may drop endpoints with unsent counts */
        counters_send(&w->counters);
        c->gen = gen;
        if (worker_configure(w, c, &e))
            w->uplink.gen = gen;
        else
            log_error("configuration %llu: %s", (unsigned long long)gen, e.msg);
    }
    bool ok = c && w->uplink.gen == gen;
    conf_unref(c);
    SEND(w, conf_ack, .ok = ok, .why = ok ? STR("") : str_c(e.msg));
}

static bool on_listen(struct worker *w, struct ipc_frame *f, const struct ipc_listen *m, struct err *e)
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

static void on_start(struct worker *w)
{
    w->conn.started = true;
    if (!w->draining && !w->conn.accept_paused)
        listener_start_all(&w->conn);
}

static void on_log_file(struct ipc_frame *f, const struct ipc_log_file *m)
{
    log_take_fd(m->to_stderr ? -1 : f->fd);
    if (!m->to_stderr)
        f->fd = -1;
}

static void on_ping(struct worker *w, const struct ipc_ping *m)
{
    worker_trim(w);
    counters_send(&w->counters);
    loan_sweep(&w->loans);
    SEND(w, pong, .seq = m->seq, .connections = w->counters.conns,
         .requests_open = w->counters.requests_open, .requests = w->counters.requests,
         .buffered_bytes = w->counters.buffered);
}

static bool on_frame(void *arg, struct ipc_frame *f, struct err *e)
{
    struct worker *w = arg;
#define GET(low)                                                                                   \
    struct ipc_##low m;                                                                            \
    if (!ipc_get_##low(f, &m))                                                                     \
        return err_set(e, "malformed %s", ipc_name(f->id));
    switch (f->id) {
    case IPC_HELLO: {
        GET(hello)
        return on_hello(w, &m, e);
    }
    case IPC_CONF: {
        GET(conf)
        on_conf(w, f->gen, &m);
        return true;
    }
    case IPC_LISTEN: {
        GET(listen)
        return on_listen(w, f, &m, e);
    }
    case IPC_UNLISTEN: {
        GET(unlisten)
        listener_remove(&w->conn, m.id);
        return true;
    }
    case IPC_START: {
        GET(start)
        if (!w->conf)
            return err_set(e, "START before a configuration");
        on_start(w);
        return true;
    }
    case IPC_DRAIN: {
        GET(drain)
        worker_drain(w, m.quick, (int64_t)min_size(m.timeout_ms, INT32_MAX));
        return true;
    }
    case IPC_PING: {
        GET(ping)
        on_ping(w, &m);
        return true;
    }
    case IPC_LOG_FILE: {
        GET(log_file)
        if (!m.to_stderr && f->fd == -1)
            return err_set(e, "LOG_FILE without a descriptor");
        on_log_file(f, &m);
        return true;
    }
    case IPC_LOG_RING: {
        GET(log_ring)
        return f->fd == -1 ? err_set(e, "LOG_RING without a descriptor") : logring_use(f->fd, e);
    }
    case IPC_ENDPOINT: {
        GET(endpoint)
        struct ep_live *live = replica_update(&w->replica, &m);
        if (live)
            loan_on_endpoint(live);
        turn_wake(&w->turn);
        return true;
    }
    case IPC_TRIAL: {
        GET(trial)
        loan_on_trial(&w->loans, &m);
        return true;
    }
    case IPC_TRIAL_RECALL: {
        GET(trial_recall)
        loan_on_recall(&w->loans, &m);
        return true;
    }
    case IPC_LEND: {
        GET(lend)
        loan_on_lend(&w->loans, &m);
        return true;
    }
    case IPC_VERIFY: {
        GET(verify)
        verify_begin(&w->req, &m);
        return true;
    }
    case IPC_ANSWER: {
        GET(answer)
        admin_answer(&w->admin, &m);
        return true;
    }
    case IPC_RECENT_ASK: {
        GET(recent_ask)
        recent_ring_send(&w->recent_ring, &w->uplink, m.id, m.limit, m.prefix);
        return true;
    }
    case IPC_BINDINGS: {
        GET(bindings)
        return binding_replica_learn(&w->binding, m.records, e);
    }
        /* Messages of other directions; ipc_open() has refused them already. */
#define PASS_TO_WORKER(NAME)
#define PASS_TO_SUP(NAME) case IPC_##NAME:
#define PASS_FROM_CTL(NAME) case IPC_##NAME:
#define PASS_TO_CTL(NAME) case IPC_##NAME:
#define PASS_TO_NEW(NAME) case IPC_##NAME:
#define PASS_TO_OLD(NAME) case IPC_##NAME:
#define PASS(NAME, dir, low, id) PASS_##dir(NAME)
        IPC_TABLE(PASS)
        break;
    }
    return err_set(e, "unexpected %s", ipc_name(f->id));
#undef GET
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

void worker_ipc_stop(struct worker *w)
{
    ev_io_stop(w->loop, &w->uplink.rd);
    ev_io_stop(w->loop, &w->uplink.wr);
    chan_fini(&w->uplink.chan);
}
