#include "worker/connect_try.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf_wire.h"
#include "common/ipc/ipc.h"
#include "common/secret/secret.h"
#include "worker/loop/turn.h"
#include "worker/shared/replica.h"
#include "worker/upstream/exchange.h"
#include "worker/upstream/forward.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { SEND_MAX = 64 << 10 };

struct
try {
    struct exchange exchange;
    struct check *check;
    const struct conf_endpoint *ce;
    struct buf send;
    bool good;
    char result[DETAIL_MAX + 96];
};

struct check {
    struct ev_loop *loop;
    struct exchange_env env;
    struct exchange_conf conf;
    size_t left;
};

static void over(struct try *t)
{
    if (--t->check->left == 0)
        ev_break(t->check->loop, EVBREAK_ALL);
}

static const char *remark(unsigned status)
{
    if (status == 401 || status == 403)
        return ": it is there; whether it takes the key only a request shows";
    if (status / 100 == 3)
        return ": a redirect, as from a wrong base_url";
    return status >= 500 ? ": it is there, and does not work" : "";
}

static bool on_event(struct exchange *x, const struct exchange_event *ev)
{
    struct try *t = CONTAINER_OF(x, struct try, exchange);
    if (ev->head) {
        double ms = (ev_now(t->check->loop) - x->started) * 1000;
        t->good = ev->head->status < 500;
        snprintf(t->result, sizeof t->result, "status %u after %.0f ms%s", ev->head->status, ms,
                 remark(ev->head->status));
    }
    if (ev->end)
        over(t);
    return true;
}

static void on_failed(struct exchange *x, enum net_fault why)
{
    struct try *t = CONTAINER_OF(x, struct try, exchange);
    t->good = false;
    snprintf(t->result, sizeof t->result, "%s", exchange_why(x, why));
    over(t);
}

static const struct exchange_ops ops = {on_event, on_failed};

static void start(struct try *t, struct pool *p)
{
    struct http_field line = {.name = STR_LIT("user-agent"),
                              .line = "user-agent: qcc/" QCC_VERSION "\r\n",
                              .line_len = sizeof "user-agent: qcc/" QCC_VERSION "\r\n" - 1};
    struct forward_request h = {.method = STR("HEAD"), .target = STR("/"), .f = &line, .nf = 1};
    buf_init(&t->send, SEND_MAX);
    bool ok = forward_to_endpoint(&t->send, &h, t->ce, 0);
    struct iovec iov = {buf_data(&t->send), t->send.len};
    if (ok && exchange_start(&t->exchange, &t->check->env, &t->check->conf, p, true, METHOD_HEAD,
                             &iov, 1, &ops))
        return;
    snprintf(t->result, sizeof t->result, "%s", net_fault_text(NET_LOCAL));
    t->check->left--;
}

static struct conf *receive(int fd)
{
    struct buf b;
    char piece[4096];
    ssize_t n;
    struct err e;
    buf_init(&b, IPC_CONF_MAX);
    while ((n = read(fd, piece, sizeof piece)) > 0 || (n == -1 && errno == EINTR))
        if (n > 0 && !buf_add(&b, piece, (size_t)n))
            break;
    struct conf *c = n == 0 ? conf_wire_get(buf_view(&b), &e) : NULL;
    if (b.len)
        secret_wipe(buf_data(&b), b.len);
    secret_wipe(piece, sizeof piece);
    buf_free(&b);
    return c;
}

static void no_room(void *arg)
{
    (void)arg;
}

/* Asks all, prints what came of it. Returns whether all answered. */
static bool run(struct check *k, struct replica *r)
{
    struct try *tries = mem_zalloc(r->n, sizeof *tries);
    bool good = true;
    k->left = r->n;
    for (size_t i = 0; i < r->n; i++) {
        tries[i].check = k;
        tries[i].ce = r->eps[i]->ce;
        start(&tries[i], r->eps[i]->live->pool);
    }
    if (k->left)
        ev_run(k->loop, 0);
    for (size_t i = 0; i < r->n; i++) {
        struct try *t = &tries[i];
        printf("%s (%s)%s: %s: %s\n", t->ce->name, t->ce->base_url,
               t->ce->enabled ? "" : ", not enabled", t->good ? "good" : "failed", t->result);
        good = good && t->good;
        exchange_free(&t->exchange);
        if (t->send.len)
            secret_wipe(buf_data(&t->send), t->send.len);
        buf_free(&t->send);
    }
    mem_free(tries);
    return good;
}

int connect_try(int fd)
{
    struct turn turn;
    struct err e;
    struct replica replica = {0};
    log_init("qcc-worker");
    signal(SIGPIPE, SIG_IGN);
    struct conf *c = receive(fd);
    struct ev_loop *loop = ev_default_loop(EVFLAG_NOSIGMASK);
    if (!c || !loop)
        return 2;
    turn_init(&turn, loop);
    struct dialer *d = dialer_new(loop);
    struct check k = {.loop = loop,
                      .env = {.loop = loop,
                              .rbuf = mem_zalloc(1, TURN_READ),
                              .rbuf_size = TURN_READ,
                              .head = mem_zalloc(1, sizeof *k.env.head)},
                      .conf = {.first_byte_ms = c->failure_queue.probe_timeout,
                               .idle_ms = c->failure_queue.probe_timeout,
                               .max_head = (size_t)c->upstream.max_response_header_bytes}};
    bool good = false;
    if (!replica_configure(&replica, c, loop, d, no_room, NULL, &e))
        printf("%s\n", e.msg);
    else
        good = run(&k, &replica);
    replica_free(&replica);
    dialer_free(d);
    turn_fini(&turn);
    ev_loop_destroy(loop);
    mem_free(k.env.rbuf);
    mem_free(k.env.head);
    conf_unref(c);
    return good ? 0 : 1;
}
