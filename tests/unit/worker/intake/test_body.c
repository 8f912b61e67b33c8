/* A body that drips. */
#include "worker/intake/body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void slow(void **state)
{
    (void)state;
    struct body b = {.since = 100, .len = 10239};
    assert_false(body_slow(&b, 109.9, 1024)); /* it may begin slowly */
    assert_true(body_slow(&b, 110, 1024));
    b.len = 10240;
    assert_false(body_slow(&b, 110, 1024));
    assert_true(body_slow(&b, 111, 1024));
    assert_false(body_slow(&b, 1e9, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(slow)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
