#include "supervisor/link/connection.h"

#include "common/base/clock.h"
#include "common/base/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { READ_SIZE = 64 << 10, READ_TURNS = 16 };

static void dial_next(struct connection *c, const char *why);

void connection_close(struct connection *c)
{
    if (c->state == CONNECTION_CLOSED)
        return;
    ev_io_stop(c->loop, &c->rd);
    ev_io_stop(c->loop, &c->wr);
    ev_timer_stop(c->loop, &c->timer);
    SSL_free(c->ssl);
    c->ssl = NULL;
    fd_close(&c->fd);
    if (c->found)
        freeaddrinfo(c->found);
    c->found = c->next = NULL;
    buf_free(&c->out);
    if (c->reader)
        redisReaderFree(c->reader);
    c->reader = NULL;
    c->n = c->first = 0;
    c->state = CONNECTION_CLOSED;
}

/* Ends it; while answers are being handled, after that. */
static void end(struct connection *c, const char *why)
{
    if (c->state == CONNECTION_CLOSED || c->ended)
        return;
    if (why != c->why)
        snprintf(c->why, sizeof c->why, "%s", why);
    if (c->reading) {
        c->ended = true;
        return;
    }
    connection_close(c);
    c->ops->lost(c->arg, c->why);
}

static void end_malformed(struct connection *c, const char *why)
{
    c->malformed = true;
    end(c, why);
}

static void end_errno(struct connection *c, const char *what)
{
    char why[160];
    snprintf(why, sizeof why, "%s: %s", what, strerror(errno));
    end(c, why);
}

static const char *tls_why(const struct connection *c)
{
    long verdict = SSL_get_verify_result(c->ssl);
    unsigned long code = ERR_peek_last_error();
    const char *why = verdict != X509_V_OK ? X509_verify_cert_error_string(verdict)
                      : code               ? ERR_reason_error_string(code)
                                           : NULL;
    ERR_clear_error();
    return why ? why : "the connection was closed";
}

/* ---- time */

static void rearm(struct connection *c)
{
    int64_t at = c->n ? c->pending[c->first].sent_ms + c->timeout_ms + c->pending[c->first].extra_ms
                      : INT64_MAX;
    ev_timer_stop(c->loop, &c->timer);
    if (at == INT64_MAX)
        return;
    int64_t left = at - clock_boot_ms();
    ev_now_update(c->loop);
    ev_timer_set(&c->timer, left > 0 ? (double)left / 1000 : 0, 0);
    ev_timer_start(c->loop, &c->timer);
}

static void read_all(struct connection *c);

static void on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
    struct connection *c = CONTAINER_OF(w, struct connection, timer);
    (void)loop, (void)events;
    if (c->state != CONNECTION_OPEN) {
        dial_next(c, "it does not answer");
        return;
    }
    int64_t first = c->n ? c->pending[c->first].sent_ms : 0;
    read_all(c); /* this process may have stood still itself */
    if (c->state != CONNECTION_OPEN)
        return;
    if (c->n && c->pending[c->first].sent_ms == first)
        end(c, "it does not answer");
    else
        rearm(c);
}

/* ---- bytes */

/* What TLS or the socket did. */
enum moved { MOVED_SOME, MOVED_NOTHING, MOVED_END };

static enum moved tls_moved(struct connection *c, int n)
{
    int code = n > 0 ? SSL_ERROR_NONE : SSL_get_error(c->ssl, n);
    c->wants_write = code == SSL_ERROR_WANT_WRITE;
    if (code == SSL_ERROR_NONE)
        return MOVED_SOME;
    if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE)
        return MOVED_NOTHING;
    end(c, code == SSL_ERROR_ZERO_RETURN ? "it has closed the connection" : tls_why(c));
    return MOVED_END;
}

static enum moved plain_moved(struct connection *c, ssize_t n, const char *what)
{
    if (n > 0)
        return MOVED_SOME;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return MOVED_NOTHING;
    if (n == 0)
        end(c, "it has closed the connection");
    else
        end_errno(c, what);
    return MOVED_END;
}

static void watch_writing(struct connection *c)
{
    if (c->state != CONNECTION_OPEN)
        return;
    if (c->out.len || c->wants_write)
        ev_io_start(c->loop, &c->wr);
    else
        ev_io_stop(c->loop, &c->wr);
}

static void write_all(struct connection *c)
{
    enum moved moved = MOVED_SOME;
    while (c->out.len && moved == MOVED_SOME) {
        ssize_t n = c->ssl ? SSL_write(c->ssl, buf_data(&c->out), (int)c->out.len)
                           : send(c->fd, buf_data(&c->out), c->out.len, MSG_NOSIGNAL);
        moved = c->ssl ? tls_moved(c, (int)n) : plain_moved(c, n, "write");
        if (moved == MOVED_END)
            return;
        if (moved == MOVED_SOME)
            buf_drop(&c->out, (size_t)n);
    }
    watch_writing(c);
}

static uint32_t took_us(int64_t sent_us)
{
    int64_t took = clock_mono_us() - sent_us;
    return took < 0 ? 0 : took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
}

/* Hands whole answers out. */
static void hand_out(struct connection *c)
{
    void *reply = NULL;
    struct err e = {""};
    c->reading = true;
    while (!c->ended && redisReaderGetReply(c->reader, &reply) == REDIS_OK && reply) {
        if (c->n == 0) {
            end_malformed(c, "it sent an answer that nobody asked for");
        } else {
            struct connection_pending p = c->pending[c->first];
            c->first = (c->first + 1) % CONNECTION_PENDING;
            c->n--;
            c->took_us = took_us(p.sent_us);
            if (!p.reply(c->arg, reply, p.sent_ms, &e))
                end_malformed(c, e.msg);
        }
        freeReplyObject(reply);
        reply = NULL;
        c->fed = c->reader->len - c->reader->pos;
    }
    if (!c->ended && c->reader->err)
        end_malformed(c, "it sent an answer that is none, or too long");
    c->reading = false;
    if (c->ended) {
        c->ended = false;
        end(c, c->why);
    }
}

static void read_all(struct connection *c)
{
    static char bytes[READ_SIZE];
    enum moved moved = MOVED_SOME;
    for (int i = 0; i < READ_TURNS && moved == MOVED_SOME; i++) {
        ssize_t n =
            c->ssl ? SSL_read(c->ssl, bytes, sizeof bytes) : recv(c->fd, bytes, sizeof bytes, 0);
        moved = c->ssl ? tls_moved(c, (int)n) : plain_moved(c, n, "read");
        if (moved == MOVED_END)
            return;
        if (moved != MOVED_SOME)
            break;
        c->fed += (size_t)n;
        if (c->fed > REPLY_BYTES_MAX || !reply_feed(c->reader, bytes, (size_t)n)) {
            end_malformed(c, "it sent an answer of over 4 MiB");
            return;
        }
        hand_out(c);
        if (c->state != CONNECTION_OPEN)
            return;
    }
    rearm(c);
    watch_writing(c);
}

/* ---- opening */

static void opened(struct connection *c)
{
    ev_timer_stop(c->loop, &c->timer);
    if (c->found)
        freeaddrinfo(c->found);
    c->found = c->next = NULL;
    c->state = CONNECTION_OPEN;
    ev_io_stop(c->loop, &c->wr);
    ev_io_start(c->loop, &c->rd);
    c->ops->opened(c->arg);
}

static void shake(struct connection *c)
{
    c->state = CONNECTION_SHAKES;
    int n = SSL_connect(c->ssl);
    if (n == 1) {
        opened(c);
        return;
    }
    switch (SSL_get_error(c->ssl, n)) {
    case SSL_ERROR_WANT_READ:
        ev_io_stop(c->loop, &c->wr);
        ev_io_start(c->loop, &c->rd);
        return;
    case SSL_ERROR_WANT_WRITE:
        ev_io_start(c->loop, &c->wr);
        return;
    default: {
        char why[160];
        snprintf(why, sizeof why, "TLS: %s", tls_why(c));
        dial_next(c, why);
    }
    }
}

static void connected(struct connection *c)
{
    int error = 0, on = 1;
    socklen_t size = sizeof error;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) == -1)
        error = errno;
    if (error) {
        dial_next(c, strerror(error));
        return;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* a Unix socket has none */
    setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (!c->ssl) {
        opened(c);
        return;
    }
    SSL_set_fd(c->ssl, c->fd);
    shake(c);
}

static void on_writable(struct ev_loop *loop, ev_io *w, int events)
{
    struct connection *c = CONTAINER_OF(w, struct connection, wr);
    (void)loop, (void)events;
    if (c->state == CONNECTION_DIALS)
        connected(c);
    else if (c->state == CONNECTION_SHAKES)
        shake(c);
    else if (c->wants_write)
        read_all(c);
    else
        write_all(c);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
    struct connection *c = CONTAINER_OF(w, struct connection, rd);
    (void)loop, (void)events;
    if (c->state == CONNECTION_SHAKES)
        shake(c);
    else
        read_all(c);
}

/* Begins to connect to an address. */
static void dial(struct connection *c, const struct sockaddr *at, socklen_t size)
{
    c->state = CONNECTION_DIALS;
    c->fd = socket(at->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd == -1) {
        end_errno(c, "socket");
        return;
    }
    ev_io_set(&c->rd, c->fd, EV_READ);
    ev_io_set(&c->wr, c->fd, EV_WRITE);
    ev_now_update(c->loop);
    ev_timer_set(&c->timer, (double)c->timeout_ms / 1000, 0);
    ev_timer_start(c->loop, &c->timer);
    if (connect(c->fd, at, size) == -1 && errno != EINPROGRESS && errno != EAGAIN) {
        dial_next(c, strerror(errno));
        return;
    }
    ev_io_start(c->loop, &c->wr);
}

/* Tries the next address of the name, or gives up with what the last one said. */
static void dial_next(struct connection *c, const char *why)
{
    struct addrinfo *at = c->next;
    char said[160];
    snprintf(said, sizeof said, "%s", why);
    ev_io_stop(c->loop, &c->rd);
    ev_io_stop(c->loop, &c->wr);
    ev_timer_stop(c->loop, &c->timer);
    fd_close(&c->fd);
    if (c->ssl)
        SSL_clear(c->ssl);
    if (!at) {
        c->state = CONNECTION_DIALS;
        end(c, said);
        return;
    }
    c->next = at->ai_next;
    dial(c, at->ai_addr, at->ai_addrlen);
}

/* Makes the TLS side for that host, whose name is verified. */
static bool prepare_tls(struct connection *c, const struct connection_to *to, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    c->ssl = SSL_new(to->tls);
    if (!c->ssl)
        return false;
    SSL_set_connect_state(c->ssl);
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(c->ssl), host) == 1;
    return SSL_set_tlsext_host_name(c->ssl, host) == 1 && SSL_set1_host(c->ssl, host) == 1;
}

static void resolve(struct connection *c, const char *host, uint16_t port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    const struct addrinfo plain = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    char service[8], why[160];
    snprintf(service, sizeof service, "%u", port);
    /* an address needs no resolver, nor another interface than loopback */
    int rc = getaddrinfo(host, service, &plain, &c->found);
    if (rc)
        rc = getaddrinfo(host, service, &hints, &c->found);
    if (rc) {
        snprintf(why, sizeof why, "%.100s cannot be resolved: %s", host, gai_strerror(rc));
        c->found = NULL;
        end(c, why);
        return;
    }
    c->next = c->found;
    dial_next(c, "no address");
}

void connection_open(struct connection *c, const struct connection_to *to, int64_t timeout_ms)
{
    char host[256];
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    connection_close(c);
    c->timeout_ms = timeout_ms;
    c->state = CONNECTION_DIALS;
    c->wants_write = c->malformed = false;
    buf_init(&c->out, CONNECTION_OUT_MAX);
    c->reader = reply_reader();
    c->fed = 0;
    snprintf(host, sizeof host, STR_FMT, STR_ARG(to->host));
    if (!c->reader || (to->tls && !prepare_tls(c, to, host))) {
        end(c, "there is no memory");
    } else if (to->local) {
        snprintf(un.sun_path, sizeof un.sun_path, STR_FMT, STR_ARG(to->host));
        dial(c, (const struct sockaddr *)&un, sizeof un);
    } else {
        resolve(c, host, to->port);
    }
}

bool connection_send(struct connection *c, const struct command *m, connection_reply *reply,
                     int64_t extra_ms)
{
    if (c->state != CONNECTION_OPEN || c->ended || c->n == CONNECTION_PENDING ||
        !command_write(m, &c->out))
        return false;
    c->pending[(c->first + c->n++) % CONNECTION_PENDING] =
        (struct connection_pending){reply, clock_boot_ms(), clock_mono_us(), extra_ms};
    if (c->n == 1)
        rearm(c);
    ev_io_start(c->loop, &c->wr); /* what is sent in one turn goes out together */
    return true;
}

void connection_init(struct connection *c, struct ev_loop *loop, const struct connection_ops *ops,
                     void *arg)
{
    *c = (struct connection){.loop = loop, .ops = ops, .arg = arg, .fd = -1};
    ev_init(&c->rd, on_readable);
    ev_init(&c->wr, on_writable);
    ev_init(&c->timer, on_timer);
}
