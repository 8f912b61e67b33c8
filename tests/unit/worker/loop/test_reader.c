#include "worker/loop/deadline.h"
#include "worker/loop/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { SOCKETS = 6 };

/* Sockets whose names are appended to `served` as they are read. */
struct source {
    struct reader rd;
    int fd, far;
    char name;
    char reads;             /* bytes taken by one call */
    struct source *stops;   /* which one it stops when it is served */
    struct source *repeats; /* which one it has called again */
};

static struct turn turn;
static struct ev_loop *loop;
static struct source src[SOCKETS];
static char served[32];

static void on_ready(struct ready *ready)
{
    struct source *s = CONTAINER_OF(ready, struct source, rd.ready);
    char byte[8];
    size_t n = strlen(served);
    assert_true(n < sizeof served - 1);
    served[n] = s->name;
    if (s->reads)
        assert_true(recv(s->fd, byte, (size_t)s->reads, 0) > 0);
    if (s->stops)
        reader_stop(loop, &s->stops->rd);
    if (s->repeats)
        reader_again(loop, &s->repeats->rd);
    s->repeats = NULL;
}

static int set_up(void **state)
{
    (void)state;
    loop = ev_loop_new(EVFLAG_AUTO);
    turn_init(&turn, loop);
    memset(served, 0, sizeof served);
    for (int i = 0; i < SOCKETS; i++) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
        src[i] = (struct source){.fd = pair[0], .far = pair[1], .reads = 8};
        src[i].name = (char)('a' + i);
        reader_init(&src[i].rd, i < SOCKETS / 2 ? TURN_CLIENTS : TURN_REPLIES, src[i].fd, on_ready);
        reader_start(loop, &src[i].rd);
    }
    ev_run(loop, EVRUN_NOWAIT); /* epoll has them now, in which order does not matter */
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < SOCKETS; i++) {
        reader_stop(loop, &src[i].rd);
        close(src[i].fd);
        close(src[i].far);
    }
    turn_fini(&turn);
    ev_loop_destroy(loop);
    return 0;
}

static void come(const char *names, const char *bytes)
{
    for (; *names; names++)
        assert_int_equal(send(src[*names - 'a'].far, bytes, strlen(bytes), 0), strlen(bytes));
}

static void run(const char *expected)
{
    ev_run(loop, EVRUN_NOWAIT);
    assert_string_equal(served, expected);
    memset(served, 0, sizeof served);
}

static void test_in_order(void **state)
{
    (void)state;
    come("bca", "x");
    run("bca");
    run(""); /* epoll forgets the old order when it finds that nothing is left */
    come("acb", "x");
    run("acb");
    run("");
}

static void test_replies_first(void **state)
{
    (void)state;
    come("bfaecd", "x");
    run("fedbac");
}

static void test_stopped_while_it_waits(void **state)
{
    (void)state;
    src[1].stops = &src[0];
    src[4].stops = &src[2];
    come("bcae", "x");
    run("eb");
    run("");
    src[1].stops = src[4].stops = NULL;
    reader_start(loop, &src[0].rd);
    run("a"); /* nothing of it was lost */
}

static void test_again(void **state)
{
    (void)state;
    src[0].repeats = &src[0];
    src[1].repeats = &src[5];
    come("abc", "xyz");
    for (int i = 0; i < 2; i++)
        src[i].reads = 1;
    src[5].reads = 0;
    run("abcfa");
    src[0].repeats = NULL;
    run("ab");
}

static void on_expired(struct deadline *d)
{
    (void)d;
    served[strlen(served)] = '!';
}

static void test_before_deadlines(void **state)
{
    (void)state;
    struct deadline d;
    deadline_init(&d, loop, on_expired);
    deadline_set(&d, 0);
    come("de", "x");
    while (!strchr(served, '!'))
        ev_run(loop, EVRUN_ONCE);
    run("de!");
    deadline_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_replies_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stopped_while_it_waits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_before_deadlines, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
