/* hist: every duration has its bucket, and quantiles lie in the bucket where they belong. */
#include "common/policy/hist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void every_bound_is_within(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HIST_BUCKETS - 1; i++) {
        uint64_t us = (uint64_t)hist_bound_ms[i] * 1000;
        assert_true(i == 0 || hist_bound_ms[i] > hist_bound_ms[i - 1]);
        assert_int_equal(hist_bucket(us), i);
        assert_int_equal(hist_bucket(us + 1), i + 1);
    }
    assert_int_equal(hist_bucket(0), 0);
    assert_int_equal(hist_bucket(UINT64_MAX), HIST_BUCKETS - 1);
}

static void quantiles(void **state)
{
    (void)state;
    uint64_t v[HIST_BUCKETS] = {0};
    assert_int_equal(hist_quantile(v, 500), -1);
    v[hist_bucket(4000)] = 98;  /* 3 to 5 ms */
    v[hist_bucket(900000)] = 2; /* 700 ms to 1 s */
    int64_t p50 = hist_quantile(v, 500), p99 = hist_quantile(v, 990);
    assert_true(p50 > 3900 && p50 < 4100);
    assert_true(p99 > 700000 && p99 <= 1000000);
    assert_true(hist_quantile(v, 1000) <= 1000000);
    assert_true(hist_quantile(v, 0) >= 3000);
    v[HIST_BUCKETS - 1] = 1000;
    assert_int_equal(hist_quantile(v, 990), 600000000);
}

static void one_value(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HIST_BUCKETS - 1; i++) {
        uint64_t v[HIST_BUCKETS] = {0};
        v[i] = 1;
        for (unsigned p = 0; p <= 1000; p += 100) {
            int64_t us = hist_quantile(v, p);
            assert_true(us <= (int64_t)hist_bound_ms[i] * 1000);
            assert_true(i == 0 || us >= (int64_t)hist_bound_ms[i - 1] * 1000);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bound_is_within),
        cmocka_unit_test(quantiles),
        cmocka_unit_test(one_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
