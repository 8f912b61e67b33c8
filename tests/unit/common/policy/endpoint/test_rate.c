#include "common/policy/endpoint/rate.h"

#include "common/secret/rnd.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void the_first_value_is_the_average(void **state)
{
    (void)state;
    struct rate_avg a = {0};
    assert_int_equal(rate_avg_get(&a), 0);
    rate_avg_add(&a, 123456);
    assert_int_equal(rate_avg_get(&a), 123456);
    rate_avg_add(&a, 123456 + 800);
    assert_int_equal(rate_avg_get(&a), 123456 + 100);
}

static void it_follows_and_never_says_unknown_again(void **state)
{
    (void)state;
    struct rate_avg a = {0};
    rate_avg_add(&a, 1000000);
    for (int i = 0; i < 200; i++) {
        rate_avg_add(&a, 50);
        assert_true(rate_avg_get(&a) >= 50);
    }
    assert_in_range(rate_avg_get(&a), 50, 51);
    for (int i = 0; i < 200; i++)
        rate_avg_add(&a, 0);
    assert_int_equal(rate_avg_get(&a), 1);
    for (int i = 0; i < 200; i++)
        rate_avg_add(&a, UINT64_MAX);
    assert_in_range(rate_avg_get(&a), UINT32_MAX / 8 - 8, UINT32_MAX / 8);
}

/* Between the smallest and the largest of what came, always. */
static void it_stays_within_what_came(void **state)
{
    (void)state;
    struct rnd rnd = {{51, 52}};
    struct rate_avg a = {0};
    for (int i = 0; i < 100000; i++) {
        rate_avg_add(&a, 1000 + rnd_next(&rnd) % 9000);
        assert_in_range(rate_avg_get(&a), 1000, 10000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_value_is_the_average),
        cmocka_unit_test(it_follows_and_never_says_unknown_again),
        cmocka_unit_test(it_stays_within_what_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
