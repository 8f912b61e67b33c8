#include "worker/upstream/exchange.h"

#include "common/base/mem.h"
#include "worker/http/http1_front.h"
#include "worker/loop/turn.h"

#include <string.h>

/* 1xx replies that are accepted in front of one reply: more than any endpoint has reason to
 * send. */
enum { INTERIM_MAX = 16 };

static const char no_http[] = "it does not begin with HTTP/1.";
static const char long_head[] = "head over upstream.max_response_header_bytes";

/* A pause of the client that an endpoint may take for its end. */
#define STALL_S 1.0

static void on_readable(struct pconn *c);
static void on_writable(struct pconn *c);
static void on_expired(struct pconn *c);
static const struct pconn_ops busy_ops = {on_readable, on_writable, on_expired};

static void let_go(struct exchange *x, bool reusable)
{
    struct pconn *c = x->c;
    x->c = NULL;
    x->state = EXCHANGE_NONE;
    list_remove(&x->send.node);
    if (c)
        pool_release(c, reusable);
}

/* Keeps the words for a failure until exchange_free or the next start: few exchanges fail, and
 * thousands are under way. Without memory net_fault_text has to do. */
static void set_words(struct exchange *x, const struct detail *d)
{
    if (!x->words)
        x->words = mem_try(sizeof *x->words);
    if (x->words)
        *x->words = *d;
}

/* Ends the exchange without a complete reply. Returns false: it does not go on. */
static bool fail(struct exchange *x, enum net_fault why)
{
    let_go(x, false);
    buf_free(&x->head);
    x->ops->failed(x, why);
    return false;
}

/* The same for a reply that breaks the rules of HTTP: `rule` says which; a static text. */
static bool fail_garbage(struct exchange *x, const char *rule)
{
    struct detail d;
    detail_set(&d, NET_GARBAGE, NULL, rule);
    set_words(x, &d);
    x->replied = rule != no_http;
    return fail(x, NET_GARBAGE);
}

/* ---- sending */

static void advance(struct exchange *x, size_t n)
{
    while (x->niov > 0 && n >= x->iov[0].iov_len) {
        n -= x->iov[0].iov_len;
        x->niov--;
        memmove(x->iov, x->iov + 1, (size_t)x->niov * sizeof x->iov[0]);
    }
    if (n) {
        x->iov[0].iov_base = (char *)x->iov[0].iov_base + n;
        x->iov[0].iov_len -= n;
    }
}

static void all_sent(struct exchange *x)
{
    ev_io_stop(x->env->loop, &x->c->wr);
    x->sent_at = ev_now(x->env->loop);
    x->stalls = x->c->deadline.turn->stalls;
    if (x->state == EXCHANGE_SEND)
        x->state = EXCHANGE_HEAD;
    if (!x->got_bytes)
        deadline_set(&x->c->deadline, x->conf.first_byte_ms);
}

static void send_some(struct exchange *x)
{
    while (x->niov > 0) {
        ptrdiff_t w = io_writev(&x->c->io, x->iov, x->niov);
        if (w == IO_AGAIN) {
            ev_io_start(x->env->loop, &x->c->wr);
            return;
        }
        if (w < 0) {
            /* An endpoint may have answered early and closed (413): its reply is still to be read.
             * Nothing more is sent; reading reports the end. */
            x->send_broken = true;
            x->niov = 0;
            break;
        }
        advance(x, (size_t)w);
        deadline_set(&x->c->deadline, x->conf.idle_ms);
    }
    all_sent(x);
}

static void on_turn_end(struct ready *r)
{
    send_some(CONTAINER_OF(r, struct exchange, send));
}

static void begin(struct exchange *x, struct pconn *c)
{
    x->c = c;
    c->ops = &busy_ops;
    c->user = x;
    x->state = EXCHANGE_SEND;
    x->reused = c->uses > 1;
    deadline_set(&c->deadline, x->conf.idle_ms);
    turn_queue(turn_of(x->env->loop), TURN_SENDS, &x->send);
}

static void on_ready(struct lease *l, struct pconn *c)
{
    begin(CONTAINER_OF(l, struct exchange, lease), c);
}

static void on_no_connection(struct lease *l, enum net_fault why, const struct detail *d)
{
    struct exchange *x = CONTAINER_OF(l, struct exchange, lease);
    set_words(x, d);
    fail(x, why);
}

bool exchange_start(struct exchange *x, const struct exchange_env *env,
                    const struct exchange_conf *conf, struct pool *p, bool fresh,
                    enum http_method method, const struct iovec *iov, int niov,
                    const struct exchange_ops *ops)
{
    mem_free(x->words);
    memset(x, 0, sizeof *x);
    x->env = env;
    x->ops = ops;
    x->conf = *conf;
    x->method = method;
    memcpy(x->iov, iov, (size_t)niov * sizeof *iov);
    x->niov = niov;
    buf_init(&x->head, conf->max_head + env->rbuf_size);
    list_init(&x->send.node);
    x->send.run = on_turn_end;
    x->lease.ready = on_ready;
    x->lease.failed = on_no_connection;
    x->stalls = turn_of(env->loop)->stalls;
    x->started = ev_now(env->loop);
    struct pconn *c;
    switch (pool_get(p, &x->lease, fresh, &c)) {
    case POOL_READY:
        begin(x, c);
        return true;
    case POOL_LATER:
        x->state = EXCHANGE_DIAL;
        return true;
    case POOL_FULL:
        break;
    }
    return false;
}

void exchange_abort(struct exchange *x)
{
    switch (x->state) {
    case EXCHANGE_NONE:
        return;
    case EXCHANGE_DIAL:
        pool_cancel(&x->lease);
        x->state = EXCHANGE_NONE;
        return;
    case EXCHANGE_SEND:
    case EXCHANGE_HEAD:
    case EXCHANGE_BODY:
        let_go(x, false);
        buf_free(&x->head);
        return;
    }
}

void exchange_free(struct exchange *x)
{
    exchange_abort(x);
    mem_free(x->words);
    x->words = NULL;
}

const char *exchange_why(const struct exchange *x, enum net_fault why)
{
    const struct detail *d = x->words;
    return why != NET_NONE && d && d->why == why ? d->text : net_fault_text(why);
}

bool exchange_sent(const struct exchange *x)
{
    return x->state == EXCHANGE_NONE || x->niov == 0;
}

bool exchange_stood_still(const struct exchange *x)
{
    return x->env && x->stalls != turn_of(x->env->loop)->stalls;
}

bool exchange_was_stale(const struct exchange *x, enum net_fault why)
{
    return x->reused && !x->got_bytes && (why == NET_RESET || why == NET_EMPTY || why == NET_SEND);
}

bool exchange_was_spoilt(const struct exchange *x, enum net_fault why)
{
    return why == NET_GARBAGE && x->reused && !x->replied;
}

void exchange_pause(struct exchange *x)
{
    if (x->paused || !x->c)
        return;
    x->paused = true;
    x->paused_at = ev_now(x->env->loop);
    reader_stop(x->env->loop, &x->c->rd);
    deadline_clear(&x->c->deadline); /* the client is slow, not the endpoint */
}

void exchange_resume(struct exchange *x)
{
    if (!x->paused || !x->c)
        return;
    x->paused = false;
    x->stalled |= ev_now(x->env->loop) - x->paused_at >= STALL_S;
    reader_start(x->env->loop, &x->c->rd);
    deadline_set(&x->c->deadline, x->conf.idle_ms);
    if (io_pending(&x->c->io))
        reader_again(x->env->loop, &x->c->rd);
}

bool exchange_stalled(const struct exchange *x)
{
    return x->stalled || (x->paused && ev_now(x->env->loop) - x->paused_at >= STALL_S);
}

/* ---- the reply */

/* Hands a piece of the reply over. Returns whether the exchange goes on. */
static bool hand_over(struct exchange *x, const struct exchange_event *ev)
{
    if (x->ops->event(x, ev))
        return true;
    exchange_abort(x);
    return false;
}

/* Ends the exchange: the reply is complete. `clean`: no byte followed it; otherwise, or when the
 * request is not wholly sent, the connection is closed. Returns false: it does not go on. */
static bool finish(struct exchange *x, struct exchange_event *ev, bool clean)
{
    if (!clean && x->c && x->body != BODY_UNTIL_CLOSE)
        pool_unasked(x->c->pool);
    let_go(x, clean && x->keep && x->niov == 0 && !x->send_broken);
    ev->end = true;
    (void)x->ops->event(x, ev);
    return false;
}

/* Takes the bytes p[0..n) of a body; `head` with the first call, else NULL. Returns whether the
 * exchange goes on. */
static bool take_body(struct exchange *x, const struct http_head *head, char *p, size_t n)
{
    struct exchange_event ev = {.head = head, .data = p, .n = n};
    switch (x->body) {
    case BODY_NONE:
        ev.n = 0;
        return finish(x, &ev, n == 0);
    case BODY_COUNTED:
        if (n >= x->left) {
            ev.n = (size_t)x->left;
            return finish(x, &ev, n == ev.n);
        }
        x->left -= n;
        break;
    case BODY_CHUNKED: {
        size_t used;
        enum chunk_result r = chunk_decode(&x->chunk, p, n, &ev.n, &used);
        if (r == CHUNK_END)
            return finish(x, &ev, used == n);
        if (r == CHUNK_BAD)
            return ((head || ev.n) && !hand_over(x, &ev)) ? false
                                                          : fail_garbage(x, chunk_why(&x->chunk));
        break;
    }
    case BODY_UNTIL_CLOSE:
        break;
    }
    return (!head && ev.n == 0) || hand_over(x, &ev);
}

/* Why p[0..n), `seen` of it checked before, cannot become a head that http1_reply accepts; NULL: it
 * may. An endpoint of another protocol may keep the connection open and never send the end of a
 * head. */
static const char *no_head(const char *p, size_t n, size_t seen, size_t max)
{
    static const char start[] = "HTTP/1.";
    if (memcmp(p, start, n < sizeof start - 1 ? n : sizeof start - 1) != 0)
        return no_http;
    if (n > max)
        return long_head;
    return http1_front_bytes(p, n, seen) ? NULL
                                         : "control character, bare CR or bare LF in the head";
}

enum head_result { HEAD_MORE, HEAD_DONE, HEAD_FAILED };

/* Keeps the bytes of a head that is not complete, `seen` of them checked before. */
static enum head_result head_more(struct exchange *x, const char *p, size_t n, size_t at,
                                  size_t seen)
{
    const char *rule = no_head(p + at, n - at, seen, x->conf.max_head);
    if (rule) {
        fail_garbage(x, rule);
        return HEAD_FAILED;
    }
    if (x->head.len) {
        buf_drop(&x->head, at);
    } else if (!buf_add(&x->head, p + at, n - at)) {
        fail(x, NET_LOCAL);
        return HEAD_FAILED;
    }
    return HEAD_MORE;
}

/* Reads a whole head of that size into env->head. Returns why it is refused; NULL: it is not. */
static const char *read_head(struct exchange *x, const char *p, size_t size)
{
    const char *why = no_head(p, min_size(size, sizeof "HTTP/1." - 1), 0, x->conf.max_head);
    if (why || size > x->conf.max_head)
        return why ? why : long_head;
    if (http1_reply(p, size, x->method, x->env->head, &why) != HTTP1_OK)
        return why;
    /* 101 answers a request with Upgrade, which is not forwarded. */
    if (x->env->head->status == 101)
        return "status 101, which nobody asked for";
    return x->env->head->status < 200 && ++x->interim > INTERIM_MAX ? "too many 1xx replies" : NULL;
}

/* Reads the heads in p[0..n) and drops interim ones. HEAD_DONE: the final head is in env->head and
 * the body begins at *body. HEAD_FAILED: the exchange has ended. */
static enum head_result take_head(struct exchange *x, char *p, size_t n, size_t *body)
{
    size_t at = 0;
    for (;;) {
        size_t seen = x->scanned, size = http1_find_end(p + at, n - at, &x->scanned);
        if (size == 0)
            return head_more(x, p, n, at, seen);
        struct http_head *h = x->env->head;
        const char *rule = read_head(x, p + at, size);
        if (rule) {
            fail_garbage(x, rule);
            return HEAD_FAILED;
        }
        at += size;
        x->scanned = 0;
        if (h->status >= 200) {
            *body = at;
            return HEAD_DONE;
        }
    }
}

/* Takes bytes of the reply. Returns whether the exchange goes on. */
static bool take(struct exchange *x, char *p, size_t n)
{
    x->stalls = x->c->deadline.turn->stalls;
    if (!x->got_bytes) {
        x->got_bytes = true;
        x->first_byte_at = ev_now(x->env->loop);
    }
    if (x->state == EXCHANGE_BODY) {
        deadline_set(&x->c->deadline, x->conf.idle_ms);
        return take_body(x, NULL, p, n);
    }
    /* The deadline is not moved: it is for the whole head, however slowly its bytes come. */
    if (x->head.len) {
        if (!buf_add(&x->head, p, n))
            return fail_garbage(x, long_head);
        p = buf_data(&x->head);
        n = x->head.len;
    }
    size_t at;
    enum head_result head = take_head(x, p, n, &at);
    if (head != HEAD_DONE)
        return head == HEAD_MORE;
    const struct http_head *h = x->env->head;
    x->state = EXCHANGE_BODY;
    x->replied = true;
    x->body = h->body;
    x->left = h->length;
    x->keep = h->keep_alive && h->body != BODY_UNTIL_CLOSE;
    deadline_set(&x->c->deadline, x->conf.idle_ms);
    bool on = take_body(x, h, p + at, n - at);
    buf_free(&x->head); /* the event pointed into it */
    return on;
}

static void ended(struct exchange *x, ptrdiff_t how)
{
    if (how == IO_EOF && x->state == EXCHANGE_BODY && x->body == BODY_UNTIL_CLOSE) {
        struct exchange_event ev = {0};
        finish(x, &ev, false);
        return;
    }
    if (x->send_broken && !x->got_bytes)
        fail(x, NET_SEND);
    else if (how == IO_RESET)
        fail(x, NET_RESET);
    else
        fail(x, x->got_bytes ? NET_PARTIAL : NET_EMPTY);
}

enum net_fault exchange_look(struct exchange *x, bool *end)
{
    *end = false;
    ptrdiff_t how = x->c ? io_peek(&x->c->io) : IO_AGAIN;
    if (how == IO_RESET)
        return NET_RESET;
    if (how != IO_EOF && how != IO_CUT)
        return NET_NONE;
    *end = how == IO_EOF && x->body == BODY_UNTIL_CLOSE;
    return NET_PARTIAL;
}

/* Reads what there is. Returns whether the exchange goes on. */
static bool read_some(struct exchange *x)
{
    struct pconn *c = x->c;
    char *buf = x->env->rbuf;
    size_t n = 0;
    ptrdiff_t r;
    do {
        r = io_read(&c->io, buf + n, x->env->rbuf_size - n);
        if (r > 0)
            n += (size_t)r;
    } while (r > 0 && n < x->env->rbuf_size && io_pending(&c->io));
    if (c->io.want_write)
        ev_io_start(x->env->loop, &c->wr);
    if (n && !take(x, buf, n))
        return false;
    if (r <= 0 && r != IO_AGAIN) {
        ended(x, r);
        return false;
    }
    if (r > 0 && !x->paused && io_pending(&c->io)) /* IO_AGAIN: half a record */
        reader_again(x->env->loop, &c->rd);
    return true;
}

static void on_readable(struct pconn *c)
{
    (void)read_some(c->user);
}

static void on_writable(struct pconn *c)
{
    struct exchange *x = c->user;
    if (c->io.want_write && !read_some(x))
        return;
    if (x->niov > 0)
        send_some(x);
    else
        ev_io_stop(x->env->loop, &c->wr);
}

static void on_expired(struct pconn *c)
{
    struct exchange *x = c->user;
    bool within = x->niov > 0 || x->state == EXCHANGE_BODY;
    fail(x, within ? NET_IDLE_TIMEOUT : NET_FIRST_BYTE_TIMEOUT);
}
