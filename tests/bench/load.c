/* clang-format off */
/* load: the bench's client. One thread on epoll; speaks to a proxy as Claude Code does, checks every
 * reply, and reads the CPU time of the proxy's processes at both ends of the measured time. Prints
 * one JSON line. Exit 1 if any reply was wrong.
 *
 *   load --to ADDR:PORT [--tls] [--mode MODE] [--conns N] [OPTIONS]
 *
 * Modes:
 *   json          N keep-alive connections, each sends the next request when it has the reply
 *   sse           the same with "stream": true; counts events. Streams open at the end are closed
 *   hold          opens N streams, says {"held":N} when each has begun, holds them until a byte (or
 *                 the end) comes on stdin
 * Options:
 *   --body N      bytes of a request's body (2048)
 *   --seconds S   measured time (2); hold: at most
 *   --warm S      before measuring begins
 *   --count N     ends after so many replies, if sooner
 *   --reply N     the size of a reply's body that is right
 *   --events N    the number of events that a whole stream has
 *   --stagger US  between two openings
 *   --pause US    between a reply and the next request
 *   --pids P,...  whose CPU time counts
 *   --path PATH */
/* clang-format on */
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/fd.h"
#include "common/base/mem.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNS_MAX = 20000,
    BODY_MAX = 64 * 1024 * 1024,
    READ = 256 * 1024,
    SAMPLES_MAX = 4 * 1024 * 1024,
    PIDS_MAX = 64,
    SILENCE_US = 10000000, /* a connection that gets nothing for so long has failed */
    HEAD_MAX = 65536
};

enum mode { MODE_JSON, MODE_SSE, MODE_HOLD };

/*  CLOSED ─► CONNECTING ─► (HELLO) ─► SENDING ─► HEAD ─► BODY ─► SENDING … or PAUSED ─► SENDING  */
enum conn_state {
    CONN_CLOSED,
    CONN_CONNECTING,
    CONN_HELLO,
    CONN_SENDING,
    CONN_HEAD,
    CONN_BODY,
    CONN_PAUSED
};

enum framing { FRAME_COUNTED, FRAME_CHUNKED, FRAME_EOF };
enum chunk_state { CH_SIZE, CH_LINE, CH_DATA, CH_DATA_END, CH_TRAILER, CH_TRAILER_LINE };

struct conn {
    int fd;
    enum conn_state state;
    SSL *ssl;
    uint32_t watched; /* epoll events in force */
    uint32_t id;
    size_t sent;
    int64_t begun_us, heard_us, resume_us;
    struct buf head;
    enum framing framing;
    enum chunk_state chunk;
    uint64_t left;
    uint64_t got, events; /* of this reply's body */
    char last;            /* its last byte, for the event count */
    bool stopped;         /* message_stop was there */
    bool first;           /* no byte of the reply yet */
};

struct load {
    enum mode mode;
    struct sockaddr_in to;
    const char *path;
    bool tls;
    uint32_t conns;
    size_t body;
    double seconds, warm;
    uint64_t count, reply, want_events;
    int64_t stagger_us, pause_us;
    int pids[PIDS_MAX];
    size_t npids;

    SSL_CTX *ctx;
    int ep;
    struct conn *v;
    uint32_t opened, begun;
    struct buf req; /* head and body; the connection's number is patched in at `slot` */
    size_t slot;
    char *in;
    bool measuring;
    int64_t from_us, to_us;
    uint64_t replies, events, bytes, failed;
    char why[160]; /* the first failure */
    uint32_t *samples;
    size_t nsamples;
};

/* ---- the request */

/* As Claude Code's main request: many text blocks with line ends and quotes, `stream` at the very
 * end. */
static void make_request(struct load *l)
{
    struct buf b;
    buf_init(&b, BODY_MAX + 65536);
    static const char block[] =
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"The quick brown fox said: "
        "\\\"jump\\\".\\n"
        "Then it did, over the dog that was lazy, and over some more of them.\\n\\n    if (x) {\\n "
        "       "
        "return y;\\n    }\\nAnd so on, as long texts do, with words and more words.\\n\"}]},";
    bool ok = buf_printf(&b, "{\"model\":\"claude-sonnet-4-6\",\"messages\":[");
    const char *tail = l->mode == MODE_JSON ? "],\"metadata\":{\"user_id\":\"{\\\"device_id\\\":"
                                              "\\\"0\\\"}\"},\"max_tokens\":32000,\"stream\":false}"
                                            : "],\"metadata\":{\"user_id\":\"{\\\"device_id\\\":"
                                              "\\\"0\\\"}\"},\"max_tokens\":32000,\"stream\":true}";
    static const char last[] = "{\"role\":\"user\",\"content\":\"";
    size_t fixed = strlen(tail) + sizeof last - 1 + 2;
    while (ok && b.len + sizeof block - 1 + fixed <= l->body)
        ok = buf_add(&b, block, sizeof block - 1);
    ok = ok && buf_add(&b, last, sizeof last - 1);
    while (ok && b.len + 2 + strlen(tail) < l->body)
        ok = buf_add(&b, "x", 1);
    ok = ok && buf_printf(&b, "\"}%s", tail);
    char addr[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &l->to.sin_addr, addr, sizeof addr);
    ok = ok && buf_printf(&l->req,
                          "POST %s HTTP/1.1\r\n"
                          "Accept: application/json\r\n"
                          "Content-Type: application/json\r\n"
                          "User-Agent: claude-cli/2.1.330 (external, cli)\r\n"
                          "X-Claude-Code-Session-Id: 00000000-0000-4000-8000-",
                          l->path);
    l->slot = l->req.len;
    ok = ok &&
         buf_printf(&l->req,
                    "000000000000\r\n"
                    "X-Stainless-Arch: x64\r\n"
                    "X-Stainless-Lang: js\r\n"
                    "X-Stainless-OS: Linux\r\n"
                    "X-Stainless-Package-Version: 0.74.0\r\n"
                    "X-Stainless-Retry-Count: 0\r\n"
                    "X-Stainless-Runtime: node\r\n"
                    "X-Stainless-Runtime-Version: v24.3.0\r\n"
                    "X-Stainless-Timeout: 600\r\n"
                    "anthropic-beta: claude-code-20250219,interleaved-thinking-2025-05-14\r\n"
                    "anthropic-dangerous-direct-browser-access: true\r\n"
                    "anthropic-version: 2023-06-01\r\n"
                    "x-api-key: sk-ant-bench-0123456789\r\n"
                    "x-app: cli\r\n"
                    "Connection: keep-alive\r\n"
                    "Host: %s:%u\r\n"
                    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
                    "Content-Length: %zu\r\n\r\n",
                    addr, ntohs(l->to.sin_port), b.len) &&
         buf_str(&l->req, buf_view(&b));
    if (!ok)
        die("request too large");
    buf_free(&b);
}

/* ---- a connection */

static void watch(struct load *l, struct conn *c, uint32_t events)
{
    if (c->watched == events)
        return;
    struct epoll_event ev = {.events = events, .data.ptr = c};
    if (epoll_ctl(l->ep, c->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &ev) == -1)
        die("epoll_ctl: %s", strerror(errno));
    c->watched = events;
}

static void conn_close(struct conn *c)
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

static void conn_fail(struct load *l, struct conn *c, const char *why)
{
    l->failed++;
    if (!l->why[0])
        snprintf(l->why, sizeof l->why, "%s", why);
    conn_close(c);
}

static void conn_open(struct load *l, struct conn *c)
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

/* As send(2): 0 later, -1 gone. */
static ptrdiff_t conn_write(struct conn *c, const char *p, size_t n)
{
    if (!c->ssl) {
        ssize_t w = send(c->fd, p, n, MSG_NOSIGNAL);
        return w >= 0 ? w : errno == EAGAIN ? 0 : -1;
    }
    size_t w = 0;
    if (SSL_write_ex(c->ssl, p, n, &w) == 1)
        return (ptrdiff_t)w;
    int err = SSL_get_error(c->ssl, 0);
    ERR_clear_error();
    return err == SSL_ERROR_WANT_WRITE || err == SSL_ERROR_WANT_READ ? 0 : -1;
}

/* As recv(2); -2: nothing there now. */
static ptrdiff_t conn_read(struct conn *c, char *p, size_t n)
{
    if (!c->ssl) {
        ssize_t r = recv(c->fd, p, n, 0);
        return r >= 0 ? r : errno == EAGAIN ? -2 : -1;
    }
    size_t r = 0;
    if (SSL_read_ex(c->ssl, p, n, &r) == 1)
        return (ptrdiff_t)r;
    int err = SSL_get_error(c->ssl, 0);
    ERR_clear_error();
    return err == SSL_ERROR_WANT_READ || err == SSL_ERROR_WANT_WRITE ? -2
           : err == SSL_ERROR_ZERO_RETURN                            ? 0
                                                                     : -1;
}

static void conn_send(struct load *l, struct conn *c)
{
    if (c->state != CONN_SENDING) {
        c->state = CONN_SENDING;
        c->sent = 0;
        c->first = true;
        c->begun_us = c->heard_us = clock_mono_us();
    }
    char id[13];
    snprintf(id, sizeof id, "%012u", c->id);
    memcpy(buf_data(&l->req) + l->slot, id, 12);
    while (c->sent < l->req.len) {
        ptrdiff_t w = conn_write(c, buf_data(&l->req) + c->sent, l->req.len - c->sent);
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

static void conn_next(struct load *l, struct conn *c)
{
    if (l->pause_us == 0) {
        conn_send(l, c);
        return;
    }
    c->state = CONN_PAUSED;
    c->resume_us = clock_mono_us() + l->pause_us;
}

/* ---- the reply */

static void sample(struct load *l, int64_t us)
{
    if (l->measuring && l->nsamples < SAMPLES_MAX)
        l->samples[l->nsamples++] = (uint32_t)(us < UINT32_MAX ? us : UINT32_MAX);
}

/* Body bytes without their framing. */
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

/* True: a reply with the right status whose body can be told. */
static bool take_head(struct load *l, struct conn *c)
{
    struct str h = buf_view(&c->head), v;
    if (!str_starts(h, STR("HTTP/1.1 200"))) {
        char why[100];
        snprintf(why, sizeof why, "status: %.*s", (int)min_size(h.n, 40), h.p);
        conn_fail(l, c, why);
        return false;
    }
    c->got = c->events = 0;
    c->last = '\0';
    c->stopped = false;
    c->chunk = CH_SIZE;
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

static int hex(char c)
{
    if (ascii_digit(c))
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Takes chunked bytes; *over: the last one was there. False: broken framing. */
static bool take_chunks(struct load *l, struct conn *c, const char *p, size_t n, bool *over)
{
    for (size_t i = 0; i < n;) {
        char ch = p[i];
        switch (c->chunk) {
        case CH_SIZE:
            if (hex(ch) >= 0)
                c->left = c->left * 16 + (uint64_t)hex(ch);
            else
                c->chunk = CH_LINE;
            if (hex(ch) >= 0)
                i++;
            break;
        case CH_LINE:
            if (ch == '\n')
                c->chunk = c->left ? CH_DATA : CH_TRAILER;
            i++;
            break;
        case CH_DATA: {
            size_t take = min_size(n - i, (size_t)c->left);
            payload(l, c, p + i, take);
            i += take;
            c->left -= take;
            if (!c->left)
                c->chunk = CH_DATA_END;
            break;
        }
        case CH_DATA_END:
            if (ch != '\r' && ch != '\n')
                return false;
            if (ch == '\n')
                c->chunk = CH_SIZE;
            i++;
            break;
        case CH_TRAILER:
            i++;
            if (ch == '\n') {
                *over = true;
                return i == n;
            }
            if (ch != '\r')
                c->chunk = CH_TRAILER_LINE;
            break;
        case CH_TRAILER_LINE:
            if (ch == '\n')
                c->chunk = CH_TRAILER;
            i++;
            break;
        }
    }
    return true;
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
        sample(l, c->heard_us - c->begun_us);
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
        ptrdiff_t n = conn_read(c, l->in, READ);
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
        if (c->state == CONN_CLOSED || (!c->ssl && n < READ))
            return;
    }
}

static void conn_hello(struct load *l, struct conn *c)
{
    int rc = SSL_connect(c->ssl);
    if (rc == 1) {
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
    c->state = CONN_HELLO;
    conn_hello(l, c);
}

static void conn_event(struct load *l, struct conn *c, uint32_t events)
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

/* ---- the run */

/* Nanoseconds of CPU that all threads of the watched processes have used. */
static uint64_t cpu_ns(const struct load *l)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < l->npids; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/task", l->pids[i]);
        DIR *d = opendir(path);
        for (struct dirent *e; d && (e = readdir(d));) {
            if (e->d_name[0] == '.')
                continue;
            char file[400], text[64] = "";
            snprintf(file, sizeof file, "%s/%s/schedstat", path, e->d_name);
            int fd = open(file, O_RDONLY | O_CLOEXEC);
            if (fd == -1)
                continue;
            if (read(fd, text, sizeof text - 1) > 0)
                sum += strtoull(text, NULL, 10);
            fd_close(&fd);
        }
        if (d)
            closedir(d);
    }
    return sum;
}

/* One turn: what has come, then what time has brought. Returns the time. */
static int64_t turn(struct load *l, int64_t now)
{
    struct epoll_event ev[512];
    int n = epoll_wait(l->ep, ev, COUNT_OF(ev), l->pause_us || l->opened < l->conns ? 1 : 100);
    for (int i = 0; i < n; i++)
        conn_event(l, ev[i].data.ptr, ev[i].events);
    int64_t then = now;
    now = clock_mono_us();
    while (l->opened < l->conns && now >= l->from_us + (int64_t)l->opened * l->stagger_us)
        conn_open(l, &l->v[l->opened++]);
    if (!l->pause_us && then / 100000 == now / 100000)
        return now;
    for (uint32_t i = 0; i < l->opened; i++) {
        struct conn *c = &l->v[i];
        if (c->state == CONN_PAUSED && now >= c->resume_us)
            conn_send(l, c);
        else if (c->state != CONN_CLOSED && c->state != CONN_PAUSED &&
                 now - c->heard_us > SILENCE_US)
            conn_fail(l, c, "silence");
        else if (c->state == CONN_CLOSED && l->mode != MODE_HOLD && l->failed < 1000)
            conn_open(l, c);
    }
    return now;
}

static int order(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t percentile(const struct load *l, unsigned p)
{
    return l->nsamples ? l->samples[(l->nsamples - 1) * p / 100] : 0;
}

static void report(struct load *l, int64_t us, uint64_t cpu)
{
    qsort(l->samples, l->nsamples, sizeof *l->samples, order);
    printf("{\"seconds\":%.3f,\"replies\":%" PRIu64 ",\"events\":%" PRIu64 ",\"bytes\":%" PRIu64
           ",\"failed\":%" PRIu64 ",\"why\":\"%s\",\"cpu_us\":%.1f,\"ttfb_us\":{\"p50\":%u,\"p90\":"
           "%u,\"p99\":%u,\"max\":%u}}\n",
           (double)us / 1e6, l->replies, l->events, l->bytes, l->failed, l->why, (double)cpu / 1e3,
           percentile(l, 50), percentile(l, 90), percentile(l, 99), percentile(l, 100));
}

static void run(struct load *l)
{
    int64_t now = l->from_us = clock_mono_us();
    while (l->opened < l->conns || now < l->from_us + (int64_t)(l->warm * 1e6)) {
        now = turn(l, now);
        if (l->failed >= 1000)
            break;
    }
    l->measuring = true;
    int64_t start = clock_mono_us();
    uint64_t cpu = cpu_ns(l);
    while (now - start < (int64_t)(l->seconds * 1e6) && (!l->count || l->replies < l->count) &&
           l->failed < 1000)
        now = turn(l, now);
    cpu = cpu_ns(l) - cpu;
    l->measuring = false;
    report(l, clock_mono_us() - start, cpu);
}

static void hold(struct load *l)
{
    int64_t now = l->from_us = clock_mono_us();
    int64_t until = now + (int64_t)(l->seconds * 1e6);
    while (l->begun < l->conns && now < until && !l->failed)
        now = turn(l, now);
    printf("{\"held\":%u,\"failed\":%" PRIu64 ",\"why\":\"%s\"}\n", l->begun, l->failed, l->why);
    fflush(stdout);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &(struct conn){.state = CONN_CLOSED}};
    char c;
    bool piped = epoll_ctl(l->ep, EPOLL_CTL_ADD, STDIN_FILENO, &ev) == 0;
    if (piped && fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) == -1)
        die("stdin: %s", strerror(errno));
    l->measuring = true;
    int64_t start = clock_mono_us();
    while (piped && now < until && read(STDIN_FILENO, &c, 1) == -1)
        now = turn(l, now);
    report(l, clock_mono_us() - start, 0);
}

/* ---- the command line */

static bool number(const char *s, uint64_t max, uint64_t *out)
{
    return str_to_u64(str_c(s), max, out);
}

static bool option(struct load *l, const char *name, const char *value)
{
    uint64_t n = 0;
    if (strcmp(name, "--to") == 0) {
        const char *colon = strrchr(value, ':');
        char addr[INET_ADDRSTRLEN] = "";
        if (!colon || (size_t)(colon - value) >= sizeof addr || !number(colon + 1, 65535, &n))
            return false;
        memcpy(addr, value, (size_t)(colon - value));
        l->to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)n)};
        return inet_pton(AF_INET, addr, &l->to.sin_addr) == 1;
    }
    if (strcmp(name, "--mode") == 0) {
        static const char *const names[] = {"json", "sse", "hold"};
        for (size_t i = 0; i < COUNT_OF(names); i++) {
            if (strcmp(value, names[i]) == 0) {
                l->mode = (enum mode)i;
                return true;
            }
        }
        return false;
    }
    if (strcmp(name, "--pids") == 0) {
        struct str list = str_c(value), one;
        while (l->npids < PIDS_MAX && str_next_elem(&list, &one)) {
            if (!str_to_u64(one, INT32_MAX, &n))
                return false;
            l->pids[l->npids++] = (int)n;
        }
        return true;
    }
    if (strcmp(name, "--path") == 0) {
        l->path = value;
        return true;
    }
    if (strcmp(name, "--seconds") == 0 || strcmp(name, "--warm") == 0) {
        char *end;
        double s = strtod(value, &end);
        *(strcmp(name, "--warm") == 0 ? &l->warm : &l->seconds) = s;
        return *end == '\0' && s >= 0 && s < 86400;
    }
    if (!number(value, INT32_MAX, &n))
        return false;
    if (strcmp(name, "--conns") == 0)
        l->conns = (uint32_t)(n < CONNS_MAX ? n : CONNS_MAX);
    else if (strcmp(name, "--body") == 0)
        l->body = n < BODY_MAX ? n : BODY_MAX;
    else if (strcmp(name, "--count") == 0)
        l->count = n;
    else if (strcmp(name, "--reply") == 0)
        l->reply = n;
    else if (strcmp(name, "--events") == 0)
        l->want_events = n;
    else if (strcmp(name, "--stagger") == 0)
        l->stagger_us = (int64_t)n;
    else if (strcmp(name, "--pause") == 0)
        l->pause_us = (int64_t)n;
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    static struct load l = {.path = "/v1/messages?beta=true",
                            .conns = 1,
                            .body = 2048,
                            .seconds = 2,
                            .ep = -1,
                            .opened = 0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--tls") == 0) {
            l.tls = true;
        } else if (i + 1 == argc || !option(&l, argv[i], argv[i + 1])) {
            fprintf(stderr,
                    "load: cannot make sense of %s; the options stand at the head of "
                    "tests/bench/load.c\n",
                    argv[i]);
            return 2;
        } else {
            i++;
        }
    }
    if (!l.to.sin_port) {
        fprintf(stderr, "load: --to is missing\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    fd_raise_limit();
    l.ep = epoll_create1(EPOLL_CLOEXEC);
    l.ctx = SSL_CTX_new(TLS_client_method());
    if (l.ep == -1 || !l.ctx)
        die("cannot start");
    SSL_CTX_set_mode(l.ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
    l.in = mem_zalloc(1, READ);
    l.samples = mem_zalloc(SAMPLES_MAX, sizeof *l.samples);
    l.v = mem_zalloc(l.conns, sizeof *l.v);
    for (uint32_t i = 0; i < l.conns; i++) {
        l.v[i].id = i;
        l.v[i].fd = -1;
        buf_init(&l.v[i].head, HEAD_MAX + READ);
    }
    buf_init(&l.req, BODY_MAX + 65536);
    make_request(&l);
    if (l.mode == MODE_HOLD)
        hold(&l);
    else
        run(&l);
    for (uint32_t i = 0; i < l.conns; i++)
        conn_close(&l.v[i]);
    mem_free(l.v);
    mem_free(l.samples);
    mem_free(l.in);
    buf_free(&l.req);
    SSL_CTX_free(l.ctx);
    fd_close(&l.ep);
    return l.failed ? 1 : 0;
}
