#include "common/base/mem.h"
#include "worker/loop/deadline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Two that are due in the same turn; the first to fire ends the other. */
struct pair {
    struct tmo tmo;
    struct pair *other;
    int *fired;
    struct pair **left; /* who has fired */
};

static void on_expired(struct tmo *t)
{
    struct pair *p = CONTAINER_OF(t, struct pair, tmo);
    ++*p->fired;
    if (!p->other)
        return;
    *p->left = p;
    tmo_fini(&p->other->tmo);
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
        tmo_init(&p[i]->tmo, loop, on_expired);
        p[i]->fired = &fired;
        p[i]->left = &left;
    }
    p[0]->other = p[1];
    p[1]->other = p[0];
    tmo_set(&p[0]->tmo, 1);
    tmo_set(&p[1]->tmo, 1);
    ev_run(loop, 0);
    assert_int_equal(fired, 1);
    tmo_fini(&left->tmo);
    mem_free(left);
    ev_loop_destroy(loop);
}

static void test_moved_later_and_cleared(void **state)
{
    (void)state;
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    int fired = 0;
    struct pair p = {.fired = &fired};
    tmo_init(&p.tmo, loop, on_expired);
    tmo_set(&p.tmo, 1);
    tmo_set(&p.tmo, 20);
    double began = ev_now(loop);
    ev_run(loop, 0);
    assert_int_equal(fired, 1);
    assert_true(ev_now(loop) - began > 0.015);
    assert_false(tmo_active(&p.tmo));
    tmo_set(&p.tmo, 1);
    tmo_clear(&p.tmo);
    ev_run(loop, 0);
    assert_int_equal(fired, 1);
    tmo_fini(&p.tmo);
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
