#include "worker/run.h"

#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "worker/client/accept.h"
#include "worker/client/conns.h"
#include "worker/net/peer.h"
#include "worker/request/arrival.h"
#include "worker/request/conductor.h"
#include "worker/verify/verify.h"
#include "worker/worker.h"
#include "worker/worker_ipc.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum {
    MALLOC_MMAP = 4 << 20, /* bytes; larger allocations are mapped, and unmapped when freed */
    MALLOC_KEEP = 16 << 20 /* bytes of free memory that stay at the heap's end */
};

/* Seconds between a change of the counters and the STATS that reports it: short, so that an
 * operator who looks right after a request sees it counted. */
#define STATS_S 0.1

static void end_of_turn(struct ev_loop *loop, ev_prepare *p, int revents)
{
    (void)revents;
    struct worker *w = CONTAINER_OF(p, struct worker, end_of_turn);
    conductor_pick_due(&w->req);
    if (turn_woken(&w->turn)) {
        conductor_wake_waiting(&w->req);
        verify_wake_waiting(&w->req);
    }
    loan_settle(&w->loans);
    turn_free_dead(&w->turn);
    binding_replica_flush(&w->binding);
    if (w->counters.stats_changed && !ev_is_active(&w->stats_due)) {
        ev_timer_set(&w->stats_due, STATS_S, 0.);
        ev_timer_start(loop, &w->stats_due);
    }
    log_flush();
}

static void stats_now(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop, (void)revents;
    counters_send(&CONTAINER_OF(t, struct worker, stats_due)->counters);
}

static bool shed(void *arg)
{
    struct worker *w = arg;
    bool any = conns_close_idlest(&w->conn);
    for (size_t i = 0; i < w->replica.n; i++)
        any |= pool_shed(w->replica.eps[i]->live->pool, 4) > 0;
    return any;
}

/* Fills each room's environment with the objects of other rooms that it needs. */
static void assemble(struct worker *w)
{
    char *rbuf = mem_zalloc(1, TURN_READ);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN); /* not to be had in the sandbox */
    w->cpus = cpus > 0 ? (uint32_t)cpus : 1;
    turn_init(&w->turn, w->loop);
    deadline_init(&w->drain_end, w->loop, worker_drain_over);
    binding_replica_start(&w->binding, w->loop, &w->uplink, &w->replica);
    w->loans = (struct loans){.replica = &w->replica, .uplink = &w->uplink, .turn = &w->turn};
    w->rankings = (struct rankings){.replica = &w->replica, .loans = &w->loans};
    w->demand.uplink = &w->uplink;
    w->counters.replica = &w->replica;
    w->counters.uplink = &w->uplink;
    interpreter_env_init(&w->interpreters, &w->uplink, &w->counters);
    feed_init(&w->feed, w->loop, w->slot, &w->counters);
    w->exchange_env = (struct exchange_env){.loop = w->loop,
                                            .rbuf = rbuf,
                                            .rbuf_size = TURN_READ,
                                            .head = mem_zalloc(1, sizeof *w->exchange_env.head)};
    w->req = (struct req_env){.loop = w->loop,
                              .turn = &w->turn,
                              .uplink = &w->uplink,
                              .replica = &w->replica,
                              .loans = &w->loans,
                              .rankings = &w->rankings,
                              .demand = &w->demand,
                              .binding = &w->binding,
                              .counters = &w->counters,
                              .recent_ring = &w->recent_ring,
                              .feed = &w->feed,
                              .interpreters = &w->interpreters,
                              .exchange_env = &w->exchange_env,
                              .head = mem_zalloc(1, sizeof *w->req.head),
                              .secret = w->secret};
    req_env_init(&w->req);
    w->conn = (struct conn_env){.loop = w->loop,
                                .turn = &w->turn,
                                .counters = &w->counters,
                                .req = &w->req,
                                .rbuf = rbuf,
                                .tickets = w->tickets,
                                .sock_diag = peer_open(),
                                .arg = w,
                                .shed = shed,
                                .idle = worker_conn_idle,
                                .ended = worker_conn_ended};
    list_init(&w->conn.listeners);
    list_init(&w->conn.conns);
    list_init(&w->conn.new_conns);
    list_init(&w->conn.idle_conns);
    accept_init(&w->conn);
    admin_init(&w->admin);
    w->proxy = arrival_service();
    w->operators = admin_service(&w->admin);
}

/* A signal from the terminal reaches the whole process group; the supervisor handles it and sends
 * DRAIN. */
static void ignore_signals(void)
{
    static const int all[] = {SIGPIPE, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGTERM};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        signal(all[i], SIG_IGN);
}

static void forget_endpoints(struct worker *w)
{
    rankings_free(&w->rankings);
    replica_free(&w->replica);
    dialer_free(w->dialer);
}

int worker_run(int fd, unsigned slot)
{
    ignore_signals();
    uint64_t files = fd_raise_limit();
    /* Request bodies of some 100 KB are allocated and freed all the time: their memory is reused
     * without a system call. worker_trim() returns what stays unused. */
    mallopt(M_MMAP_THRESHOLD, MALLOC_MMAP);
    mallopt(M_TRIM_THRESHOLD, MALLOC_KEEP);

    struct worker *w = mem_zalloc(1, sizeof *w);
    w->slot = slot;
    w->files = files;
    snprintf(w->name, sizeof w->name, "worker %u", slot);
    log_init(w->name);
    log_buffered(true);
    w->loop = ev_default_loop(EVFLAG_NOSIGMASK);
    if (!w->loop) {
        log_error("no event loop");
        log_flush();
        return WORKER_EXIT_CANNOT_START;
    }
    w->dialer = dialer_new(w->loop);
    assemble(w);
    ev_prepare_init(&w->end_of_turn, end_of_turn);
    ev_prepare_start(w->loop, &w->end_of_turn);
    ev_init(&w->stats_due, stats_now);
    worker_ipc_start(w, fd);

    ev_run(w->loop, 0);

    int code = w->exit_code;
    conns_kill(&w->conn);
    verify_stop(&w->req);
    end_of_turn(w->loop, &w->end_of_turn, 0);
    listener_remove_all(&w->conn);
    forget_endpoints(w);
    binding_replica_stop(&w->binding);
    worker_ipc_stop(w);
    recent_ring_free(&w->recent_ring);
    feed_free(&w->feed);
    interpreter_env_free(&w->interpreters);
    conf_unref(w->conf);
    fd_close(&w->conn.sock_diag);
    ev_prepare_stop(w->loop, &w->end_of_turn);
    accept_stop(&w->conn);
    deadline_fini(&w->drain_end);
    ev_timer_stop(w->loop, &w->stats_due);
    turn_fini(&w->turn);
    ev_loop_destroy(w->loop);
    mem_free(w->exchange_env.rbuf);
    mem_free(w->exchange_env.head);
    mem_free(w->req.head);
    log_flush();
    mem_free(w);
    return code;
}
