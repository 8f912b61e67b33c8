#include "common/base/mem.h"
#include "worker/loop/deadline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
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
    ev_loop_destroy(loop);
}

static void test_moved_later_and_cleared(void **state)
{
    (void)state;
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
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
    ev_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ended_while_due),
        cmocka_unit_test(test_moved_later_and_cleared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
