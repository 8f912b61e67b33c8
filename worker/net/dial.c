#include "worker/net/dial.h"

#include "common/base/fd.h"
#include "common/base/list.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "worker/net/connect.h"
#include "worker/net/dial_curl.h"
#include "worker/net/named.h"
#include "worker/net/proxy_why.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

/* Easy handles kept for the next dial: making one costs more than connecting on a LAN. */
enum { SPARES = 8 };

struct dialer {
    struct ev_loop *loop;
    struct dial_lib curl; /* loaded when multi is made */
    CURLM *multi;         /* NULL until the first dial through a proxy */
    struct resolver *resolver;
    bool forget; /* the last dial through a proxy failed: names are resolved anew */
    ev_timer timer;
    struct list dials;
    CURL *spare[SPARES];
    unsigned nspare;
    curl_socket_t handed; /* socket being handed over: close_socket() leaves it open */
};

struct dial {
    struct dialer *d;
    struct list node;
    CURL *easy; /* through a proxy; NULL: dialled by `direct` or `named` */
    bool is_named;
    union {
        struct connect direct;
        struct named named;
    };
    char *proxy; /* owned; NULL: none */
    dial_done *done;
    void *arg;
    bool no_socket; /* socket(2) failed: this host is short of descriptors or memory */
};

/* A socket for whose readiness libcurl asked (CURLMOPT_SOCKETFUNCTION). */
struct watch {
    ev_io io;
    struct dialer *d;
};

static void reap(struct dialer *d);

static void on_socket(struct ev_loop *loop, ev_io *w, int revents)
{
    (void)loop;
    struct watch *x = CONTAINER_OF(w, struct watch, io);
    struct dialer *d = x->d;
    int bits =
        (revents & EV_READ ? CURL_CSELECT_IN : 0) | (revents & EV_WRITE ? CURL_CSELECT_OUT : 0);
    int running;
    d->curl.multi_socket_action(d->multi, w->fd, bits, &running);
    reap(d);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)loop, (void)revents;
    struct dialer *d = CONTAINER_OF(w, struct dialer, timer);
    int running;
    d->curl.multi_socket_action(d->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    reap(d);
}

static int set_timer(CURLM *m, long timeout_ms, void *arg)
{
    (void)m;
    struct dialer *d = arg;
    ev_timer_stop(d->loop, &d->timer);
    if (timeout_ms >= 0) {
        /* ev_now() may lag behind the clock with which libcurl computed timeout_ms */
        ev_now_update(d->loop);
        ev_timer_set(&d->timer, (double)timeout_ms / 1000.0, 0.);
        ev_timer_start(d->loop, &d->timer);
    }
    return 0;
}

static int set_socket(CURL *easy, curl_socket_t s, int what, void *arg, void *sockp)
{
    (void)easy;
    struct dialer *d = arg;
    struct watch *x = sockp;
    if (what == CURL_POLL_REMOVE) {
        if (x) {
            ev_io_stop(d->loop, &x->io);
            mem_free(x);
        }
        return 0;
    }
    if (!x) {
        x = mem_zalloc(1, sizeof *x);
        x->d = d;
        ev_init(&x->io, on_socket);
        d->curl.multi_assign(d->multi, s, x);
    } else {
        ev_io_stop(d->loop, &x->io);
    }
    int events = (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0);
    ev_io_set(&x->io, s, events);
    ev_io_start(d->loop, &x->io);
    return 0;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    (void)purpose;
    struct dial *x = arg;
    int fd = socket(a->family, a->socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->protocol);
    x->no_socket =
        fd == -1 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM);
    if (fd != -1 && (a->family == AF_INET || a->family == AF_INET6)) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    return fd == -1 ? CURL_SOCKET_BAD : fd;
}

static int close_socket(void *arg, curl_socket_t s)
{
    struct dialer *d = arg;
    if (s == d->handed) {
        d->handed = CURL_SOCKET_BAD;
        return 0;
    }
    fd_close(&s);
    return 0;
}

struct dialer *dialer_new(struct ev_loop *loop)
{
    struct dialer *d = mem_zalloc(1, sizeof *d);
    d->loop = loop;
    d->handed = CURL_SOCKET_BAD;
    list_init(&d->dials);
    d->resolver = resolver_new(loop, getaddrinfo);
    ev_init(&d->timer, on_timer);
    return d;
}

/* Loads libcurl and makes the multi handle. False: *e says why. */
static bool begin(struct dialer *d, struct err *e)
{
    if (!dial_curl_load(&d->curl, e))
        return false;
    if (d->curl.global_init(CURL_GLOBAL_NOTHING) != CURLE_OK || !(d->multi = d->curl.multi_init()))
        return err_set(e, "libcurl cannot be started");
    d->curl.multi_setopt(d->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
    d->curl.multi_setopt(d->multi, CURLMOPT_SOCKETDATA, d);
    d->curl.multi_setopt(d->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    d->curl.multi_setopt(d->multi, CURLMOPT_TIMERDATA, d);
    return true;
}

const char *dialer_library(void)
{
    static struct err e;
    struct dial_lib lib;
    return dial_curl_load(&lib, &e) ? lib.version() : e.msg;
}

static void put_back(struct dialer *d, CURL *c)
{
    d->curl.multi_remove_handle(d->multi, c);
    if (d->nspare < SPARES) {
        d->curl.easy_reset(c);
        d->spare[d->nspare++] = c;
    } else {
        d->curl.easy_cleanup(c);
    }
}

static void end(struct dial *x)
{
    if (x->easy)
        put_back(x->d, x->easy);
    else if (x->is_named)
        named_cancel(&x->named);
    else
        connect_cancel(&x->direct);
    list_remove(&x->node);
    mem_free(x->proxy);
    mem_free(x);
}

void dialer_free(struct dialer *d)
{
    if (!d)
        return;
    LIST_EACH(n, tmp, &d->dials)
    end(LIST_ENTRY(n, struct dial, node));
    while (d->nspare)
        d->curl.easy_cleanup(d->spare[--d->nspare]);
    if (d->multi) {
        d->curl.multi_cleanup(d->multi);
        d->curl.global_cleanup();
    }
    resolver_free(d->resolver);
    ev_timer_stop(d->loop, &d->timer);
    mem_free(d);
}

static bool socks(const char *proxy)
{
    return strncasecmp(proxy, "socks", 5) == 0;
}

static void on_connected(void *arg, int fd, enum net_fault why)
{
    struct dial *x = arg;
    dial_done *done = x->done;
    void *done_arg = x->arg;
    end(x);
    done(done_arg, fd, why, NULL);
}

static void on_named(void *arg, int fd, enum net_fault why, const struct detail *d)
{
    struct dial *x = arg;
    dial_done *done = x->done;
    void *done_arg = x->arg;
    end(x);
    done(done_arg, fd, why, d);
}

/* Connects without a proxy: to an address or to a name. */
static struct dial *dial_host(struct dialer *d, const char *host, uint16_t port, int64_t timeout_ms,
                              dial_done *done, void *arg)
{
    struct sockaddr_storage to;
    socklen_t len;
    struct dial *x = mem_zalloc(1, sizeof *x);
    x->d = d;
    x->done = done;
    x->arg = arg;
    list_push_back(&d->dials, &x->node);
    x->is_named = !connect_literal(host, port, &to, &len);
    if (x->is_named)
        named_start(&x->named, d->loop, d->resolver, host, port, timeout_ms, on_named, x);
    else
        connect_start(&x->direct, d->loop, &to, len, timeout_ms, on_connected, x);
    return x;
}

struct dial *dial_start(struct dialer *d, const char *host, uint16_t port, const char *proxy,
                        int64_t timeout_ms, dial_done *done, void *arg)
{
    struct err e;
    if (!proxy)
        return dial_host(d, host, port, timeout_ms, done, arg);
    if (!d->multi && !begin(d, &e)) {
        log_error("%s", e.msg);
        return NULL;
    }
    CURL *c = d->nspare ? d->spare[--d->nspare] : d->curl.easy_init();
    if (!c)
        return NULL;
    struct dial *x = mem_zalloc(1, sizeof *x);
    x->d = d;
    x->easy = c;
    x->done = done;
    x->arg = arg;
    x->proxy = mem_strdup(proxy);
    list_push_back(&d->dials, &x->node);
    char url[320];
    snprintf(url, sizeof url, strchr(host, ':') ? "http://[%s]:%u/" : "http://%s:%u/", host, port);
    d->curl.easy_setopt(c, CURLOPT_URL, url);
    d->curl.easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http");
    d->curl.easy_setopt(c, CURLOPT_CONNECT_ONLY, 1L);
    d->curl.easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* A dial that ends while its name is being resolved does not join the resolver's thread: that
     * (the default) would block the worker for as long as a name server does not answer. */
    d->curl.easy_setopt(c, CURLOPT_QUICK_EXIT, 1L);
#endif
    d->curl.easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
    d->curl.easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout_ms);
    d->curl.easy_setopt(c, CURLOPT_PROXY, proxy);
    d->curl.easy_setopt(c, CURLOPT_NOPROXY, "");
    d->curl.easy_setopt(c, CURLOPT_HTTPPROXYTUNNEL, socks(proxy) ? 0L : 1L);
    if (d->forget)
        d->curl.easy_setopt(c, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    d->curl.easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    d->curl.easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    d->curl.easy_setopt(c, CURLOPT_OPENSOCKETDATA, x);
    d->curl.easy_setopt(c, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    d->curl.easy_setopt(c, CURLOPT_CLOSESOCKETDATA, d);
    d->curl.easy_setopt(c, CURLOPT_PRIVATE, x);
    if (d->curl.multi_add_handle(d->multi, c) != CURLM_OK) {
        end(x);
        return NULL;
    }
    return x;
}

void dial_cancel(struct dial *dial)
{
    if (dial)
        end(dial);
}

/* Why a dial through a proxy failed; *d: in words. */
static enum net_fault reason(const struct dial *x, CURLcode code, struct detail *d)
{
    struct proxy_said said = {.code = (int)code, .password = strchr(x->proxy, '@') != NULL};
    struct err why;
    char host[DETAIL_MAX];
    x->d->curl.easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &said.os);
    x->d->curl.easy_getinfo(x->easy, CURLINFO_PROXY_ERROR, &said.socks);
    x->d->curl.easy_getinfo(x->easy, CURLINFO_HTTP_CONNECTCODE, &said.status);
    enum net_fault fault = NET_PROXY;
    if (x->no_socket || said.os == EMFILE || said.os == ENFILE)
        fault = NET_LOCAL;
    else if (code == CURLE_COULDNT_RESOLVE_HOST)
        fault = NET_RESOLVE;
    else if (code == CURLE_OPERATION_TIMEDOUT)
        fault = NET_CONNECT_TIMEOUT;
    else if (code == CURLE_OUT_OF_MEMORY || code == CURLE_FAILED_INIT ||
             code == CURLE_URL_MALFORMAT)
        fault = NET_LOCAL;
    proxy_why(&said, &why);
    proxy_host(x->proxy, host, sizeof host);
    detail_set(d, fault, host, fault == NET_LOCAL ? NULL : why.msg);
    return fault;
}

/* Ends the dials that libcurl reports as done, each with its callback. A callback may start or
 * cancel other dials, so the queue is read anew after each. */
static void reap(struct dialer *d)
{
    CURLMsg *m;
    int left;
    while ((m = d->curl.multi_info_read(d->multi, &left))) {
        if (m->msg != CURLMSG_DONE)
            continue;
        struct dial *x = NULL;
        d->curl.easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&x);
        CURLcode code = m->data.result;
        curl_socket_t s = CURL_SOCKET_BAD;
        if (code == CURLE_OK)
            d->curl.easy_getinfo(x->easy, CURLINFO_ACTIVESOCKET, &s);
        enum net_fault why = NET_NONE;
        struct detail detail = {0};
        d->forget = s == CURL_SOCKET_BAD;
        if (s == CURL_SOCKET_BAD)
            why = reason(x, code, &detail);
        dial_done *done = x->done;
        void *arg = x->arg;
        d->handed = s;
        end(x);
        d->handed = CURL_SOCKET_BAD;
        done(arg, s == CURL_SOCKET_BAD ? -1 : s, why, &detail);
    }
}
