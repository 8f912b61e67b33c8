#include "worker/upstream/pool.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/slab.h"
#include "worker/loop/turn.h"
#include "worker/net/tls.h"

#include <string.h>

/* Concurrent dials to one endpoint: bounds the memory for libcurl's handles and the SYNs in the
 * endpoint's backlog when many requests begin at once. */
enum { DIALS = 64 };

/* A dial that times out so much too late has not had its time: this process was busy. */
enum { LATE_MS = 250 };

/* For how many milliseconds idle connections beyond max_idle are kept: with many busy clients more
 * than that may be idle between two requests, and would be dialled anew a moment later. */
enum { SURPLUS_MS = 1000 };

/* Seconds in which no connection of an endpoint is reused that sent bytes nobody asked for. */
#define DISTRUST_S 600.0

struct pool {
    struct ev_loop *loop;
    struct dialer *dialer;
    char *host, *proxy;
    uint16_t port;
    SSL_CTX *ctx;
    SSL_SESSION *session; /* newest session of the endpoint, for resumption; owned */
    uint32_t max_connections, max_idle;
    int64_t connect_timeout_ms, idle_expiry_ms, max_age_ms;
    double distrusted_until; /* turn.time; 0: its connections are reused (pool_unasked) */
    struct list idle;        /* newest first */
    struct list waiting;     /* leases that wait because DIALS dials are going on */
    uint32_t nidle, total, dialling;
    uint64_t dialled, reused;
    unsigned refs;
    /* raised when the way to the endpoint changes: older connections are not kept */
    unsigned epoch;
    bool retired;
    void (*room)(void *arg);
    void *room_arg;
};

static struct slab pconns = SLAB_INIT(pconns, sizeof(struct pconn));

static void dial_next(struct pool *p);

static void made_room(struct pool *p)
{
    if (p->room)
        p->room(p->room_arg);
}

static void readable(struct ready *ready)
{
    struct pconn *c = CONTAINER_OF(ready, struct pconn, rd.ready);
    c->ops->readable(c);
}

static void writable(struct ev_loop *loop, ev_io *w, int revents)
{
    (void)loop, (void)revents;
    struct pconn *c = CONTAINER_OF(w, struct pconn, wr);
    c->ops->writable(c);
}

static void expired(struct deadline *t)
{
    struct pconn *c = CONTAINER_OF(t, struct pconn, deadline);
    c->ops->expired(c);
}

static struct pool *pool_ref(struct pool *p)
{
    p->refs++;
    return p;
}

/* Whether its connections are not reused for now. */
static bool distrusted(const struct pool *p)
{
    return p->distrusted_until > turn_of(p->loop)->time;
}

/* Milliseconds that are left of a connection's max_age. */
static int64_t age_left(const struct pconn *c)
{
    const struct pool *p = c->pool;
    return p->max_age_ms - (int64_t)((turn_of(p->loop)->time - c->born) * 1000);
}

static void destroy(struct pconn *c, bool hard)
{
    struct pool *p = c->pool;
    reader_stop(p->loop, &c->rd);
    ev_io_stop(p->loop, &c->wr);
    deadline_fini(&c->deadline);
    io_close(&c->io, hard);
    p->total--;
    slab_free(&pconns, c);
    made_room(p);
    pool_unref(p);
}

/* ---- idle: a connection on which the endpoint sends anything, or its end, is closed */

static void drop_idle(struct pconn *c)
{
    list_remove(&c->node);
    c->pool->nidle--;
    destroy(c, false);
}

void pool_unasked(struct pool *p)
{
    double now = turn_of(p->loop)->time;
    if (p->distrusted_until <= now)
        log_warn("%s sent bytes that nobody asked for: none of its connections is reused for %d "
                 "minutes",
                 p->host, (int)(DISTRUST_S / 60));
    p->distrusted_until = now + DISTRUST_S;
}

/* Whether bytes, or an end of the stream, lie in the socket of an idle connection: it cannot be
 * used. TLS session tickets come after the handshake and are not data. */
static bool spoilt(struct pconn *c)
{
    char byte;
    ptrdiff_t r = io_read(&c->io, &byte, 1);
    if (r > 0)
        pool_unasked(c->pool);
    return r != IO_AGAIN || c->io.want_write;
}

static void idle_readable(struct pconn *c)
{
    struct pool *p = pool_ref(c->pool);
    if (spoilt(c))
        drop_idle(c);
    if (distrusted(p))
        pool_shed(p, p->nidle);
    pool_unref(p);
}

static const struct pconn_ops idle_ops = {idle_readable, drop_idle, drop_idle};

static struct pconn *pconn_new(struct pool *p, int fd, unsigned epoch)
{
    struct pconn *c = slab_zalloc(&pconns);
    c->io.fd = fd;
    c->pool = pool_ref(p);
    c->epoch = epoch;
    c->born = turn_of(p->loop)->time;
    list_init(&c->node);
    reader_init(&c->rd, TURN_REPLIES, fd, readable);
    ev_io_init(&c->wr, writable, fd, EV_WRITE);
    deadline_init(&c->deadline, p->loop, expired);
    c->ops = &idle_ops;
    return c;
}

/* ---- the handshake of a new TLS connection */

static void shake(struct pconn *c);

/* Ends a lease without a connection. more: what is known beside `why`; NULL: nothing. */
static void lease_failed(struct lease *l, enum net_fault why, const char *more)
{
    struct detail d;
    detail_set(&d, why, l->pool->host, more);
    l->failed(l, why, &d);
}

static void shake_failed(struct pconn *c, enum net_fault why, const char *more)
{
    struct lease *l = c->lease;
    struct pool *p = pool_ref(c->pool);
    l->shaking = NULL;
    destroy(c, false);
    lease_failed(l, why, more);
    pool_unref(p);
}

static void shake_expired(struct pconn *c)
{
    shake_failed(c, NET_CONNECT_TIMEOUT, "the TLS handshake was not answered");
}

static const struct pconn_ops shake_ops = {shake, shake, shake_expired};

static void hand_out(struct lease *l, struct pconn *c)
{
    l->shaking = NULL;
    c->lease = NULL;
    deadline_clear(&c->deadline);
    c->uses = 1;
    l->ready(l, c);
}

static void shake(struct pconn *c)
{
    struct err why;
    switch (tls_handshake(c->io.ssl, &why)) {
    case TLS_DONE:
        ev_io_stop(c->pool->loop, &c->wr);
        hand_out(c->lease, c);
        return;
    case TLS_WANT_READ:
        ev_io_stop(c->pool->loop, &c->wr);
        return;
    case TLS_WANT_WRITE:
        ev_io_start(c->pool->loop, &c->wr);
        return;
    case TLS_FAILED:
        shake_failed(c, NET_TLS, why.msg);
        return;
    case TLS_BAD_CERT:
        shake_failed(c, NET_CERT, why.msg);
        return;
    }
}

static int pool_index(void)
{
    static int index = -1;
    if (index == -1)
        index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    return index;
}

/* SSL_CTX_sess_set_new_cb(3): keeps the session. TLS 1.3 tickets come with the first reply. */
static int new_session(SSL *ssl, SSL_SESSION *s)
{
    struct pool *p = SSL_get_ex_data(ssl, pool_index());
    if (!p)
        return 0;
    SSL_SESSION_free(p->session);
    p->session = s;
    return 1; /* the reference is taken over */
}

/* ---- dialling */

/* Milliseconds that are left of connect_timeout. */
static int64_t time_left(const struct pool *p, const struct lease *l)
{
    return p->connect_timeout_ms - (int64_t)((turn_of(p->loop)->time - l->since) * 1000);
}

static void dialled(void *arg, int fd, enum net_fault why, const struct detail *d);

static bool dial_now(struct pool *p, struct lease *l)
{
    l->epoch = p->epoch;
    l->stalls = turn_of(p->loop)->stalls;
    l->dial = dial_start(p->dialer, p->host, p->port, p->proxy, time_left(p, l), dialled, l);
    if (!l->dial)
        return false;
    p->dialling++;
    return true;
}

/* Begins a dial anew, with the whole connect_timeout, that timed out while the process stood still
 * or was much too late: libcurl looks at the time before it looks at the socket. */
static bool dial_again(struct pool *p, struct lease *l, enum net_fault why)
{
    const struct turn *t = turn_of(p->loop);
    if (why != NET_CONNECT_TIMEOUT || (l->stalls == t->stalls && time_left(p, l) > -LATE_MS))
        return false;
    l->since = t->time;
    return dial_now(p, l);
}

static void dialled(void *arg, int fd, enum net_fault why, const struct detail *d)
{
    struct lease *l = arg;
    struct pool *p = l->pool;
    l->dial = NULL;
    p->dialling--;
    if (fd == -1 && dial_again(p, l, why))
        return;
    if (fd == -1) {
        p->total--;
        pool_ref(p);
        struct detail plain;
        if (!d)
            detail_set(&plain, why, NULL, NULL);
        l->failed(l, why, d ? d : &plain);
        dial_next(p);
        made_room(p);
        pool_unref(p);
        return;
    }
    p->dialled++;
    struct pconn *c = pconn_new(p, fd, l->epoch);
    reader_start(p->loop, &c->rd);
    pool_ref(p);
    if (p->ctx) {
        c->io.ssl = tls_connect(p->ctx, fd, p->host, p->session);
        if (!c->io.ssl) {
            destroy(c, false);
            lease_failed(l, NET_LOCAL, "no memory for TLS");
        } else {
            SSL_set_ex_data(c->io.ssl, pool_index(), p);
            c->ops = &shake_ops;
            c->lease = l;
            l->shaking = c;
            int64_t left = time_left(p, l);
            deadline_set(&c->deadline, left > 0 ? left : 0);
            shake(c);
        }
    } else {
        hand_out(l, c);
    }
    dial_next(p);
    pool_unref(p);
}

static void dial_next(struct pool *p)
{
    while (p->dialling < DIALS && !list_empty(&p->waiting)) {
        struct lease *l = LIST_ENTRY(p->waiting.next, struct lease, node);
        list_remove(&l->node);
        /* a running dial ends within connect_timeout, so none waits longer */
        bool late = time_left(p, l) <= 0;
        if (late || !dial_now(p, l)) {
            p->total--;
            lease_failed(l, late ? NET_CONNECT_TIMEOUT : NET_LOCAL, NULL);
        }
    }
}

/* ---- interface */

struct pool *pool_new(struct ev_loop *loop, struct dialer *d)
{
    struct pool *p = mem_zalloc(1, sizeof *p);
    p->loop = loop;
    p->dialer = d;
    p->refs = 1;
    list_init(&p->idle);
    list_init(&p->waiting);
    return p;
}

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void replace(char **have, const char *want)
{
    mem_free(*have);
    *have = mem_strdup(want);
}

void pool_configure(struct pool *p, const struct pool_conf *c)
{
    if (!same(p->host, c->host) || !same(p->proxy, c->proxy) || p->port != c->port ||
        p->ctx != c->ctx) {
        pool_shed(p, p->nidle);
        replace(&p->host, c->host);
        replace(&p->proxy, c->proxy);
        p->port = c->port;
        if (c->ctx) {
            SSL_CTX_up_ref(c->ctx);
            SSL_CTX_sess_set_new_cb(c->ctx, new_session);
        }
        SSL_CTX_free(p->ctx);
        p->ctx = c->ctx;
        SSL_SESSION_free(p->session);
        p->session = NULL;
        p->epoch++;
    }
    p->max_connections = c->max_connections;
    p->max_idle = c->max_idle;
    p->connect_timeout_ms = c->connect_timeout_ms;
    p->idle_expiry_ms = c->idle_expiry_ms;
    p->max_age_ms = c->max_age_ms;
    p->retired = false;
}

void pool_unref(struct pool *p)
{
    if (!p || --p->refs)
        return;
    SSL_CTX_free(p->ctx);
    SSL_SESSION_free(p->session);
    mem_free(p->host);
    mem_free(p->proxy);
    mem_free(p);
}

unsigned pool_shed(struct pool *p, unsigned n)
{
    unsigned shed = 0;
    pool_ref(p);
    for (; shed < n && !list_empty(&p->idle); shed++)
        drop_idle(LIST_ENTRY(p->idle.prev, struct pconn, node));
    pool_unref(p);
    return shed;
}

void pool_retire(struct pool *p)
{
    p->retired = true;
    p->room = NULL;
    pool_shed(p, p->nidle);
}

bool pool_has_room(const struct pool *p)
{
    return p->nidle > 0 || p->total < p->max_connections;
}

enum pool_answer pool_get(struct pool *p, struct lease *l, bool fresh, struct pconn **c)
{
    while (!fresh && !list_empty(&p->idle)) {
        struct pconn *have = LIST_ENTRY(p->idle.next, struct pconn, node);
        /* What came since this turn began the loop has not told yet: the socket is asked. */
        if (distrusted(p) || age_left(have) <= 0 || spoilt(have)) {
            drop_idle(have);
            continue;
        }
        list_remove(&have->node);
        p->nidle--;
        p->reused++;
        have->uses++;
        *c = have;
        return POOL_READY;
    }
    if (p->total >= p->max_connections) {
        if (!fresh || !pool_shed(p, 1))
            return POOL_FULL;
    }
    p->total++;
    l->pool = p; /* no reference: the owner of l holds the endpoint, which holds the pool */
    l->since = turn_of(p->loop)->time;
    list_init(&l->node);
    l->dial = NULL;
    l->shaking = NULL;
    if (p->dialling >= DIALS) {
        list_push_back(&p->waiting, &l->node);
    } else if (!dial_now(p, l)) {
        p->total--;
        return POOL_FULL;
    }
    return POOL_LATER;
}

void pool_cancel(struct lease *l)
{
    struct pool *p = l->pool;
    if (l->shaking) {
        struct pconn *c = l->shaking;
        l->shaking = NULL;
        destroy(c, false);
        return;
    }
    if (l->dial) {
        dial_cancel(l->dial);
        l->dial = NULL;
        p->dialling--;
    } else {
        list_remove(&l->node);
    }
    p->total--;
    dial_next(p);
    made_room(p);
}

void pool_release(struct pconn *c, bool reusable)
{
    struct pool *p = c->pool;
    ev_io_stop(p->loop, &c->wr);
    if (reusable && io_pending(&c->io) && spoilt(c))
        reusable = false;
    int64_t age = age_left(c);
    if (!reusable || p->retired || c->epoch != p->epoch || p->max_idle == 0 || distrusted(p) ||
        age <= 0) {
        destroy(c, false);
        return;
    }
    c->ops = &idle_ops;
    c->user = NULL;
    reader_start(p->loop, &c->rd);
    bool surplus = p->nidle >= p->max_idle && p->idle_expiry_ms > SURPLUS_MS;
    int64_t keep = surplus ? SURPLUS_MS : p->idle_expiry_ms;
    deadline_set(&c->deadline, keep < age ? keep : age);
    list_push_front(&p->idle, &c->node);
    p->nidle++;
    made_room(p);
}

struct warm {
    struct lease lease;
    struct pool *pool;
};

static void warm_end(struct warm *m)
{
    pool_unref(m->pool);
    mem_free(m);
}

static void warm_failed(struct lease *l, enum net_fault why, const struct detail *d)
{
    struct warm *m = CONTAINER_OF(l, struct warm, lease);
    (void)why;
    log_warn("warm-up of %s: %s", m->pool->host, d->text);
    warm_end(m);
}

static void warm_ready(struct lease *l, struct pconn *c)
{
    pool_release(c, true);
    warm_end(CONTAINER_OF(l, struct warm, lease));
}

void pool_warm_up(struct pool *p)
{
    struct pconn *c;
    if (p->total > 0)
        return;
    struct warm *m = mem_zalloc(1, sizeof *m);
    *m = (struct warm){.lease = {.ready = warm_ready, .failed = warm_failed}, .pool = pool_ref(p)};
    if (pool_get(p, &m->lease, true, &c) != POOL_LATER) {
        pool_unref(p);
        mem_free(m);
    }
}

void pool_stats(const struct pool *p, struct pool_stats *out)
{
    *out = (struct pool_stats){p->nidle, p->total, p->dialled, p->reused};
}

void pool_on_room(struct pool *p, void (*room)(void *arg), void *arg)
{
    p->room = room;
    p->room_arg = arg;
}
