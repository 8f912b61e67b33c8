#include "worker/up.h"

#include "common/base/err.h"

#include <string.h>

/* More interim replies than any endpoint has reason to send. */
enum { INTERIM_MAX = 16 };

static void on_readable(struct upc *c);
static void on_writable(struct upc *c);
static void on_expired(struct upc *c);
static const struct upc_ops busy_ops = {on_readable, on_writable, on_expired};

static void let_go(struct up *u, bool reusable)
{
    struct upc *c = u->c;
    u->c = NULL;
    u->state = UP_NONE;
    buf_free(&u->head);
    if (c)
        pool_release(c, reusable);
}

static void fail(struct up *u, enum net_fault why)
{
    let_go(u, false);
    u->ops->failed(u, why);
}

/* ---- sending */

static void advance(struct up *u, size_t n)
{
    while (u->niov > 0 && n >= u->iov[0].iov_len) {
        n -= u->iov[0].iov_len;
        u->niov--;
        memmove(u->iov, u->iov + 1, (size_t)u->niov * sizeof u->iov[0]);
    }
    if (n) {
        u->iov[0].iov_base = (char *)u->iov[0].iov_base + n;
        u->iov[0].iov_len -= n;
    }
}

static void all_sent(struct up *u)
{
    ev_io_stop(u->env->loop, &u->c->wr);
    u->sent_at = ev_now(u->env->loop);
    if (u->state == UP_SEND)
        u->state = UP_HEAD;
    if (!u->heard)
        tmo_set(&u->c->tmo, u->conf.first_byte_ms);
}

static void send_some(struct up *u)
{
    while (u->niov > 0) {
        ptrdiff_t w = io_writev(&u->c->io, u->iov, u->niov);
        if (w == IO_AGAIN) {
            ev_io_start(u->env->loop, &u->c->wr);
            return;
        }
        if (w < 0) {
            /* An endpoint may have answered early and closed (413): what it said is still to be
             * read. Nothing more is sent; reading reports the end. */
            u->send_broken = true;
            u->niov = 0;
            break;
        }
        advance(u, (size_t)w);
        tmo_set(&u->c->tmo, u->conf.idle_ms);
    }
    all_sent(u);
}

static void begin(struct up *u, struct upc *c)
{
    u->c = c;
    c->ops = &busy_ops;
    c->user = u;
    u->state = UP_SEND;
    u->reused = c->uses > 1;
    tmo_set(&c->tmo, u->conf.idle_ms);
    send_some(u);
}

static void on_ready(struct lease *l, struct upc *c)
{
    begin(CONTAINER_OF(l, struct up, lease), c);
}

static void on_no_connection(struct lease *l, enum net_fault why)
{
    fail(CONTAINER_OF(l, struct up, lease), why);
}

bool up_start(struct up *u, const struct up_env *env, const struct up_conf *conf, struct pool *p,
              bool fresh, enum http_method method, const struct iovec *iov, int niov,
              const struct up_ops *ops)
{
    memset(u, 0, sizeof *u);
    u->env = env;
    u->ops = ops;
    u->conf = *conf;
    u->method = method;
    memcpy(u->iov, iov, (size_t)niov * sizeof *iov);
    u->niov = niov;
    buf_init(&u->head, conf->max_head + env->rbuf_size);
    u->lease.ready = on_ready;
    u->lease.failed = on_no_connection;
    u->started = ev_now(env->loop);
    struct upc *c;
    switch (pool_get(p, &u->lease, fresh, &c)) {
    case POOL_READY:
        begin(u, c);
        return true;
    case POOL_LATER:
        u->state = UP_DIAL;
        return true;
    case POOL_FULL:
        break;
    }
    return false;
}

void up_abort(struct up *u)
{
    switch (u->state) {
    case UP_NONE:
        return;
    case UP_DIAL:
        pool_cancel(&u->lease);
        u->state = UP_NONE;
        return;
    case UP_SEND:
    case UP_HEAD:
    case UP_BODY:
        let_go(u, false);
        return;
    }
}

bool up_sent(const struct up *u)
{
    return u->state == UP_NONE || u->niov == 0;
}

bool up_was_stale(const struct up *u, enum net_fault why)
{
    return u->reused && !u->heard && (why == NET_RESET || why == NET_EMPTY || why == NET_SEND);
}

void up_pause(struct up *u)
{
    if (u->paused || !u->c)
        return;
    u->paused = true;
    ev_io_stop(u->env->loop, &u->c->rd);
    tmo_clear(&u->c->tmo); /* the client is slow, not the endpoint */
}

void up_resume(struct up *u)
{
    if (!u->paused || !u->c)
        return;
    u->paused = false;
    ev_io_start(u->env->loop, &u->c->rd);
    tmo_set(&u->c->tmo, u->conf.idle_ms);
    if (io_pending(&u->c->io))
        ev_feed_event(u->env->loop, &u->c->rd, EV_READ);
}

/* ---- the reply */

/* The whole reply is here. More bytes than that, or a request not wholly sent, spoil the connection. */
static void finish(struct up *u, struct up_event *ev, bool clean)
{
    bool reusable = clean && u->keep && u->niov == 0 && !u->send_broken;
    struct buf head = u->head; /* ev may point into it */
    buf_init(&u->head, 0);
    let_go(u, reusable);
    ev->end = true;
    u->ops->event(u, ev);
    buf_free(&head);
}

/* Payload bytes p[0..n). The first call brings the head along. */
static void take_body(struct up *u, const struct http_head *head, char *p, size_t n)
{
    struct up_event ev = {.head = head, .data = p, .n = n};
    switch (u->body) {
    case BODY_NONE:
        ev.n = 0;
        finish(u, &ev, n == 0);
        return;
    case BODY_COUNTED:
        if (n >= u->left) {
            ev.n = (size_t)u->left;
            finish(u, &ev, n == ev.n);
            return;
        }
        u->left -= n;
        break;
    case BODY_CHUNKED: {
        size_t used;
        enum chunk_result r = chunk_decode(&u->chunk, p, n, &ev.n, &used);
        if (r == CHUNK_END) {
            finish(u, &ev, used == n);
            return;
        }
        if (r == CHUNK_BAD) {
            const struct upc *c = u->c;
            if (head || ev.n)
                u->ops->event(u, &ev);
            if (u->c == c) /* else it has been ended, perhaps begun anew elsewhere */
                fail(u, NET_GARBAGE);
            return;
        }
        break;
    }
    case BODY_UNTIL_CLOSE:
        break;
    }
    if (!head && ev.n == 0)
        return;
    u->ops->event(u, &ev);
}

/* Whether p[0..n) may become a head that http1_reply takes. What speaks another protocol may stay
 * open and never send the end of one. */
static bool may_be_head(const char *p, size_t n)
{
    static const char start[] = "HTTP/1.";
    return memcmp(p, start, n < sizeof start - 1 ? n : sizeof start - 1) == 0;
}

/* Heads in p[0..n): interim ones are dropped. Returns false when the exchange ended or more is
 * needed; else the body's bytes begin at *body. */
static bool take_head(struct up *u, char *p, size_t n, size_t *body)
{
    size_t at = 0;
    for (;;) {
        size_t size = http1_find_end(p + at, n - at, &u->scanned);
        if (size == 0) {
            if (n - at > u->conf.max_head || !may_be_head(p + at, n - at)) {
                fail(u, NET_GARBAGE);
                return false;
            }
            if (u->head.len == 0) {
                if (!buf_add(&u->head, p + at, n - at)) {
                    fail(u, NET_LOCAL);
                    return false;
                }
            } else {
                buf_drop(&u->head, at);
            }
            return false;
        }
        const char *why;
        struct http_head *h = u->env->head;
        if (size > u->conf.max_head || http1_reply(p + at, size, u->method, h, &why) != HTTP1_OK) {
            fail(u, NET_GARBAGE);
            return false;
        }
        at += size;
        u->scanned = 0;
        if (h->status >= 200) {
            *body = at;
            return true;
        }
        /* 101 was not asked for: Upgrade is not forwarded */
        if (h->status == 101 || ++u->interim > INTERIM_MAX) {
            fail(u, NET_GARBAGE);
            return false;
        }
    }
}

static void take(struct up *u, char *p, size_t n)
{
    if (!u->heard) {
        u->heard = true;
        u->first_byte_at = ev_now(u->env->loop);
    }
    if (u->state == UP_BODY) {
        tmo_set(&u->c->tmo, u->conf.idle_ms);
        take_body(u, NULL, p, n);
        return;
    }
    /* The head as a whole must be there in time, however its bytes drip: the deadline stays. */
    if (u->head.len) {
        if (!buf_add(&u->head, p, n)) {
            fail(u, NET_GARBAGE);
            return;
        }
        p = buf_data(&u->head);
        n = u->head.len;
    }
    size_t at;
    if (!take_head(u, p, n, &at))
        return;
    const struct http_head *h = u->env->head;
    u->state = UP_BODY;
    u->body = h->body;
    u->left = h->length;
    u->keep = h->keep_alive && h->body != BODY_UNTIL_CLOSE;
    tmo_set(&u->c->tmo, u->conf.idle_ms);
    struct buf keep = u->head; /* the event points into it; the exchange may be gone after */
    buf_init(&u->head, 0);
    take_body(u, h, p + at, n - at);
    buf_free(&keep);
}

static void ended(struct up *u, ptrdiff_t how)
{
    if (how == IO_EOF && u->state == UP_BODY && u->body == BODY_UNTIL_CLOSE) {
        struct up_event ev = {0};
        finish(u, &ev, false);
        return;
    }
    if (u->send_broken && !u->heard)
        fail(u, NET_SEND);
    else if (how == IO_RESET)
        fail(u, NET_RESET);
    else
        fail(u, u->heard ? NET_PARTIAL : NET_EMPTY);
}

static void on_readable(struct upc *c)
{
    struct up *u = c->user;
    char *buf = u->env->rbuf;
    size_t n = 0;
    ptrdiff_t r;
    do {
        r = io_read(&c->io, buf + n, u->env->rbuf_size - n);
        if (r > 0)
            n += (size_t)r;
    } while (r > 0 && n < u->env->rbuf_size && io_pending(&c->io));
    if (c->io.want_write)
        ev_io_start(u->env->loop, &c->wr);
    if (n) {
        take(u, buf, n);
        if (u->c != c) /* the exchange ended with these bytes */
            return;
    }
    if (r <= 0 && r != IO_AGAIN)
        ended(u, r);
    else if (r > 0 && !u->paused && io_pending(&c->io)) /* not behind IO_AGAIN: half a record pends too */
        ev_feed_event(u->env->loop, &c->rd, EV_READ);
}

static void on_writable(struct upc *c)
{
    struct up *u = c->user;
    if (c->io.want_write)
        on_readable(c);
    if (u->c != c)
        return;
    if (u->niov > 0)
        send_some(u);
    else
        ev_io_stop(u->env->loop, &c->wr);
}

static void on_expired(struct upc *c)
{
    struct up *u = c->user;
    bool within = u->niov > 0 || u->state == UP_BODY;
    fail(u, within ? NET_IDLE_TIMEOUT : NET_FIRST_BYTE_TIMEOUT);
}
