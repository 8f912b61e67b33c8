#include "tests/fake_upstream/conn.h"

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "tests/fake_upstream/journal.h"
#include "tests/fake_upstream/reply/own.h"
#include "tests/fake_upstream/reply/reply.h"
#include "tests/net/sock.h"

#include <netinet/in.h>
#include <openssl/err.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/*   HELLO ──► HEAD ──► BODY ──► PLAY ──► HEAD …
 *                                └────► LINGER (reads and drops until the peer closes)
 *   From any state: DEAD, freed at the end of the callback. */
enum conn_state { CONN_HELLO, CONN_HEAD, CONN_BODY, CONN_PLAY, CONN_LINGER, CONN_DEAD };

enum { LINGER_US = 2000000 };

struct conn {
    struct list node;
    struct fake *f;
    ev_io rd, wr;
    int fd;
    enum conn_state state;
    SSL *ssl;
    struct due due;
    struct buf in; /* bytes of an incomplete head, pipelined requests */
    struct request req;
    struct site *site;
    struct behave *own; /* behaviour of the request's x-fake header, or NULL */
    bool counted;       /* the request is counted in site->open */
    bool reading;       /* rd is started */
    unsigned port;      /* the listener's */
    bool fails;         /* the reply fails by intent */
    uint64_t number;    /* of the connection, from 1 */
    int64_t head_us;    /* when the request's head had come */
    uint64_t sent;      /* bytes of the reply */
    int64_t content_us; /* when its content began; 0: not yet */
    /* the reply being played */
    struct play *play;
    size_t step;
    uint64_t done;  /* repetitions, or filler bytes, of the present step that are sent */
    size_t off;     /* bytes of the present piece that are sent */
    bool waited;    /* the gap before the present piece is over */
    int64_t due_us; /* when the last piece was due: gaps are added to it and do not drift */
};

static void want_read(struct conn *c, bool on)
{
    if (on == c->reading)
        return;
    c->reading = on;
    if (on)
        ev_io_start(c->f->loop, &c->rd);
    else
        ev_io_stop(c->f->loop, &c->rd);
}

static void note(const struct conn *c, const char *what, bool whole)
{
    journal_exchange(c->f->journal, &(struct journal_entry){.what = what,
                                                            .site = c->site->key,
                                                            .r = &c->req,
                                                            .conn = c->number,
                                                            .head_us = c->head_us,
                                                            .status = c->play ? c->play->status : 0,
                                                            .fails = c->fails,
                                                            .whole = whole,
                                                            .sent = c->sent,
                                                            .content_us = c->content_us});
}

/* Counts the end of an exchange; `whole`: it ended as intended. */
static void count_end(struct conn *c, bool whole)
{
    if (!c->counted)
        return;
    note(c, "end", whole);
    c->counted = false;
    c->site->open--;
    if (c->play && c->play->stream)
        c->site->streams--;
    if (whole)
        c->site->completed++;
    else
        c->site->aborted++;
}

static void conn_close(struct conn *c, bool reset)
{
    if (c->state == CONN_DEAD)
        return;
    count_end(c, false);
    c->state = CONN_DEAD;
    want_read(c, false);
    ev_io_stop(c->f->loop, &c->wr);
    due_clear(&c->f->due, &c->due);
    if (c->ssl) {
        if (!reset)
            SSL_shutdown(c->ssl);
        SSL_free(c->ssl);
        ERR_clear_error();
    }
    struct linger l = {.l_onoff = 1, .l_linger = 0};
    if (reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    fd_close(&c->fd);
    c->f->open--;
}

static void conn_reap(struct conn *c)
{
    if (c->state != CONN_DEAD)
        return;
    list_remove(&c->node);
    play_unref(c->play);
    behave_unref(c->own);
    request_fini(&c->req);
    buf_free(&c->in);
    mem_free(c);
}

/* ---- the reply */

static void play_over(struct conn *c)
{
    struct play *p = c->play;
    if (p->end == PLAY_HANG)
        return; /* until the peer closes */
    if (!c->f->quiet && c->counted)
        fprintf(stderr, STR_FMT " " STR_FMT " %u%s\n", STR_ARG(request_method(&c->req)),
                STR_ARG(request_target(&c->req)), p->status, p->stream ? " stream" : "");
    count_end(c, true);
    if (p->end == PLAY_CLOSE || p->end == PLAY_RESET) {
        conn_close(c, p->end == PLAY_RESET);
        return;
    }
    if (p->end == PLAY_LINGER) {
        c->state = CONN_LINGER;
        if (c->ssl)
            SSL_shutdown(c->ssl);
        shutdown(c->fd, SHUT_WR);
        want_read(c, true);
        due_set(&c->f->due, &c->due, clock_mono_us() + LINGER_US);
        return;
    }
    c->state = CONN_HEAD;
    if (p->close_idle_us == 0) {
        conn_close(c, false);
        return;
    }
    if (p->close_idle_us > 0)
        due_set(&c->f->due, &c->due, clock_mono_us() + p->close_idle_us);
    play_unref(c->play);
    c->play = NULL;
    want_read(c, true);
}

/* Sends the reply as far as gaps and the socket allow. */
static void conn_play(struct conn *c)
{
    struct play *p = c->play;
    while (c->state == CONN_PLAY) {
        if (c->step == p->n) {
            play_over(c);
            return;
        }
        const struct step *s = &p->v[c->step];
        if (!c->waited) {
            int64_t gap = s->gap_us && (s->kind == STEP_SEND || c->done == 0) ? s->gap_us : 0;
            gap = p->trickle_us && (c->step || c->done || c->off) ? p->trickle_us : gap;
            c->waited = true;
            if (gap) {
                int64_t now = clock_mono_us();
                c->due_us = c->due_us && c->due_us + gap > now - gap ? c->due_us + gap : now + gap;
                due_set(&c->f->due, &c->due, c->due_us);
                return;
            }
        }
        const char *piece =
            s->kind == STEP_SEND ? buf_data(&p->bytes) + s->off + c->off : c->f->filler;
        uint64_t left = s->kind == STEP_SEND ? s->len - c->off : s->count - c->done;
        size_t n = left < SCRATCH ? (size_t)left : SCRATCH;
        if (p->trickle_us)
            n = min_size(n, p->trickle_bytes);
        ptrdiff_t w = n ? sock_send(c->fd, c->ssl, piece, n) : 0;
        if (w < 0) {
            conn_close(c, false);
            return;
        }
        if (w == 0 && n) {
            ev_io_start(c->f->loop, &c->wr);
            return;
        }
        c->sent += (uint64_t)w;
        if (!c->content_us && c->sent > p->content_from)
            c->content_us = clock_mono_us();
        if (s->kind == STEP_FILL) {
            c->done += (uint64_t)w;
        } else {
            c->off += (size_t)w;
            if (c->off == s->len) {
                c->off = 0;
                c->done++;
                c->waited = false;
            }
        }
        if (p->trickle_us)
            c->waited = false;
        if (c->done == s->count) {
            c->done = 0;
            c->step++;
            c->waited = false;
        }
        /* One large piece per turn, so that a stream at full speed does not starve the others. */
        if (w > 0 && (size_t)w >= SCRATCH / 4 && (c->step < p->n)) {
            ev_io_start(c->f->loop, &c->wr);
            return;
        }
    }
}

static void start_play(struct conn *c, struct play *p, bool canned)
{
    due_clear(&c->f->due, &c->due);
    play_unref(c->play);
    c->play = canned ? play_ref(p) : p;
    c->state = CONN_PLAY;
    c->step = 0;
    c->done = 0;
    c->off = 0;
    c->waited = false;
    c->due_us = 0;
    if (c->counted && p->stream)
        c->site->streams++;
    conn_play(c);
}

/* ---- the request */

static void refuse(struct conn *c, unsigned status, const char *why)
{
    start_play(c, reply_own(status, "text/plain", str_c(why), false), false);
}

/* Answers a request that is complete, or that is answered early. */
static void answer(struct conn *c)
{
    struct request *r = &c->req;
    struct site *site = c->site;
    if (site->canned) {
        site->body_bytes += r->body_bytes;
        start_play(c, site->canned, true);
        return;
    }
    int64_t now = clock_mono_us();
    char wait[24];
    if (r->keep_body)
        request_read(r);
    site->body_bytes += r->body_bytes;
    site->count_tokens += reply_is_count_tokens(r);
    site_remember(site, r, now);
    struct behave *b = sites_judge(&c->f->sites, site, c->own, r, now, wait);
    struct play *p = reply_make(b, r, wait);
    c->fails = b != site->well && behave_fails(b);
    if (p->status != 200 || b == c->f->sites.fsse)
        site->failed++;
    play_unref(c->play);
    c->play = play_ref(p); /* for the journal */
    note(c, "begin", false);
    start_play(c, p, false);
}

static void take_head(struct conn *c, const char *p, size_t n)
{
    struct fake *f = c->f;
    struct request *r = &c->req;
    due_clear(&f->due, &c->due); /* set by close_idle_ms */
    behave_unref(c->own);
    c->own = NULL;
    if (!request_head(r, p, n)) {
        refuse(c, 400, "not a request\n");
        return;
    }
    struct str target = request_target(r);
    r->id = ++f->ids;
    if (own_is(target)) {
        c->site = NULL;
        r->keep_body = true;
        c->state = CONN_BODY;
        return;
    }
    struct err e;
    struct str key = site_key(target);
    /* what requests without a base path get may have changed (PUT /_bench) */
    if (!c->site || key.n == 0 || !str_eq(str_make(c->site->key, c->site->key_n), key))
        c->site = sites_get(&f->sites, key, &e);
    if (!c->site) {
        refuse(c, 404, e.msg);
        return;
    }
    struct str spec;
    if (!c->site->canned && request_header(r, STR("x-fake"), &spec)) {
        c->own = behave_new(spec, &e);
        if (!c->own) {
            refuse(c, 400, e.msg);
            return;
        }
    }
    c->site->requests++;
    c->site->open++;
    c->counted = true;
    c->fails = false;
    c->sent = 0;
    c->content_us = 0;
    c->head_us = clock_mono_us();
    play_unref(c->play);
    c->play = NULL;
    r->keep_body = !c->site->canned;
    const struct behave *b = c->own ? c->own : c->site->b;
    if (b->early_reply) {
        want_read(c, false);
        answer(c);
        return;
    }
    c->state = CONN_BODY;
    if (r->expect && sock_send(c->fd, c->ssl, "HTTP/1.1 100 Continue\r\n\r\n", 25) != 25) {
        conn_close(c, false);
        return;
    }
    if (b->read_delay_ms) {
        want_read(c, false);
        due_set(&f->due, &c->due, clock_mono_us() + (int64_t)(b->read_delay_ms % 1000000) * 1000);
    }
}

/* The head's size with the empty line; 0: incomplete. */
static size_t head_size(const char *p, size_t n)
{
    const char *end = memmem(p, n, "\r\n\r\n", 4);
    return end ? (size_t)(end - p) + 4 : 0;
}

/* Consumes bytes as far as the state allows; returns how many. */
static size_t consume(struct conn *c, const char *p, size_t n)
{
    size_t at = 0;
    while (at < n || c->state == CONN_BODY) {
        if (c->state == CONN_HEAD) {
            size_t head = head_size(p + at, n - at);
            if (!head)
                break;
            take_head(c, p + at, head);
            at += head;
        } else if (c->state == CONN_BODY) {
            size_t used;
            enum request_body got = request_feed(&c->req, p + at, n - at, &used);
            at += used;
            if (got == REQUEST_BAD) {
                refuse(c, 400, "bad body\n");
            } else if (got == REQUEST_MORE) {
                break;
            } else if (c->site) {
                answer(c);
            } else {
                start_play(c, own_answer(c->f, &c->req), false);
            }
        } else {
            break;
        }
    }
    return at;
}

static void conn_feed(struct conn *c, const char *p, size_t n)
{
    if (c->in.len == 0) {
        size_t used = consume(c, p, n);
        if (used == n || c->state == CONN_DEAD)
            return;
        if (!buf_add(&c->in, p + used, n - used))
            conn_close(c, false);
        return;
    }
    if (!buf_add(&c->in, p, n)) {
        conn_close(c, false);
        return;
    }
    size_t used = consume(c, buf_data(&c->in), c->in.len);
    buf_drop(&c->in, used);
    if (c->in.len == 0 && c->state != CONN_DEAD)
        buf_free(&c->in);
}

/* Handles the requests that came in before the last reply had ended. */
static void conn_resume(struct conn *c)
{
    while (c->state == CONN_HEAD && c->in.len) {
        size_t used = consume(c, buf_data(&c->in), c->in.len);
        buf_drop(&c->in, used);
        if (!used)
            break;
    }
}

static void conn_readable(struct conn *c)
{
    for (;;) {
        ptrdiff_t n = sock_recv(c->fd, c->ssl, c->f->scratch, SCRATCH);
        if (n == -2)
            return;
        if (n <= 0) {
            conn_close(c, false);
            return;
        }
        if (c->state == CONN_LINGER)
            continue;
        conn_feed(c, c->f->scratch, (size_t)n);
        conn_resume(c);
        if (c->state == CONN_DEAD)
            return;
        if (c->state == CONN_PLAY && c->in.len >= PIPELINE_MAX)
            want_read(c, false);
        if (!c->reading || (!c->ssl && n < SCRATCH))
            return;
    }
}

static void conn_hello(struct conn *c)
{
    int rc = SSL_accept(c->ssl);
    if (rc == 1) {
        c->f->tls_resumed += SSL_session_reused(c->ssl) == 1;
        c->state = CONN_HEAD;
        conn_readable(c);
        return;
    }
    int err = SSL_get_error(c->ssl, rc);
    ERR_clear_error();
    if (err == SSL_ERROR_WANT_WRITE)
        ev_io_start(c->f->loop, &c->wr);
    else if (err != SSL_ERROR_WANT_READ)
        conn_close(c, false);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop;
    (void)events;
    struct conn *c = CONTAINER_OF(w, struct conn, rd);
    if (c->state == CONN_HELLO)
        conn_hello(c);
    else
        conn_readable(c);
    conn_reap(c);
}

static void on_writable(struct ev_loop *loop, ev_io *w, int events)
{
    (void)events;
    struct conn *c = CONTAINER_OF(w, struct conn, wr);
    ev_io_stop(loop, w);
    if (c->state == CONN_HELLO)
        conn_hello(c);
    else
        conn_play(c);
    conn_resume(c);
    conn_reap(c);
}

static void on_due(struct due *d)
{
    struct conn *c = CONTAINER_OF(d, struct conn, due);
    switch (c->state) {
    case CONN_BODY: /* read_delay_ms is over */
        want_read(c, true);
        conn_readable(c);
        break;
    case CONN_PLAY:
        conn_play(c);
        break;
    case CONN_HELLO:
    case CONN_HEAD:
    case CONN_LINGER:
        conn_close(c, false);
        break;
    case CONN_DEAD:
        break;
    }
    conn_resume(c);
    conn_reap(c);
}

void conn_new(struct fake *f, int fd, bool tls, unsigned port)
{
    struct conn *c = mem_zalloc(1, sizeof *c);
    c->f = f;
    c->fd = fd;
    c->state = CONN_HEAD;
    c->due.fn = on_due;
    buf_init(&c->in, REQUEST_HEAD_MAX + SCRATCH);
    request_init(&c->req);
    list_push_back(&f->conns, &c->node);
    f->open++;
    f->accepted++;
    c->number = ++f->numbers;
    c->port = port;
    if (tls) {
        c->ssl = SSL_new(f->tls);
        if (!c->ssl || SSL_set_fd(c->ssl, fd) != 1)
            die("no memory for TLS");
        SSL_set_accept_state(c->ssl);
        c->state = CONN_HELLO;
    }
    ev_io_init(&c->rd, on_readable, fd, EV_READ);
    ev_io_init(&c->wr, on_writable, fd, EV_WRITE);
    want_read(c, true);
}

void conn_drop_all(struct fake *f, bool idle_only)
{
    LIST_EACH(it, next, &f->conns)
    {
        struct conn *c = LIST_ENTRY(it, struct conn, node);
        /* A connection without a site may be the one that sent /_drop or /_kill. */
        if (!c->site || (idle_only && c->state != CONN_HEAD))
            continue;
        conn_close(c, !idle_only);
        conn_reap(c);
    }
}

void conn_reset_port(struct fake *f, unsigned port)
{
    LIST_EACH(it, next, &f->conns)
    {
        struct conn *c = LIST_ENTRY(it, struct conn, node);
        if (c->port != port)
            continue;
        conn_close(c, true);
        conn_reap(c);
    }
}

void conn_end_all(struct fake *f)
{
    LIST_EACH(it, next, &f->conns)
    {
        struct conn *c = LIST_ENTRY(it, struct conn, node);
        conn_close(c, false);
        conn_reap(c);
    }
}
