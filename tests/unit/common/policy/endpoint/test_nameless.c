#include "common/policy/endpoint/nameless.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void three_conversations(void **state)
{
    (void)state;
    struct nameless x = {0};
    assert_false(nameless_add(&x, 1, 0, 0));
    assert_false(nameless_add(&x, 1, 0, 0));
    assert_false(nameless_add(&x, 2, 0, 0));
    assert_false(nameless_add(&x, 1, 0, 0));
    assert_true(nameless_add(&x, 3, 0, 0));
    assert_false(nameless_add(&x, 4, 0, 0));
}

static void a_success_in_between(void **state)
{
    (void)state;
    struct nameless x = {0};
    assert_false(nameless_add(&x, 1, 0, 0));
    assert_false(nameless_add(&x, 2, 0, 0));
    nameless_served(&x);
    assert_false(nameless_add(&x, 3, 0, 0));
    assert_false(nameless_add(&x, 4, 0, 0));
    assert_true(nameless_add(&x, 5, 0, 0));
}

/* One client, however many conversations it invents, proves nothing. */
static void two_clients(void **state)
{
    (void)state;
    struct nameless x = {0};
    for (uint64_t i = 1; i < 1000; i++)
        assert_false(nameless_add(&x, i, 77, 0));
    assert_true(nameless_add(&x, 1000, 78, 0));
    x = (struct nameless){0};
    assert_false(nameless_add(&x, 1, 77, 0));
    assert_false(nameless_add(&x, 2, 78, 0));
    assert_true(nameless_add(&x, 3, 77, 0));
}

static void a_verification_rules_it_out(void **state)
{
    (void)state;
    struct nameless x = {0};
    nameless_verified(&x, 1000, 0); /* it was queued for something else */
    assert_false(nameless_add(&x, 1, 0, 5));
    assert_false(nameless_add(&x, 2, 0, 5));
    assert_true(nameless_add(&x, 3, 0, 5));
    nameless_verified(&x, 1000, 10);
    for (uint64_t i = 1; i < 10; i++)
        assert_false(nameless_add(&x, i, 0, 1009));
    assert_false(nameless_add(&x, 1, 0, 1010));
    assert_false(nameless_add(&x, 2, 0, 1010));
    assert_true(nameless_add(&x, 3, 0, 1010));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_conversations),
        cmocka_unit_test(a_success_in_between),
        cmocka_unit_test(two_clients),
        cmocka_unit_test(a_verification_rules_it_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
