#include "tests/bench/load/conn.h"

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "tests/net/sock.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static void watch(struct load *l, struct conn *c, uint32_t events)
{
    if (c->watched == events)
        return;
    struct epoll_event ev = {.events = events, .data.ptr = c};
    if (epoll_ctl(l->ep, c->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &ev) == -1)
        die("epoll_ctl: %s", strerror(errno));
    c->watched = events;
}

void conn_close(struct conn *c)
{
    if (c->ssl) {
        SSL_shutdown(c->ssl);
        SSL_free(c->ssl);
        ERR_clear_error();
        c->ssl = NULL;
    }
    buf_free(&c->head);
    fd_close(&c->fd);
    c->state = CONN_CLOSED;
    c->watched = 0;
}

void conn_end(struct conn *c)
{
    conn_close(c);
    SSL_SESSION_free(c->session);
    c->session = NULL;
}

void conn_fail(struct load *l, struct conn *c, const char *why)
{
    l->failed++;
    if (!l->why[0])
        snprintf(l->why, sizeof l->why, "%s", why);
    conn_close(c);
}

void conn_open(struct load *l, struct conn *c)
{
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd == -1)
        die("socket: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->watched = 0;
    c->heard_us = clock_mono_us();
    if (connect(c->fd, (struct sockaddr *)&l->to, sizeof l->to) == -1 && errno != EINPROGRESS) {
        conn_fail(l, c, "connect failed");
        return;
    }
    c->state = CONN_CONNECTING;
    watch(l, c, EPOLLOUT);
}

void conn_send(struct load *l, struct conn *c)
{
    if (c->state != CONN_SENDING) {
        c->state = CONN_SENDING;
        c->sent = 0;
        c->first = true;
        c->begun_us = c->heard_us = clock_mono_us();
        /* by a prime that no number of conversations has as a factor: each comes once in N */
        c->conversation =
            l->first +
            (l->conversations ? (uint32_t)(l->asked * 2654435761u % l->conversations) : c->id);
        l->asked++;
    }
    char id[13];
    snprintf(id, sizeof id, "%012u", c->conversation);
    memcpy(buf_data(&l->req) + l->slot, id, 12);
    while (c->sent < l->req.len) {
        ptrdiff_t w = sock_send(c->fd, c->ssl, buf_data(&l->req) + c->sent, l->req.len - c->sent);
        if (w < 0) {
            conn_fail(l, c, "connection lost while sending");
            return;
        }
        if (w == 0) {
            watch(l, c, EPOLLIN | EPOLLOUT);
            return;
        }
        c->sent += (size_t)w;
    }
    c->state = CONN_HEAD;
    watch(l, c, EPOLLIN);
}

/* Goes on with a new connection. */
static void conn_again(struct load *l, struct conn *c)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    SSL_SESSION *session = l->resume && c->ssl ? SSL_get1_session(c->ssl) : NULL;
    if (session && SSL_SESSION_is_resumable(session)) {
        SSL_SESSION_free(c->session);
        c->session = session;
    } else {
        SSL_SESSION_free(session);
    }
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    conn_close(c);
    conn_open(l, c);
}

static void conn_next(struct load *l, struct conn *c)
{
    if (l->fresh) {
        conn_again(l, c);
        return;
    }
    if (c->id >= l->busy) {
        c->state = CONN_PAUSED;
        c->resume_us = INT64_MAX;
        l->rested++;
        return;
    }
    if (l->pause_us == 0) {
        conn_send(l, c);
        return;
    }
    c->state = CONN_PAUSED;
    c->resume_us = clock_mono_us() + (int64_t)l->pause_us;
}

/* ---- the reply */

static void sample(const struct load *l, struct samples *s, int64_t us)
{
    if (l->measuring && s->n < SAMPLES_MAX)
        s->v[s->n++] = (uint32_t)(us < UINT32_MAX ? us : UINT32_MAX);
}

/* Counts body bytes, without their framing, and the events in them. */
static void payload(struct load *l, struct conn *c, const char *p, size_t n)
{
    c->got += n;
    if (l->measuring)
        l->bytes += n;
    if (l->mode == MODE_JSON || n == 0)
        return;
    uint64_t events = c->last == '\n' && p[0] == '\n';
    const char *end = p + n;
    for (const char *nl = p; nl < end - 1 && (nl = memchr(nl, '\n', (size_t)(end - 1 - nl)));) {
        if (nl[1] == '\n') {
            events++;
            nl++;
        }
        nl++;
    }
    if (n >= 24 && p[n - 1] == '\n' && memmem(p + n - 24, 24, "message_stop", 12))
        c->stopped = true;
    c->last = p[n - 1];
    c->events += events;
    if (events) {
        if (c->event_us)
            sample(l, &l->gaps, c->heard_us - c->event_us);
        c->event_us = c->heard_us;
    }
    if (l->measuring)
        l->events += events;
}

static bool field(const struct buf *head, const char *name, struct str *value)
{
    struct str h = buf_view(head);
    size_t n = strlen(name);
    for (size_t i = 0; i + n < h.n; i++) {
        const char *nl = memchr(h.p + i, '\n', h.n - i);
        if (!nl)
            return false;
        i = (size_t)(nl - h.p);
        if (i + 1 + n < h.n && h.p[i + 1 + n] == ':' &&
            str_eq_nocase(str_make(h.p + i + 1, n), str_make(name, n))) {
            const char *v = h.p + i + 2 + n;
            const char *e = memchr(v, '\n', h.n - (size_t)(v - h.p));
            *value = str_trim(str_make(v, e ? (size_t)(e - v) : 0));
            return true;
        }
    }
    return false;
}

/* Reads a reply's head. True: the status is 200 and the body's framing is known. */
static bool take_head(struct load *l, struct conn *c)
{
    struct str h = buf_view(&c->head), v;
    if (!str_starts(h, STR("HTTP/1.1 200"))) {
        char why[100];
        ptrdiff_t line = str_find(h, STR("\r\n"));
        size_t n = line < 0 ? h.n : (size_t)line;
        snprintf(why, sizeof why, "status: %.*s", (int)min_size(n, 40), h.p);
        conn_fail(l, c, why);
        return false;
    }
    c->got = c->events = 0;
    c->event_us = 0;
    c->last = '\0';
    c->stopped = false;
    c->chunks = (struct chunks){0};
    c->left = 0;
    if (field(&c->head, "transfer-encoding", &v))
        c->framing = FRAME_CHUNKED;
    else if (field(&c->head, "content-length", &v) && str_to_u64(v, INT64_MAX, &c->left))
        c->framing = FRAME_COUNTED;
    else
        c->framing = FRAME_EOF;
    c->state = CONN_BODY;
    buf_free(&c->head);
    return true;
}

static void reply_over(struct load *l, struct conn *c)
{
    if (l->mode == MODE_JSON && l->reply && c->got != l->reply) {
        conn_fail(l, c, "body of a wrong size");
    } else if (l->mode == MODE_SSE &&
               (!c->stopped || (l->want_events && c->events != l->want_events))) {
        conn_fail(l, c, "a stream is not whole");
    } else if (l->mode == MODE_HOLD) {
        conn_fail(l, c, "a held stream ended");
    } else {
        if (l->measuring)
            l->replies++;
        if (c->framing == FRAME_EOF)
            conn_close(c);
        else
            conn_next(l, c);
    }
}

/* Argument of take_chunk_data: the connection that the chunks' bytes are counted for. */
struct payload_of {
    struct load *l;
    struct conn *c;
};

static bool take_chunk_data(void *arg, const char *p, size_t n)
{
    struct payload_of *of = arg;
    payload(of->l, of->c, p, n);
    return true;
}

/* Decodes chunked bytes; *over: the body has ended. False: malformed framing. */
static bool take_chunks(struct load *l, struct conn *c, const char *p, size_t n, bool *over)
{
    size_t used;
    enum chunks_result got =
        chunks_feed(&c->chunks, p, n, &used, take_chunk_data, &(struct payload_of){l, c});
    *over = got == CHUNKS_DONE;
    return got != CHUNKS_BAD && used == n;
}

static void take_body(struct load *l, struct conn *c, const char *p, size_t n)
{
    bool over = false, ok = true;
    switch (c->framing) {
    case FRAME_CHUNKED:
        ok = take_chunks(l, c, p, n, &over);
        break;
    case FRAME_COUNTED:
        ok = n <= c->left;
        payload(l, c, p, n);
        c->left -= ok ? n : 0;
        over = c->left == 0;
        break;
    case FRAME_EOF:
        payload(l, c, p, n);
        break;
    }
    if (!ok)
        conn_fail(l, c, "broken framing");
    else if (over)
        reply_over(l, c);
}

static void take(struct load *l, struct conn *c, const char *p, size_t n)
{
    if (c->first) {
        c->first = false;
        sample(l, &l->first_byte, c->heard_us - c->begun_us);
        l->begun++;
    }
    if (c->state == CONN_BODY) {
        take_body(l, c, p, n);
        return;
    }
    if (c->state != CONN_HEAD && c->state != CONN_SENDING) {
        conn_fail(l, c, "bytes that nobody asked for");
        return;
    }
    size_t before = c->head.len;
    if (!buf_add(&c->head, p, n)) {
        conn_fail(l, c, "head too large");
        return;
    }
    const char *end = memmem(buf_data(&c->head), c->head.len, "\r\n\r\n", 4);
    if (!end)
        return;
    size_t used = (size_t)(end - buf_data(&c->head)) + 4 - before;
    if (take_head(l, c) && (used < n || (c->framing == FRAME_COUNTED && c->left == 0)))
        take_body(l, c, p + used, n - used);
}

static void conn_readable(struct load *l, struct conn *c)
{
    for (;;) {
        ptrdiff_t n = sock_recv(c->fd, c->ssl, l->in, READ);
        if (n == -2)
            return;
        c->heard_us = clock_mono_us();
        if (n <= 0) {
            if (n == 0 && c->state == CONN_BODY && c->framing == FRAME_EOF)
                reply_over(l, c);
            else
                conn_fail(l, c,
                          c->state == CONN_BODY ? "connection lost in a reply"
                                                : "connection lost before a reply");
            return;
        }
        take(l, c, l->in, (size_t)n);
        if (c->state == CONN_CLOSED || c->state == CONN_CONNECTING || (!c->ssl && n < READ))
            return;
    }
}

static void conn_hello(struct load *l, struct conn *c)
{
    int rc = SSL_connect(c->ssl);
    if (rc == 1) {
        l->resumed += l->measuring && SSL_session_reused(c->ssl);
        conn_send(l, c);
        return;
    }
    int err = SSL_get_error(c->ssl, rc);
    ERR_clear_error();
    if (err == SSL_ERROR_WANT_READ)
        watch(l, c, EPOLLIN);
    else if (err == SSL_ERROR_WANT_WRITE)
        watch(l, c, EPOLLOUT);
    else
        conn_fail(l, c, "TLS failed");
}

static void conn_connected(struct load *l, struct conn *c)
{
    int err = 0;
    socklen_t len = sizeof err;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) == -1 || err) {
        conn_fail(l, c, "connect failed");
        return;
    }
    if (!l->tls) {
        conn_send(l, c);
        return;
    }
    c->ssl = SSL_new(l->ctx);
    if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1)
        die("no memory for TLS");
    if (c->session)
        SSL_set_session(c->ssl, c->session);
    c->state = CONN_HELLO;
    conn_hello(l, c);
}

void conn_event(struct load *l, struct conn *c, uint32_t events)
{
    switch (c->state) {
    case CONN_CLOSED:
        break;
    case CONN_CONNECTING:
        conn_connected(l, c);
        break;
    case CONN_HELLO:
        conn_hello(l, c);
        break;
    case CONN_SENDING:
        if (events & EPOLLIN)
            conn_readable(l, c);
        if (c->state == CONN_SENDING)
            conn_send(l, c);
        break;
    case CONN_HEAD:
    case CONN_BODY:
    case CONN_PAUSED:
        conn_readable(l, c);
        break;
    }
}
