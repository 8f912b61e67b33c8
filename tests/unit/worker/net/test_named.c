/* Connecting by name: which addresses are tried, when a name is asked for anew, and what a name
 * server does that hangs, lies or knows nothing. */
#include "worker/net/named.h"

#include "common/base/clock.h"
#include "common/base/mem.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a name server */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t go;
    const char *v[RESOLVE_MAX]; /* addresses; n 0: error */
    int n, error, asked;
    bool hangs;
} dns = {.lock = PTHREAD_MUTEX_INITIALIZER, .go = PTHREAD_COND_INITIALIZER};

static int fake_ask(const char *host, const char *service, const struct addrinfo *hints,
                    struct addrinfo **out)
{
    (void)host;
    struct addrinfo numeric = *hints, *last = NULL;
    numeric.ai_flags = AI_NUMERICHOST;
    pthread_mutex_lock(&dns.lock);
    dns.asked++;
    while (dns.hangs)
        pthread_cond_wait(&dns.go, &dns.lock);
    int error = dns.n ? 0 : dns.error;
    *out = NULL;
    for (int i = 0; i < dns.n; i++) {
        struct addrinfo *one;
        assert_int_equal(getaddrinfo(dns.v[i], service, &numeric, &one), 0);
        if (last)
            last->ai_next = one;
        else
            *out = one;
        last = one;
    }
    pthread_mutex_unlock(&dns.lock);
    return error;
}

static void dns_says(const char *a, const char *b)
{
    pthread_mutex_lock(&dns.lock);
    dns.n = !a ? 0 : !b ? 1 : 2;
    dns.v[0] = a;
    dns.v[1] = b;
    dns.asked = 0;
    dns.error = EAI_NONAME;
    pthread_mutex_unlock(&dns.lock);
}

static void dns_hangs(bool hangs)
{
    pthread_mutex_lock(&dns.lock);
    dns.hangs = hangs;
    pthread_cond_broadcast(&dns.go);
    pthread_mutex_unlock(&dns.lock);
}

/* ---- connections */

struct end {
    struct ev_loop *loop;
    struct resolver *resolver;
    struct named named;
    int calls, fd;
    enum net_fault why;
    char text[DETAIL_MAX], peer[64];
};

static void ended(void *arg, int fd, enum net_fault why, const struct detail *d)
{
    struct end *e = arg;
    struct sockaddr_in at = {0};
    socklen_t len = sizeof at;
    e->calls++;
    e->fd = fd;
    e->why = why;
    snprintf(e->text, sizeof e->text, "%s", d->text);
    if (fd != -1 && getpeername(fd, (struct sockaddr *)&at, &len) == 0)
        inet_ntop(AF_INET, &at.sin_addr, e->peer, sizeof e->peer);
    if (fd != -1)
        close(fd);
    ev_break(e->loop, EVBREAK_ALL);
}

static int setup(void **state)
{
    struct end *e = mem_zalloc(1, sizeof *e);
    e->loop = ev_loop_new(EVFLAG_AUTO);
    e->resolver = resolver_new(e->loop, fake_ask);
    *state = e;
    return 0;
}

static int teardown(void **state)
{
    struct end *e = *state;
    resolver_free(e->resolver);
    ev_loop_destroy(e->loop);
    mem_free(e);
    return 0;
}

static void go(struct end *e, uint16_t port, int64_t timeout_ms)
{
    e->calls = 0;
    e->peer[0] = '\0';
    named_start(&e->named, e->loop, e->resolver, "relay.test", port, timeout_ms, ended, e);
    assert_int_equal(e->calls, 0); /* always from the loop */
    /* a question alone does not keep the loop alive: in a worker others do */
    ev_ref(e->loop);
    ev_run(e->loop, 0);
    ev_unref(e->loop);
    assert_int_equal(e->calls, 1);
}

/* Listens on an address, on the port *port or, if that is 0, on one that is free. */
static int listening(const char *at, uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, at, &a.sin_addr);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static void cached_for_a_minute(void **state)
{
    struct end *e = *state;
    uint16_t port = 0;
    int s = listening("127.0.0.2", &port);
    dns_says("127.0.0.2", NULL);
    for (int i = 0; i < 3; i++) {
        go(e, port, 5000);
        assert_string_equal(e->peer, "127.0.0.2");
    }
    assert_int_equal(dns.asked, 1);
    int64_t now = clock_boot_ms();
    assert_non_null(resolve_cached(e->resolver, "relay.test", now));
    assert_null(resolve_cached(e->resolver, "relay.test", now + RESOLVE_CACHE_MS));
    close(s);
}

static void all_are_tried_and_the_failing_last(void **state)
{
    struct end *e = *state;
    uint16_t port = 0;
    int s = listening("127.0.0.3", &port);
    dns_says("127.0.0.2", "127.0.0.3");
    go(e, port, 5000);
    assert_string_equal(e->peer, "127.0.0.3");
    const struct addresses *a = resolve_cached(e->resolver, "relay.test", clock_boot_ms());
    assert_int_equal(a->n, 2);
    assert_int_equal(ntohl(a->v[0].to.v4.sin_addr.s_addr), 0x7f000003);
    assert_true(a->v[1].failed);
    go(e, port, 5000);
    assert_string_equal(e->peer, "127.0.0.3");
    close(s);
}

static void moved_name_is_asked_for_at_once(void **state)
{
    struct end *e = *state;
    uint16_t port = 0;
    int s = listening("127.0.0.2", &port);
    dns_says("127.0.0.2", NULL);
    go(e, port, 5000);
    close(s);
    s = listening("127.0.0.3", &port);
    dns_says("127.0.0.3", NULL);
    go(e, port, 5000);
    assert_string_equal(e->peer, "127.0.0.3");
    assert_int_equal(dns.asked, 1);
    close(s);
}

static void refused_without_a_new_address(void **state)
{
    struct end *e = *state;
    uint16_t port = 0;
    close(listening("127.0.0.2", &port));
    dns_says("127.0.0.2", NULL);
    for (int i = 0; i < 2; i++) {
        go(e, port, 5000);
        assert_int_equal(e->why, NET_REFUSED);
        assert_string_equal(e->text, "connection refused (relay.test)");
        assert_int_equal(dns.asked, i + 1); /* one question a try: nothing was cached */
    }
}

static void unknown_name(void **state)
{
    struct end *e = *state;
    dns_says(NULL, NULL);
    go(e, 1, 5000);
    assert_int_equal(e->why, NET_RESOLVE);
    assert_string_equal(e->text, "host name not found (relay.test)");
    dns.error = EAI_AGAIN;
    go(e, 1, 5000);
    assert_int_equal(e->why, NET_RESOLVE);
    assert_non_null(strstr(e->text, gai_strerror(EAI_AGAIN)));
}

/* A name server that knows nothing now and then costs one connection, not what is known. */
static void unknown_now_and_then(void **state)
{
    struct end *e = *state;
    uint16_t port = 0;
    int s = listening("127.0.0.2", &port);
    dns_says(NULL, NULL);
    go(e, port, 5000);
    assert_int_equal(e->why, NET_RESOLVE);
    dns_says("127.0.0.2", NULL);
    go(e, port, 5000);
    assert_string_equal(e->peer, "127.0.0.2");
    close(s);
}

static void name_server_that_hangs(void **state)
{
    struct end *e = *state;
    uint16_t port = 0;
    int s = listening("127.0.0.2", &port);
    dns_says("127.0.0.2", NULL);
    dns_hangs(true);
    for (int i = 0; i < 3; i++) {
        go(e, port, 50);
        assert_int_equal(e->why, NET_CONNECT_TIMEOUT);
        assert_string_equal(e->text, "connect timeout: no answer from a name server (relay.test)");
    }
    assert_int_equal(dns.asked, 1); /* one thread for a name */
    dns_hangs(false);
    go(e, port, 5000);
    assert_string_equal(e->peer, "127.0.0.2");
    close(s);
}

static void given_up_while_the_name_server_hangs(void **state)
{
    struct end *e = *state;
    dns_says("127.0.0.2", NULL);
    dns_hangs(true);
    named_start(&e->named, e->loop, e->resolver, "relay.test", 1, 5000, ended, e);
    for (int asked = 0; !asked; usleep(1000)) { /* the thread is there */
        pthread_mutex_lock(&dns.lock);
        asked = dns.asked;
        pthread_mutex_unlock(&dns.lock);
    }
    named_cancel(&e->named);
    resolver_free(e->resolver);
    e->resolver = NULL;
    dns_hangs(false); /* the thread finds nobody */
    assert_int_equal(e->calls, 0);
}

static void two_hundred_addresses(void **state)
{
    struct end *e = *state;
    static char text[200][24];
    uint16_t port = 0;
    int s = listening("127.0.7.199", &port);
    dns_says("127.0.7.0", NULL);
    for (int i = 0; i < 200; i++) {
        snprintf(text[i], sizeof text[i], "127.0.7.%d", i);
        dns.v[i] = text[i];
    }
    dns.n = 200;
    go(e, port, 20000);
    assert_string_equal(e->peer, "127.0.7.199");
    go(e, port, 20000);
    assert_string_equal(e->peer, "127.0.7.199");
    assert_int_equal(dns.asked, 1);
    close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        TEST(cached_for_a_minute),
        TEST(all_are_tried_and_the_failing_last),
        TEST(moved_name_is_asked_for_at_once),
        TEST(refused_without_a_new_address),
        TEST(unknown_name),
        TEST(unknown_now_and_then),
        TEST(name_server_that_hangs),
        TEST(given_up_while_the_name_server_hangs),
        TEST(two_hundred_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
