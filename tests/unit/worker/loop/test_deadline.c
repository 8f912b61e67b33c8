#include "common/base/mem.h"
#include "worker/loop/deadline.h"
#include "worker/loop/turn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static struct turn turn;

static struct ev_loop *new_loop(void)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    turn_init(&turn, loop);
    return loop;
}

static void end_loop(struct ev_loop *loop)
{
    turn_fini(&turn);
    ev_loop_destroy(loop);
}

/* Two that are due in the same turn; the first to fire ends the other. */
struct pair {
    struct deadline tmo;
    struct pair *other;
    int *fired;
    struct pair **left; /* who has fired */
};

static void on_expired(struct deadline *t)
{
    struct pair *p = CONTAINER_OF(t, struct pair, tmo);
    ++*p->fired;
    if (!p->other)
        return;
    *p->left = p;
    deadline_fini(&p->other->tmo);
    mem_free(p->other);
    p->other = NULL;
}

static void test_ended_while_due(void **state)
{
    (void)state;
    struct ev_loop *loop = new_loop();
    int fired = 0;
    struct pair *p[2], *left = NULL;
    for (int i = 0; i < 2; i++) {
        p[i] = mem_zalloc(1, sizeof *p[i]);
        deadline_init(&p[i]->tmo, loop, on_expired);
        p[i]->fired = &fired;
        p[i]->left = &left;
    }
    p[0]->other = p[1];
    p[1]->other = p[0];
    deadline_set(&p[0]->tmo, 1);
    deadline_set(&p[1]->tmo, 1);
    ev_run(loop, 0);
    assert_int_equal(fired, 1);
    deadline_fini(&left->tmo);
    mem_free(left);
    end_loop(loop);
}

static void test_moved_later_and_cleared(void **state)
{
    (void)state;
    struct ev_loop *loop = new_loop();
    int fired = 0;
    struct pair p = {.fired = &fired};
    deadline_init(&p.tmo, loop, on_expired);
    deadline_set(&p.tmo, 1);
    deadline_set(&p.tmo, 20);
    double began = ev_now(loop);
    ev_run(loop, 0);
    assert_int_equal(fired, 1);
    assert_true(ev_now(loop) - began > 0.015);
    assert_false(deadline_active(&p.tmo));
    deadline_set(&p.tmo, 1);
    deadline_clear(&p.tmo);
    ev_run(loop, 0);
    assert_int_equal(fired, 1);
    deadline_fini(&p.tmo);
    end_loop(loop);
}

/* The process stands still for s seconds after the turn under way. */
static void stand_still(double s)
{
    turn.mono -= s;
}

static void nothing(struct deadline *t)
{
    (void)t;
}

static void test_stood_still(void **state)
{
    (void)state;
    struct ev_loop *loop = new_loop();
    int fired = 0;
    struct pair p = {.fired = &fired};
    deadline_init(&p.tmo, loop, on_expired);
    double began = ev_now(loop);
    deadline_set(&p.tmo, 50);
    stand_still(3600);
    ev_run(loop, 0);
    assert_int_equal(fired, 1);
    assert_int_equal(turn.stalls, 1);
    /* its own time, and a second more to read what came meanwhile */
    assert_true(ev_now(loop) - began > 1.04);
    deadline_fini(&p.tmo);
    end_loop(loop);
}

static void test_machine_was_suspended(void **state)
{
    (void)state;
    struct ev_loop *loop = new_loop();
    int fired = 0;
    struct pair p = {.fired = &fired};
    deadline_init(&p.tmo, loop, on_expired);
    double began = ev_now(loop);
    deadline_set(&p.tmo, 50);
    turn.suspended_ms -= 60000; /* by now CLOCK_BOOTTIME is so much ahead */
    ev_run(loop, 0);
    assert_int_equal(fired, 1);
    assert_int_equal(turn.stalls, 1);
    assert_true(ev_now(loop) - began > 1.04);
    deadline_fini(&p.tmo);
    end_loop(loop);
}

/* A socket that becomes readable in the same turn moves the deadline, or is looked at once more. */
struct reader {
    ev_io io;
    struct deadline tmo;
    int read, expired, fd[2];
};

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    (void)events;
    struct reader *r = CONTAINER_OF(io, struct reader, io);
    r->read++;
    deadline_clear(&r->tmo);
    ev_io_stop(loop, io);
}

static void on_late(struct deadline *t)
{
    struct reader *r = CONTAINER_OF(t, struct reader, tmo);
    r->expired++;
}

/* A reader in a loop of its own that waits for 1 ms. */
static struct ev_loop *reader_begins(struct reader *r)
{
    struct ev_loop *loop = new_loop();
    *r = (struct reader){0};
    assert_int_equal(pipe(r->fd), 0);
    ev_io_init(&r->io, on_readable, r->fd[0], EV_READ);
    ev_io_start(loop, &r->io);
    deadline_init(&r->tmo, loop, on_late);
    deadline_set(&r->tmo, 1);
    return loop;
}

/* It has read what came, and its deadline has not passed. */
static void reader_ends(struct reader *r, struct ev_loop *loop)
{
    assert_int_equal(r->read, 1);
    assert_int_equal(r->expired, 0);
    deadline_fini(&r->tmo);
    close(r->fd[0]);
    close(r->fd[1]);
    end_loop(loop);
}

static void test_what_was_sent_is_read_first(void **state)
{
    (void)state;
    struct reader r;
    struct ev_loop *loop = reader_begins(&r);
    assert_int_equal(write(r.fd[1], "x", 1), 1);
    usleep(5000);
    ev_run(loop, 0);
    reader_ends(&r, loop);
}

/* The wait was interrupted, and has told of no socket. */
static void test_looks_once_more_when_late(void **state)
{
    (void)state;
    struct reader r;
    struct ev_loop *loop = reader_begins(&r);
    usleep(150000);
    ev_run(loop, EVRUN_ONCE);
    assert_int_equal(r.expired, 0);
    assert_true(deadline_active(&r.tmo));
    assert_int_equal(write(r.fd[1], "x", 1), 1);
    ev_run(loop, EVRUN_ONCE);
    reader_ends(&r, loop);
}

/* A loop that waits for nothing but a far deadline does not take that for standing still. */
static void test_long_wait(void **state)
{
    (void)state;
    struct ev_loop *loop = new_loop();
    struct deadline t;
    deadline_init(&t, loop, nothing);
    deadline_set(&t, 2500);
    ev_run(loop, 0);
    assert_int_equal(turn.stalls, 0);
    assert_true(turn.time >= 2.49);
    deadline_fini(&t);
    end_loop(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ended_while_due),
        cmocka_unit_test(test_moved_later_and_cleared),
        cmocka_unit_test(test_stood_still),
        cmocka_unit_test(test_machine_was_suspended),
        cmocka_unit_test(test_what_was_sent_is_read_first),
        cmocka_unit_test(test_looks_once_more_when_late),
        cmocka_unit_test(test_long_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
