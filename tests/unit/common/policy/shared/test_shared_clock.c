#include "common/policy/shared/shared_clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void the_quickest_answer_of_a_minute_counts(void **state)
{
    (void)state;
    struct shared_clock c = {0};
    assert_true(shared_clock_answer(&c, 1000, 1100, 501050));
    assert_int_equal(c.offset_ms, 500000);
    assert_false(shared_clock_answer(&c, 2000, 2200, 502500)); /* slower */
    assert_int_equal(c.offset_ms, 500000);
    assert_true(shared_clock_answer(&c, 3000, 3010, 503025));
    assert_int_equal(c.offset_ms, 500020);
    /* the next minute begins afresh, so that a drift is seen */
    assert_true(shared_clock_answer(&c, 63000, 63200, 563200));
    assert_int_equal(c.offset_ms, 500100);
    assert_int_equal(shared_clock_engine(&c, 7), 500107);
    assert_int_equal(shared_clock_boot(&c, 500107), 7);
    assert_int_equal(shared_clock_engine(&c, 0), 0);
    assert_int_equal(shared_clock_boot(&c, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_quickest_answer_of_a_minute_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
