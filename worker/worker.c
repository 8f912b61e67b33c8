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

/* Pause after descriptors or memory for a connection ran out. */
#define ACCEPT_PAUSE_S 0.1

/* After a request has ended, until what it has added is told: who looks at once should see it. */
#define TELL_S 0.1

void wkr_bury(struct wkr *w, struct dead *d, void (*free)(struct dead *))
{
    d->free = free;
    list_push_back(&w->dead, &d->node);
}

void wkr_wake(struct wkr *w)
{
    w->wake_waiting = true;
}

static void end_of_turn(struct ev_loop *loop, ev_prepare *p, int revents)
{
    (void)revents;
    struct wkr *w = CONTAINER_OF(p, struct wkr, turn);
    if (w->wake_waiting) {
        w->wake_waiting = false;
        req_wake_waiting(w);
    }
    grant_settle(w);
    while (!list_empty(&w->dead)) {
        struct dead *d = LIST_ENTRY(w->dead.next, struct dead, node);
        list_remove(&d->node);
        d->free(d);
    }
    binding_flush(w);
    if (w->gauge.news && !ev_is_active(&w->tell)) {
        ev_timer_set(&w->tell, TELL_S, 0.);
        ev_timer_start(loop, &w->tell);
    }
    log_flush();
}

static void tell_now(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop, (void)revents;
    gauge_tell(CONTAINER_OF(t, struct wkr, tell));
}

static void accept_again(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop, (void)revents;
    struct wkr *w = CONTAINER_OF(t, struct wkr, accept_again);
    w->accept_paused = false;
    if (w->started && !w->draining)
        listener_start_all(w);
}

bool wkr_shed(struct wkr *w)
{
    bool any = conn_close_idlest(w);
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
    if (!w->draining || !list_empty(&w->conns))
        return;
    log_debug("drained");
    gauge_tell(w);
    wkr_ipc_retired(w);
    ev_break(w->loop, EVBREAK_ALL);
}

void wkr_conn_ended(struct wkr *w)
{
    if (w->accept_paused && !w->draining && ev_is_active(&w->accept_again)) {
        ev_timer_stop(w->loop, &w->accept_again);
        accept_again(w->loop, &w->accept_again, 0);
    }
    leave_if_done(w);
}

static void drain_over(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop, (void)revents;
    struct wkr *w = CONTAINER_OF(t, struct wkr, drain_timer);
    log_warn("drain_timeout is over: closing %u connections", w->gauge.conns);
    conn_kill_all(w);
    leave_if_done(w);
}

void wkr_drain(struct wkr *w, bool quick, int64_t timeout_ms)
{
    if (w->draining && (w->quick || !quick))
        return;
    w->draining = true;
    w->quick = quick;
    grant_drain(w);
    listener_remove_all(w);
    ev_timer_stop(w->loop, &w->accept_again);
    ev_timer_stop(w->loop, &w->drain_timer);
    ev_timer_set(&w->drain_timer, (double)timeout_ms / 1000.0, 0.);
    ev_timer_start(w->loop, &w->drain_timer);
    conn_drain_all(w, quick);
    leave_if_done(w);
}

/* ---- the beginning */

static void room(void *arg)
{
    wkr_wake(arg);
}

/* Each client may need a connection to an endpoint: those who were let in are to be served, the others
 * wait before the door. */
static void limit_conns(struct wkr *w)
{
    enum { OWN = 32 }; /* listeners, channel, log, event loop, dialler */
    uint64_t half = (w->files - min_size(w->files / 2, OWN)) / 2;
    uint32_t most = w->conf->limits.max_connections;
    w->conns_max = half < most ? (uint32_t)half : most;
    if (w->conns_max < most && w->slot == 0)
        log_info("limits.max_connections: %u open files allow %u", (unsigned)w->files, w->conns_max);
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
    if (!listener_tls(w, c, e))
        return false;
    grant_before_conf(w, c);
    if (!replica_configure(&w->replica, c, w->loop, w->dialer, room, w, e))
        return false;
    log_setup((enum log_level)c->log.level, (enum log_format)c->log.format);
    if (!w->conf)
        confine(w);
    struct conf *old = w->conf;
    w->conf = conf_ref(c);
    conf_unref(old);
    limit_conns(w);
    binding_configure(w);
    grant_after_conf(w);
    w->up_conf = (struct up_conf){
        .first_byte_ms = c->upstream.first_byte_timeout,
        .idle_ms = c->upstream.idle_timeout,
        .max_head = (size_t)c->upstream.max_response_header_bytes,
    };
    for (size_t i = 0; c->upstream.warm_up && i < w->replica.n; i++)
        if (w->replica.eps[i]->ce->enabled)
            pool_warm_up(w->replica.eps[i]->live->pool);
    wkr_wake(w);
    return true;
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
    list_init(&w->listeners);
    list_init(&w->conns);
    list_init(&w->idle_conns);
    list_init(&w->waiting);
    list_init(&w->verifications);
    list_init(&w->asking);
    list_init(&w->dead);
    rnd_init(&w->rnd);
    w->loop = ev_default_loop(EVFLAG_NOSIGMASK);
    if (!w->loop) {
        log_error("no event loop");
        log_flush();
        return WORKER_EXIT_CANNOT_START;
    }
    w->dialer = dialer_new(w->loop);
    w->rbuf = mem_zalloc(1, WKR_RBUF);
    w->head = mem_zalloc(1, sizeof *w->head);
    w->up_env = (struct up_env){.loop = w->loop, .rbuf = w->rbuf, .rbuf_size = WKR_RBUF,
                                .head = mem_zalloc(1, sizeof *w->head)};
    w->diag = peer_open();
    ev_prepare_init(&w->turn, end_of_turn);
    ev_prepare_start(w->loop, &w->turn);
    ev_timer_init(&w->accept_again, accept_again, ACCEPT_PAUSE_S, 0.);
    ev_init(&w->drain_timer, drain_over);
    ev_init(&w->tell, tell_now);
    binding_start(w);
    wkr_ipc_start(w, fd);

    ev_run(w->loop, 0);

    int code = w->exit_code;
    conn_kill_all(w);
    verify_stop(w);
    end_of_turn(w->loop, &w->turn, 0);
    listener_remove_all(w);
    replica_free(&w->replica);
    dialer_free(w->dialer);
    binding_stop(w);
    wkr_ipc_stop(w);
    past_free(&w->past);
    conf_unref(w->conf);
    fd_close(&w->diag);
    ev_prepare_stop(w->loop, &w->turn);
    ev_timer_stop(w->loop, &w->accept_again);
    ev_timer_stop(w->loop, &w->drain_timer);
    ev_timer_stop(w->loop, &w->tell);
    ev_loop_destroy(w->loop);
    mem_free(w->rbuf);
    mem_free(w->head);
    mem_free(w->up_env.head);
    log_flush();
    mem_free(w);
    return code;
}
