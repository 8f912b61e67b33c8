#include "supervisor/children/backoff.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct backoff_conf conf = {.young_ms = 2000, .first_ms = 100, .max_ms = 5000};

static void doubles_up_to_its_ceiling(void **state)
{
    (void)state;
    static const int64_t waits[] = {0, 100, 200, 400, 800, 1600, 3200, 5000, 5000};
    struct backoff b = {0};
    for (size_t i = 0; i < COUNT_OF(waits); i++)
        assert_int_equal(backoff_ended(&b, &conf, 0), waits[i]);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(backoff_ended(&b, &conf, 1999), 5000);
}

static void a_long_life_forgives(void **state)
{
    (void)state;
    struct backoff b = {0};
    for (int i = 0; i < 10; i++)
        backoff_ended(&b, &conf, 10);
    assert_int_equal(backoff_ended(&b, &conf, 2000), 0);
    assert_int_equal(backoff_ended(&b, &conf, 10), 0);
    assert_int_equal(backoff_ended(&b, &conf, 10), 100);
}

static void long_lives_never_wait(void **state)
{
    (void)state;
    struct backoff b = {0};
    for (int i = 0; i < 10; i++)
        assert_int_equal(backoff_ended(&b, &conf, 5000), 0);
}

static void no_ceiling_no_overflow(void **state)
{
    (void)state;
    static const struct backoff_conf wide = {.young_ms = 1, .first_ms = 3, .max_ms = INT64_MAX / 2};
    struct backoff b = {0};
    int64_t last = 0;
    for (int i = 0; i < 200; i++) {
        int64_t wait = backoff_ended(&b, &wide, 0);
        assert_true(wait >= last && wait <= wide.max_ms);
        last = wait;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_up_to_its_ceiling),
        cmocka_unit_test(a_long_life_forgives),
        cmocka_unit_test(long_lives_never_wait),
        cmocka_unit_test(no_ceiling_no_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
