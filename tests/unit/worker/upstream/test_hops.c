/* Max-Forwards: which requests may be passed on, and with which number. */
#include "worker/upstream/hops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct forward_request r;

static enum hops count(const char *method, const char *value, const char *again)
{
    static struct http_field f[2];
    r = (struct forward_request){.method = str_c(method), .f = f, .nf = again ? 2 : 1};
    f[0] = (struct http_field){.id = HDR_MAX_FORWARDS, .value = str_c(value)};
    f[1] = (struct http_field){.id = HDR_MAX_FORWARDS, .value = str_c(again ? again : "")};
    return hops_count(&r);
}

static void counted(void **state)
{
    (void)state;
    assert_int_equal(count("OPTIONS", "10", NULL), HOPS_LEFT);
    assert_true(r.counted);
    assert_int_equal(r.max_forwards, 9);
    assert_int_equal(count("TRACE", "1", NULL), HOPS_LEFT);
    assert_int_equal(r.max_forwards, 0);
    assert_int_equal(count("OPTIONS", "0", NULL), HOPS_OVER);
    assert_int_equal(count("OPTIONS", "000", NULL), HOPS_OVER);
    assert_int_equal(count("OPTIONS", "99999999999999999999999", NULL), HOPS_LEFT);
    assert_int_equal(r.max_forwards, UINT32_MAX - 1);
}

static void not_counted(void **state)
{
    (void)state;
    assert_int_equal(count("GET", "0", NULL), HOPS_NONE);
    assert_int_equal(count("options", "0", NULL), HOPS_NONE); /* methods are case-sensitive */
    assert_false(r.counted);
}

static void bad(void **state)
{
    (void)state;
    static const char *const v[] = {"", "-1", "+1", "1.0", "1, 1", "x"};
    for (size_t i = 0; i < COUNT_OF(v); i++)
        assert_int_equal(count("OPTIONS", v[i], NULL), HOPS_BAD);
    assert_int_equal(count("OPTIONS", "1", "1"), HOPS_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counted),
        cmocka_unit_test(not_counted),
        cmocka_unit_test(bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
