#include "worker/worker.h"

#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "worker/client/accept.h"
#include "worker/client/conn.h"
#include "worker/net/peer.h"
#include "worker/sandbox/sandbox.h"
#include "worker/request/req.h"
#include "worker/request/verify.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MALLOC_MMAP = 4 << 20, /* larger allocations are the kernel's */
    MALLOC_KEEP = 16 << 20 /* free memory kept at the heap's end */
};

/* After a request has ended, until what it has added is told: who looks at once should see it. */
#define STATS_S 0.1

static void end_of_turn(struct ev_loop *loop, ev_prepare *p, int revents)
{
    (void)revents;
    struct wkr *w = CONTAINER_OF(p, struct wkr, end_of_turn);
    if (turn_woken(&w->turn))
        req_wake_waiting(&w->req);
    grant_settle(&w->loans);
    turn_free_dead(&w->turn);
    binding_flush(&w->binding);
    if (w->gauge.news && !ev_is_active(&w->stats_due)) {
        ev_timer_set(&w->stats_due, STATS_S, 0.);
        ev_timer_start(loop, &w->stats_due);
    }
    log_flush();
}

static void stats_now(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop, (void)revents;
    gauge_tell(&CONTAINER_OF(t, struct wkr, stats_due)->gauge);
}

static bool shed(void *arg)
{
    struct wkr *w = arg;
    bool any = conn_close_idlest(&w->conn);
    for (size_t i = 0; i < w->replica.n; i++)
        any |= pool_shed(w->replica.eps[i]->live->pool, 4) > 0;
    return any;
}

void wkr_tidy(struct wkr *w)
{
    enum { SLACK = 4 << 20 }; /* free memory worth the walk through the heap */
    (void)w;
    struct mallinfo2 m = mallinfo2();
    if (m.fordblks > SLACK && m.fordblks > m.arena / 2)
        malloc_trim(SLACK / 4);
}

/* ---- the end */

static void leave_if_done(struct wkr *w)
{
    if (!w->draining || !list_empty(&w->conn.conns))
        return;
    log_debug("drained");
    gauge_tell(&w->gauge);
    wkr_ipc_retired(w);
    ev_break(w->loop, EVBREAK_ALL);
}

static void conn_ended(void *arg)
{
    struct wkr *w = arg;
    accept_resume(&w->conn);
    leave_if_done(w);
}

static void drain_over(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop, (void)revents;
    struct wkr *w = CONTAINER_OF(t, struct wkr, drain_timer);
    log_warn("drain_timeout is over: closing %u connections", w->gauge.conns);
    conn_kill_all(&w->conn);
    leave_if_done(w);
}

void wkr_drain(struct wkr *w, bool quick, int64_t timeout_ms)
{
    if (w->draining && (w->quick || !quick))
        return;
    w->draining = w->req.draining = true;
    w->quick = quick;
    grant_drain(&w->loans);
    listener_remove_all(&w->conn);
    accept_stop(&w->conn);
    ev_timer_stop(w->loop, &w->drain_timer);
    ev_timer_set(&w->drain_timer, (double)timeout_ms / 1000.0, 0.);
    ev_timer_start(w->loop, &w->drain_timer);
    conn_drain_all(&w->conn, quick);
    leave_if_done(w);
}

/* ---- the beginning */

static void room(void *arg)
{
    struct wkr *w = arg;
    turn_wake(&w->turn);
}

/* Each client may need a connection to an endpoint: those who were let in are to be served, the others
 * wait before the door. */
static void limit_conns(struct wkr *w)
{
    enum { OWN = 32 }; /* listeners, channel, log, event loop, dialler */
    uint64_t half = (w->files - min_size(w->files / 2, OWN)) / 2;
    uint32_t most = w->conf->limits.max_connections;
    w->conn.conns_max = half < most ? (uint32_t)half : most;
    if (w->conn.conns_max < most && w->slot == 0)
        log_info("limits.max_connections: %u open files allow %u", (unsigned)w->files, w->conn.conns_max);
}

/* All is there that needs more, and nothing has come from outside yet. */
static void confine(const struct wkr *w)
{
    struct err e;
    const char *want = getenv("QCC_SANDBOX");
    bool off = want && strcmp(want, "off") == 0;
    if (!off && sandbox_enter(&e))
        return;
    if (w->slot == 0)
        log_warn("workers run without a sandbox: %s", off ? "QCC_SANDBOX=off" : e.msg);
}

bool wkr_configure(struct wkr *w, struct conf *c, struct err *e)
{
    if (!listener_tls(&w->conn, c, e))
        return false;
    grant_before_conf(&w->loans, c);
    if (!replica_configure(&w->replica, c, w->loop, w->dialer, room, w, e))
        return false;
    log_setup((enum log_level)c->log.level, (enum log_format)c->log.format);
    if (!w->conf)
        confine(w);
    struct conf *old = w->conf;
    w->conf = w->req.conf = conf_ref(c);
    conf_unref(old);
    limit_conns(w);
    binding_configure(&w->binding, w->conf);
    grant_after_conf(&w->loans);
    w->req.up_conf = (struct up_conf){
        .first_byte_ms = c->upstream.first_byte_timeout,
        .idle_ms = c->upstream.idle_timeout,
        .max_head = (size_t)c->upstream.max_response_header_bytes,
    };
    for (size_t i = 0; c->upstream.warm_up && i < w->replica.n; i++)
        if (w->replica.eps[i]->ce->enabled)
            pool_warm_up(w->replica.eps[i]->live->pool);
    turn_wake(&w->turn);
    return true;
}

/* Gives each room what it needs of the others. */
static void assemble(struct wkr *w)
{
    char *rbuf = mem_zalloc(1, TURN_READ);
    turn_init(&w->turn, w->loop);
    binding_start(&w->binding, w->loop, &w->uplink, &w->replica);
    w->loans = (struct loans){.replica = &w->replica, .uplink = &w->uplink, .turn = &w->turn};
    w->gauge.replica = &w->replica;
    w->gauge.uplink = &w->uplink;
    w->up_env = (struct up_env){.loop = w->loop, .rbuf = rbuf, .rbuf_size = TURN_READ,
                                .head = mem_zalloc(1, sizeof *w->up_env.head)};
    w->req = (struct req_env){.loop = w->loop, .turn = &w->turn, .uplink = &w->uplink,
                              .replica = &w->replica, .loans = &w->loans, .binding = &w->binding,
                              .gauge = &w->gauge, .past = &w->past, .up_env = &w->up_env,
                              .head = mem_zalloc(1, sizeof *w->req.head), .secret = w->secret};
    req_env_init(&w->req);
    w->conn = (struct conn_env){.loop = w->loop, .turn = &w->turn, .gauge = &w->gauge, .req = &w->req,
                                .rbuf = rbuf, .sock_diag = peer_open(), .arg = w, .shed = shed,
                                .ended = conn_ended};
    list_init(&w->conn.listeners);
    list_init(&w->conn.conns);
    list_init(&w->conn.idle_conns);
    accept_init(&w->conn);
    admin_init(&w->admin);
    w->proxy = req_service();
    w->operators = admin_service(&w->admin);
}

int wkr_run(int fd, unsigned slot)
{
    signal(SIGPIPE, SIG_IGN);
    /* the supervisor gets the terminal's Ctrl-C and tells us what to do */
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    uint64_t files = fd_raise_limit();
    /* Bodies come and go by the hundred kilobytes: what one leaves is the next one's, instead of
     * going to the kernel and back. wkr_tidy returns what really is too much. */
    mallopt(M_MMAP_THRESHOLD, MALLOC_MMAP);
    mallopt(M_TRIM_THRESHOLD, MALLOC_KEEP);

    struct wkr *w = mem_zalloc(1, sizeof *w);
    w->slot = slot;
    w->files = files;
    snprintf(w->name, sizeof w->name, "worker %u", slot);
    log_init(w->name);
    log_buffered(true);
    w->loop = ev_default_loop(EVFLAG_NOSIGMASK);
    if (!w->loop) {
        log_error("no event loop");
        log_flush();
        return WKR_CANNOT_START;
    }
    w->dialer = dialer_new(w->loop);
    assemble(w);
    ev_prepare_init(&w->end_of_turn, end_of_turn);
    ev_prepare_start(w->loop, &w->end_of_turn);
    ev_init(&w->drain_timer, drain_over);
    ev_init(&w->stats_due, stats_now);
    wkr_ipc_start(w, fd);

    ev_run(w->loop, 0);

    int code = w->exit_code;
    conn_kill_all(&w->conn);
    verify_stop(&w->req);
    end_of_turn(w->loop, &w->end_of_turn, 0);
    listener_remove_all(&w->conn);
    replica_free(&w->replica);
    dialer_free(w->dialer);
    binding_stop(&w->binding);
    wkr_ipc_stop(w);
    past_free(&w->past);
    conf_unref(w->conf);
    fd_close(&w->conn.sock_diag);
    ev_prepare_stop(w->loop, &w->end_of_turn);
    accept_stop(&w->conn);
    ev_timer_stop(w->loop, &w->drain_timer);
    ev_timer_stop(w->loop, &w->stats_due);
    ev_loop_destroy(w->loop);
    mem_free(w->up_env.rbuf);
    mem_free(w->up_env.head);
    mem_free(w->req.head);
    log_flush();
    mem_free(w);
    return code;
}
