/* A connection to an address: how it ends, and that it may be given up. */
#include "worker/net/connect.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct end {
    struct ev_loop *loop;
    int calls, fd;
    enum net_fault why;
};

static void ended(void *arg, int fd, enum net_fault why)
{
    struct end *e = arg;
    e->calls++;
    e->fd = fd;
    e->why = why;
    ev_break(e->loop, EVBREAK_ALL);
}

static struct sockaddr_storage at(const char *host, uint16_t port, socklen_t *len)
{
    struct sockaddr_storage to;
    assert_true(connect_literal(host, port, &to, len));
    return to;
}

/* A listening socket of this machine and its port. */
static int listening(uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static void literals(void **state)
{
    (void)state;
    struct sockaddr_storage to;
    socklen_t len;
    assert_true(connect_literal("192.0.2.7", 443, &to, &len));
    const struct sockaddr_in *v4 = (const void *)&to;
    assert_int_equal(len, sizeof *v4);
    assert_int_equal(ntohs(v4->sin_port), 443);
    assert_int_equal(ntohl(v4->sin_addr.s_addr), 0xc0000207);
    assert_true(connect_literal("2001:db8::1", 80, &to, &len));
    const struct sockaddr_in6 *v6 = (const void *)&to;
    assert_int_equal(len, sizeof *v6);
    assert_int_equal(v6->sin6_family, AF_INET6);
    assert_int_equal(ntohs(v6->sin6_port), 80);
    static const char *const names[] = {
        "localhost", "api.anthropic.com", "127.1", "1.2.3.4.5", "fe80::1%lo", "", "0x7f.0.0.1"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        assert_false(connect_literal(names[i], 80, &to, &len));
}

static void connects(void **state)
{
    (void)state;
    struct end e = {.loop = ev_loop_new(0)};
    struct connect c;
    uint16_t port;
    socklen_t len;
    int listener = listening(&port);
    struct sockaddr_storage to = at("127.0.0.1", port, &len);
    connect_start(&c, e.loop, &to, len, 5000, ended, &e);
    assert_int_equal(e.calls, 0); /* never from within */
    ev_run(e.loop, 0);
    assert_int_equal(e.calls, 1);
    assert_int_equal(e.why, NET_NONE);
    int there = accept(listener, NULL, NULL);
    assert_int_equal(write(e.fd, "x", 1), 1);
    char x;
    assert_int_equal(read(there, &x, 1), 1);
    close(there);
    close(e.fd);
    close(listener);
    ev_loop_destroy(e.loop);
}

static void is_refused(void **state)
{
    (void)state;
    struct end e = {.loop = ev_loop_new(0)};
    struct connect c;
    uint16_t port;
    socklen_t len;
    close(listening(&port));
    struct sockaddr_storage to = at("127.0.0.1", port, &len);
    connect_start(&c, e.loop, &to, len, 5000, ended, &e);
    assert_int_equal(e.calls, 0);
    ev_run(e.loop, 0);
    assert_int_equal(e.calls, 1);
    assert_int_equal(e.fd, -1);
    assert_int_equal(e.why, NET_REFUSED);
    ev_loop_destroy(e.loop);
}

/* The backlog of one who never accepts is full: the kernel answers no more. */
static void is_late(void **state)
{
    (void)state;
    enum { FILL = 4 };
    struct end e = {.loop = ev_loop_new(0)};
    struct connect c[FILL];
    struct end fill[FILL];
    uint16_t port;
    socklen_t len;
    int listener = listening(&port);
    struct sockaddr_storage to = at("127.0.0.1", port, &len);
    for (int i = 0; i < FILL; i++) {
        fill[i] = (struct end){.loop = e.loop, .fd = -1};
        connect_start(&c[i], e.loop, &to, len, 50, ended, &fill[i]);
    }
    int late = 0;
    for (int i = 0; i < FILL; i++)
        ev_run(e.loop, 0);
    for (int i = 0; i < FILL; i++) {
        assert_int_equal(fill[i].calls, 1);
        late += fill[i].why == NET_CONNECT_TIMEOUT;
        if (fill[i].fd != -1)
            close(fill[i].fd);
    }
    assert_true(late > 0);
    close(listener);
    ev_loop_destroy(e.loop);
}

/* Connected in time, but the process stood still until after the time. */
static void is_late_itself(void **state)
{
    (void)state;
    struct end e = {.loop = ev_loop_new(0)};
    struct connect c;
    uint16_t port;
    socklen_t len;
    int listener = listening(&port);
    struct sockaddr_storage to = at("127.0.0.1", port, &len);
    connect_start(&c, e.loop, &to, len, 1, ended, &e);
    usleep(20000);
    ev_run(e.loop, 0);
    assert_int_equal(e.calls, 1);
    assert_int_equal(e.why, NET_NONE);
    close(e.fd);
    close(listener);
    ev_loop_destroy(e.loop);
}

static void given_up(void **state)
{
    (void)state;
    struct end e = {.loop = ev_loop_new(0)};
    struct connect c;
    uint16_t port;
    socklen_t len;
    int listener = listening(&port);
    struct sockaddr_storage to = at("127.0.0.1", port, &len);
    connect_start(&c, e.loop, &to, len, 5000, ended, &e);
    int fd = c.fd;
    connect_cancel(&c);
    ev_run(e.loop, 0); /* nothing is watched any more */
    assert_int_equal(e.calls, 0);
    assert_int_equal(write(fd, "x", 1), -1); /* closed */
    connect_cancel(&c);
    close(listener);
    ev_loop_destroy(e.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals), cmocka_unit_test(connects),       cmocka_unit_test(is_refused),
        cmocka_unit_test(is_late),  cmocka_unit_test(is_late_itself), cmocka_unit_test(given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
