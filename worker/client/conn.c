#include "worker/client/conn.h"

#include "common/base/log.h"
#include "common/base/slab.h"
#include "worker/client/outgoing.h"
#include "worker/http/http1_front.h"
#include "worker/net/peer.h"
#include "worker/request/arrival.h"
#include "worker/request/conductor.h"
#include "worker/request/state/req.h"
#include "worker/request/env/req_env.h"
#include "worker/shared/counters.h"
#include "worker/net/tls.h"

#include <sys/socket.h>

enum {
    LINGER_MS = 2000,        /* how long a refused client may go on sending */
    LINGER_BYTES = 16 << 20, /* and how much */
    PIPELINE = 65536,        /* read ahead of the present request; then the socket waits */
    PEER_LOOK_MS = 500,      /* how often a half-closed client is looked after */
    HARD_MS = 200            /* between the last byte and a reset, so that the bytes arrive */
};

static struct slab conns = SLAB_INIT(conns, sizeof(struct conn));

static void conn_run(struct conn *c, char *p, size_t n);
static void after_flush(struct conn *c);

static void conn_set(struct conn *c, enum conn_state s)
{
    if (!conn_state_may_follow(c->state, s))
        die("conn: state %d after %d", s, c->state);
    if (c->state == CONN_IDLE)
        list_remove(&c->idle_node);
    c->state = s;
    if (s == CONN_IDLE) {
        list_push_back(c->served ? &c->env->idle_conns : &c->env->new_conns, &c->idle_node);
        c->idle_since = ev_now(c->env->loop);
    }
}

static void conn_free(struct dead *d)
{
    struct conn *c = CONTAINER_OF(d, struct conn, dead);
    buf_free(&c->in);
    buf_free(&c->out);
    listener_unref(c->l);
    slab_free(&conns, c);
}

void conn_close_as(struct conn *c, bool hard)
{
    if (c->state == CONN_CLOSED)
        return;
    struct conn_env *env = c->env;
    conn_set(c, CONN_CLOSED);
    struct req *r = c->client.req;
    c->client.req = NULL;
    reader_stop(env->loop, &c->rd);
    ev_io_stop(env->loop, &c->wr);
    list_remove(&c->send.node);
    deadline_fini(&c->deadline);
    io_close(&c->io, hard);
    list_remove(&c->node);
    env->counters->conns--;
    turn_bury(env->turn, &c->dead, conn_free);
    if (r)
        conductor_client_gone(r);
    env->ended(env->arg);
}

static void conn_close(struct conn *c)
{
    conn_close_as(c, false);
}

/* ---- closing */

static void linger(struct conn *c)
{
    if (c->eof) {
        conn_close(c);
        return;
    }
    conn_set(c, CONN_LINGER);
    buf_free(&c->in);
    if (c->io.ssl)
        SSL_shutdown(c->io.ssl);
    shutdown(c->io.fd, SHUT_WR);
    c->linger_left = LINGER_BYTES;
    reader_start(c->env->loop, &c->rd);
    deadline_set(&c->deadline, LINGER_MS);
}

static void discard(struct conn *c)
{
    ptrdiff_t r = io_read(&c->io, c->env->rbuf, TURN_READ);
    if (r == IO_AGAIN)
        return;
    if (r <= 0 || (unsigned)r >= c->linger_left) {
        conn_close(c);
        return;
    }
    c->linger_left -= (unsigned)r;
}

/* ---- writing */

static struct conn *conn_of(struct client *c)
{
    return CONTAINER_OF(c, struct conn, client);
}

/* The socket takes no more: the rest waits until it does, not for long. */
static void await_room(struct conn *c)
{
    ev_io_start(c->env->loop, &c->wr);
    deadline_set(&c->deadline, c->env->req->conf->limits.write_timeout);
}

static enum client_room conn_write(struct client *client, const struct iovec *iov, int n, bool end)
{
    struct conn *c = conn_of(client);
    if (c->state == CONN_CLOSED)
        return CLIENT_GONE;
    bool was_empty = c->out.len == 0,
         later = end && was_empty && outgoing_waits(c->env->turn, iov, n);
    ptrdiff_t r = was_empty && !later ? io_writev(&c->io, iov, n) : 0;
    if (r == IO_RESET)
        return CLIENT_GONE;
    /* false: over the ceiling, as the source did not pause, or out of memory */
    if (!outgoing_add(&c->out, iov, n, r > 0 ? (size_t)r : 0))
        return CLIENT_GONE;
    if (later)
        turn_queue(c->env->turn, TURN_SENDS, &c->send);
    else if (c->out.len && was_empty)
        await_room(c);
    c->throttled = c->out.len > CONN_BACKLOG;
    return c->throttled ? CLIENT_FULL : CLIENT_ROOM;
}

/* All of `out` is written. */
static void written(struct conn *c)
{
    ev_io_stop(c->env->loop, &c->wr);
    buf_free(&c->out);
    deadline_clear(&c->deadline);
    if (c->state == CONN_FLUSH)
        after_flush(c);
    else if (c->state == CONN_BODY) /* a delayed 100 Continue is written: the body may come now */
        deadline_set(&c->deadline, c->env->req->conf->limits.body_timeout);
    else if (c->eof || c->read_stopped)
        deadline_set(&c->deadline, PEER_LOOK_MS);
}

/* Writes what the socket takes of `out`, which is not empty. */
static void write_out(struct conn *c)
{
    struct iovec v = {buf_data(&c->out), c->out.len};
    ptrdiff_t r = io_writev(&c->io, &v, 1);
    if (r == IO_AGAIN && ev_is_active(&c->wr))
        return;
    if (r < 0 && r != IO_AGAIN) {
        conn_close(c);
        return;
    }
    buf_drop(&c->out, r > 0 ? (size_t)r : 0);
    bool flush = c->state == CONN_FLUSH;
    (c->out.len ? await_room : written)(c);
    if (flush || !c->throttled || c->out.len >= CONN_BACKLOG / 4)
        return;
    c->throttled = false;
    if (c->client.req)
        conductor_client_room(c->client.req);
}

static void on_turn_end(struct ready *r)
{
    struct conn *c = CONTAINER_OF(r, struct conn, send);
    if (c->out.len)
        write_out(c);
}

static void on_writable(struct ev_loop *loop, ev_io *w, int revents)
{
    (void)revents;
    struct conn *c = CONTAINER_OF(w, struct conn, wr);
    if (c->state == CONN_SHAKE || c->out.len == 0) {
        ev_io_stop(loop, &c->wr);
        reader_again(loop, &c->rd); /* a TLS read waited for the socket to take bytes */
        return;
    }
    write_out(c);
}

/* ---- after a reply */

static void to_idle(struct conn *c)
{
    c->read_stopped = false;
    conn_set(c, CONN_IDLE);
    reader_start(c->env->loop, &c->rd);
    c->env->idle(c->env->arg);
    deadline_set(&c->deadline, c->env->req->conf->limits.idle_timeout);
    if (c->in.len || io_pending(&c->io))
        reader_again(c->env->loop, &c->rd);
}

static void after_flush(struct conn *c)
{
    if (c->cut_hard) {
        deadline_set(&c->deadline, HARD_MS);
        return;
    }
    if (!c->client.last)
        to_idle(c);
    else if (c->unread || c->in.len)
        linger(c);
    else
        conn_close(c);
}

static void conn_reply_done(struct client *client, bool keep)
{
    struct conn *c = conn_of(client);
    c->unread = c->state != CONN_BUSY;
    c->client.req = NULL;
    c->served = true;
    c->throttled = false;
    /* Requests that came before the client's FIN are still answered. */
    if (!keep || (c->eof && c->in.len == 0) || c->l->gone || c->env->req->draining)
        c->client.last = true;
    conn_set(c, CONN_FLUSH);
    if (c->out.len == 0)
        after_flush(c);
}

static void conn_lost(struct client *client)
{
    struct conn *c = conn_of(client);
    c->client.req = NULL;
    conn_close(c);
}

static void conn_cut(struct client *client, bool hard)
{
    struct conn *c = conn_of(client);
    c->client.req = NULL;
    c->client.last = true;
    c->cut_hard = hard;
    conn_set(c, CONN_FLUSH);
    if (c->out.len == 0)
        after_flush(c);
}

static bool conn_quiet(const struct client *client)
{
    return CONTAINER_OF(client, const struct conn, client)->out.len == 0;
}

static bool conn_ends(struct client *client)
{
    struct conn *c = conn_of(client);
    /* Clients wait: this one is told to leave after its reply rather than cut off while idle. */
    c->client.last |= !c->l->service->operators && listener_crowded(c->env);
    return c->client.last;
}

static void conn_address(const struct client *client, char *text, size_t size)
{
    peer_address(CONTAINER_OF(client, struct conn, client)->io.fd, text, size);
}

static const struct client_ops ops = {
    .write = conn_write,
    .done = conn_reply_done,
    .cut = conn_cut,
    .lost = conn_lost,
    .ends = conn_ends,
    .quiet = conn_quiet,
    .address = conn_address,
};

/* ---- reading */

static void look_after_peer(struct conn *c)
{
    switch (peer_look(c->io.fd, c->env->sock_diag)) {
    case PEER_GONE:
        conn_close(c);
        return;
    case PEER_UNKNOWN:
        c->unsure = true;
        if (c->client.req)
            conductor_client_unsure(c->client.req);
        break;
    case PEER_HERE:
        break;
    }
    if (c->state == CONN_BUSY && c->out.len == 0)
        deadline_set(&c->deadline, PEER_LOOK_MS);
}

/* Handles a FIN: the client is gone, or waits for its reply. */
static void half_closed(struct conn *c)
{
    c->eof = true;
    reader_stop(c->env->loop, &c->rd);
    look_after_peer(c);
}

static void read_ahead(struct conn *c)
{
    size_t room = min_size(TURN_READ, PIPELINE - min_size(PIPELINE, c->in.len));
    if (room == 0) {
        reader_stop(c->env->loop, &c->rd);
        c->read_stopped = true;
        if (c->state == CONN_BUSY && c->out.len == 0)
            deadline_set(&c->deadline, PEER_LOOK_MS);
        return;
    }
    ptrdiff_t r = io_read(&c->io, c->env->rbuf, room);
    if (r == IO_AGAIN)
        return;
    if (r == IO_EOF || r == IO_CUT) {
        half_closed(c);
        return;
    }
    if (r < 0 || !buf_add(&c->in, c->env->rbuf, (size_t)r))
        conn_close(c);
}

/* All of the request is there. */
static void request_go(struct conn *c)
{
    deadline_clear(&c->deadline);
    conn_set(c, CONN_BUSY);
    arrival_complete(c->client.req);
}

/* Large bodies go from the socket to where they stay. */
static void read_body(struct conn *c)
{
    char *at;
    size_t room = arrival_body_room(c->client.req, &at);
    if (room == 0) /* refused for lack of room, and answered */
        return;
    ptrdiff_t r = io_read(&c->io, at, room);
    if (r == IO_AGAIN)
        return;
    if (r <= 0) {
        conn_close(c);
        return;
    }
    size_t used;
    enum arrival_result res = arrival_body_added(c->client.req, (size_t)r, &used);
    if (res == ARRIVAL_MORE) {
        deadline_set(&c->deadline, c->env->req->conf->limits.body_timeout);
        if (io_pending(&c->io))
            reader_again(c->env->loop, &c->rd);
        return;
    }
    if (res == ARRIVAL_REFUSED)
        return;
    if (used < (size_t)r && !buf_add(&c->in, at + used, (size_t)r - used)) {
        conn_close(c);
        return;
    }
    request_go(c);
}

static void on_readable(struct ready *ready)
{
    struct conn *c = CONTAINER_OF(ready, struct conn, rd.ready);
    ptrdiff_t r;
    switch (c->state) {
    case CONN_SHAKE:
        switch (tls_handshake(c->io.ssl, NULL)) {
        case TLS_DONE:
            ev_io_stop(c->env->loop, &c->wr);
            to_idle(c);
            return;
        case TLS_WANT_READ:
            return;
        case TLS_WANT_WRITE:
            ev_io_start(c->env->loop, &c->wr);
            return;
        case TLS_FAILED:
        case TLS_BAD_CERT:
            conn_close(c);
            return;
        }
        return;
    case CONN_IDLE:
        if (c->in.len) { /* requests that came before the end of the last reply */
            conn_run(c, NULL, 0);
            return;
        }
        /* fall through */
    case CONN_HEAD:
        r = io_read(&c->io, c->env->rbuf, TURN_READ);
        if (r > 0)
            conn_run(c, c->env->rbuf, (size_t)r);
        else if (r != IO_AGAIN)
            conn_close(c);
        else if (c->io.want_write)
            ev_io_start(c->env->loop, &c->wr);
        return;
    case CONN_BODY:
        read_body(c);
        return;
    case CONN_BUSY:
    case CONN_FLUSH:
        read_ahead(c);
        return;
    case CONN_LINGER:
        discard(c);
        return;
    case CONN_CLOSED:
        return;
    }
}

/* Checks an incomplete head of `have` bytes, `seen` of them checked before. False: it is refused.
 */
static bool head_incomplete(struct conn *c, const char *p, size_t have, size_t seen)
{
    enum http1_front front = http1_front(p, have, seen);
    if (front != FRONT_OPEN) { /* its end need not be awaited */
        arrival_refuse(&c->client, front == FRONT_BAD ? 400 : 501, http1_front_text(front));
        return false;
    }
    if (have > c->env->req->conf->limits.max_header_bytes) {
        arrival_refuse(&c->client, 431, "request head is larger than limits.max_header_bytes");
        return false;
    }
    if (c->state == CONN_IDLE) {
        conn_set(c, CONN_HEAD);
        deadline_set(&c->deadline, c->env->req->conf->limits.header_timeout);
    }
    return true;
}

/* Sets the buffers' ceilings by the configuration in force, which a reload may have changed. */
static void set_ceilings(struct conn *c)
{
    const struct conf *cf = c->env->req->conf;
    buf_bound(&c->in, (size_t)cf->limits.max_header_bytes + TURN_READ + PIPELINE);
    buf_bound(&c->out, outgoing_bound(c->env->req, c->l->service));
}

/* Whether more of a request may come. */
static bool conn_reads(const struct conn *c)
{
    return c->state == CONN_IDLE || c->state == CONN_HEAD || c->state == CONN_BODY;
}

/* Feeds the body from p[*at] on, which moves behind what it took. False: nothing more can be read
 * now. */
static bool run_body(struct conn *c, const char *p, size_t n, size_t *at)
{
    size_t used;
    enum arrival_result res = arrival_body_feed(c->client.req, p + *at, n - *at, &used);
    *at += used;
    if (res == ARRIVAL_MORE)
        deadline_set(&c->deadline, c->env->req->conf->limits.body_timeout);
    if (res == ARRIVAL_MORE || res == ARRIVAL_REFUSED)
        return false;
    request_go(c);
    return true;
}

/* Begins the request whose head stands at p[*at], which moves behind it. False as above. */
static bool run_head(struct conn *c, char *p, size_t n, size_t *at)
{
    /* RFC 9112 2.2: an empty line before a request line is overlooked */
    while (c->scanned == 0 && *at < n && (p[*at] == '\r' || p[*at] == '\n') &&
           c->state == CONN_IDLE)
        ++*at;
    if (*at == n)
        return false;
    size_t seen = c->scanned, size = http1_find_end(p + *at, n - *at, &c->scanned);
    if (size == 0) {
        if (!head_incomplete(c, p + *at, n - *at, seen))
            *at = n;
        return false;
    }
    c->scanned = 0;
    if (size > c->env->req->conf->limits.max_header_bytes) {
        arrival_refuse(&c->client, 431, "request head is larger than limits.max_header_bytes");
        return false;
    }
    bool body = arrival_begin(&c->client, p + *at, size);
    *at += size;
    if (c->client.req && body)
        conn_set(c, CONN_BODY);
    else if (c->client.req)
        request_go(c);
    return true;
}

/* What stands in `in` and the n new bytes at p behind it: requests, one after the other, until one
 * has to be waited for. New bytes are copied only if they have to wait. */
static void conn_run(struct conn *c, char *p, size_t n)
{
    bool own = c->in.len > 0;
    if (c->state == CONN_IDLE)
        set_ceilings(c);
    if (own) {
        if (n && !buf_add(&c->in, p, n)) {
            conn_close(c);
            return;
        }
        p = buf_data(&c->in);
        n = c->in.len;
    }
    size_t at = 0;
    for (bool more = true; more && conn_reads(c);)
        more = c->state == CONN_BODY ? run_body(c, p, n, &at) : run_head(c, p, n, &at);
    if (c->state == CONN_CLOSED || c->state == CONN_LINGER)
        return;
    if (own) {
        buf_drop(&c->in, at);
        if (c->in.len == 0)
            buf_free(&c->in);
    } else if (at < n && !buf_add(&c->in, p + at, n - at)) {
        conn_close(c);
        return;
    }
    if (conn_reads(c) && io_pending(&c->io))
        reader_again(c->env->loop, &c->rd);
}

static void on_expired(struct deadline *t)
{
    struct conn *c = CONTAINER_OF(t, struct conn, deadline);
    switch (c->state) {
    case CONN_HEAD:
        arrival_refuse(&c->client, 408,
                       "request head was not complete within limits.header_timeout");
        return;
    case CONN_BODY:
        arrival_body_timeout(c->client.req);
        return;
    case CONN_BUSY:
        if (c->out.len == 0 && (c->eof || c->read_stopped)) {
            look_after_peer(c);
            return;
        }
        conn_close_as(c, true); /* the client does not read */
        return;
    case CONN_FLUSH:
        conn_close_as(c, true);
        return;
    case CONN_SHAKE:
    case CONN_IDLE:
    case CONN_LINGER:
    case CONN_CLOSED:
        conn_close(c);
        return;
    }
}

/* ---- interface for the worker */

void conn_new(struct listener *l, int fd)
{
    struct conn_env *env = l->env;
    struct conn *c = slab_zalloc(&conns);
    c->client = (struct client){
        .ops = &ops, .service = l->service, .env = env->req, .unix_socket = l->unix_socket};
    c->client.tls = l->tls != NULL;
    c->env = env;
    c->l = l;
    l->refs++;
    c->io.fd = fd;
    list_push_back(&env->conns, &c->node);
    list_init(&c->idle_node);
    reader_init(&c->rd, TURN_CLIENTS, fd, on_readable);
    ev_io_init(&c->wr, on_writable, fd, EV_WRITE);
    list_init(&c->send.node);
    c->send.run = on_turn_end;
    deadline_init(&c->deadline, env->loop, on_expired);
    env->counters->conns++;
    if (!l->service->operators)
        counters_accepted(env->counters);
    c->state = CONN_SHAKE;
    reader_start(env->loop, &c->rd);
    if (!l->tls) {
        to_idle(c);
        return;
    }
    deadline_set(&c->deadline, env->req->conf->limits.header_timeout);
    c->io.ssl = tls_accept(l->tls, fd);
    if (!c->io.ssl)
        conn_close(c);
}
