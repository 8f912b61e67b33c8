/* clock: which of the kernel's clocks each function reads. */
#include "common/base/clock.h"

#include "common/base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    assert_int_equal(clock_gettime(id, &t), 0);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Far less than a machine is suspended for. */
static void assert_near(int64_t a, int64_t b)
{
    assert_true(llabs(a - b) < 1000);
}

static void clocks(void **state)
{
    (void)state;
    assert_near(clock_mono_ms(), read_clock(CLOCK_MONOTONIC));
    assert_near(clock_mono_us() / 1000, read_clock(CLOCK_MONOTONIC));
    assert_near(clock_boot_ms(), read_clock(CLOCK_BOOTTIME));
    assert_near(clock_wall_ms(), read_clock(CLOCK_REALTIME));
    assert_near(clock_suspended_ms(), read_clock(CLOCK_BOOTTIME) - read_clock(CLOCK_MONOTONIC));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(clocks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
