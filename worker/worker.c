#include "worker/worker.h"

#include "common/base/log.h"
#include "worker/client/accept.h"
#include "worker/client/conns.h"
#include "worker/sandbox/sandbox.h"
#include "worker/request/state/req.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

void worker_trim(struct worker *w)
{
    enum { SLACK = 4 << 20 }; /* bytes of free memory that are worth the walk through the heap */
    (void)w;
    struct mallinfo2 m = mallinfo2();
    if (m.fordblks > SLACK && m.fordblks > m.arena / 2)
        malloc_trim(SLACK / 4);
}

/* ---- the end */

static void leave_if_done(struct worker *w)
{
    if (!w->draining || !list_empty(&w->conn.conns))
        return;
    log_debug("drained");
    feed_finish(&w->feed);
    counters_send(&w->counters);
    struct ipc_retired m = {.requests = w->counters.requests};
    uplink_send(&w->uplink, ipc_put_v_retired, &m);
    ev_break(w->loop, EVBREAK_ALL);
}

void worker_conn_idle(void *arg)
{
    accept_resume_soon(&((struct worker *)arg)->conn);
}

void worker_conn_ended(void *arg)
{
    struct worker *w = arg;
    accept_resume(&w->conn);
    leave_if_done(w);
}

void worker_drain_over(struct deadline *t)
{
    struct worker *w = CONTAINER_OF(t, struct worker, drain_end);
    log_warn("drain_timeout is over: closing %u connections", w->counters.conns);
    conns_kill(&w->conn);
    leave_if_done(w);
}

void worker_drain(struct worker *w, bool quick, int64_t timeout_ms)
{
    if (w->draining && (w->quick || !quick))
        return;
    if (quick && !w->draining)
        accept_rest(&w->conn);
    w->draining = w->req.draining = true;
    w->quick = quick;
    loan_drain(&w->loans);
    listener_remove_all(&w->conn);
    accept_stop(&w->conn);
    deadline_set(&w->drain_end, timeout_ms);
    conns_drain(&w->conn, quick);
    leave_if_done(w);
}

/* ---- the beginning */

static void room(void *arg)
{
    struct worker *w = arg;
    turn_wake(&w->turn);
}

/* Sets conns_max. An accepted connection may need a second descriptor, for its endpoint: half of
 * the open files are for clients, who beyond that wait in the listen queue. */
static void limit_conns(struct worker *w)
{
    /* OWN: descriptors of listeners, channel, log, event loop, dialer */
    enum { OWN = 32, DEFAULT_CONNECTIONS = 10000 };
    uint64_t half = (w->files - min_size(w->files / 2, OWN)) / 2;
    uint32_t most = w->conf->limits.max_connections;
    w->conn.conns_max = half < most ? (uint32_t)half : most;
    /* once, and only where the default does not suffice already: then nobody has asked for more */
    bool asked = most != DEFAULT_CONNECTIONS && w->conn.conns_max != w->told_max;
    if (w->conn.conns_max < most && w->slot == 0 && asked)
        log_warn("limits.max_connections: %u open files allow %u", (unsigned)w->files,
                 w->conn.conns_max);
    w->told_max = w->conn.conns_max;
}

/* Enters the sandbox. Called with the first CONF: what needs more rights is open by then, and no
 * byte of a client has been read. */
static void confine(const struct worker *w)
{
    struct err e;
    const char *want = getenv("QCC_SANDBOX");
    bool off = want && strcmp(want, "off") == 0;
    if (!off && sandbox_enter(&e))
        return;
    if (w->slot == 0)
        log_warn("workers run without a sandbox: %s", off ? "QCC_SANDBOX=off" : e.msg);
}

bool worker_configure(struct worker *w, struct conf *c, struct err *e)
{
    if (!listener_tls(&w->conn, c, e))
        return false;
    loan_before_conf(&w->loans, c);
    if (!replica_configure(&w->replica, c, w->loop, w->dialer, room, w, e))
        return false;
    rankings_free(&w->rankings); /* they are of the configuration that was */
    log_setup((enum log_level)c->log.level, (enum log_format)c->log.format);
    if (!w->conf)
        confine(w);
    struct conf *old = w->conf;
    w->conf = w->req.conf = conf_ref(c);
    conf_unref(old);
    interpreter_env_free(&w->interpreters);
    limit_conns(w);
    binding_replica_configure(&w->binding, w->conf);
    loan_after_conf(&w->loans);
    w->req.exchange_conf = (struct exchange_conf){
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
