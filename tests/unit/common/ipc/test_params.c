/* params: values as URLs have them; what is broken is refused, not guessed. */
#include "common/ipc/params.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct str get(const char *query, const char *name, enum param want)
{
    static char room[16];
    struct str v = {0};
    assert_int_equal(params_get(str_c(query), str_c(name), room, sizeof room, &v), want);
    return v;
}

static void values(void **state)
{
    (void)state;
    assert_true(str_eq(get("a=1&b=2", "b", PARAM_GIVEN), STR("2")));
    assert_true(str_eq(get("a=1&a=2", "a", PARAM_GIVEN), STR("1")));
    assert_true(str_eq(get("a=%7e+%2B&b", "a", PARAM_GIVEN), STR("~ +")));
    assert_true(str_eq(get("ab=1&b", "b", PARAM_GIVEN), STR("")));
    assert_true(str_eq(get("&&x=y=z&", "x", PARAM_GIVEN), STR("y=z")));
    get("", "a", PARAM_NONE);
    get("ab=1", "a", PARAM_NONE);
    assert_true(str_eq(get("a=0123456789abcdef", "a", PARAM_GIVEN), STR("0123456789abcdef")));
    get("a=0123456789abcdefg", "a", PARAM_BAD);
    get("a=%", "a", PARAM_BAD);
    get("a=%4", "a", PARAM_BAD);
    get("a=%g1", "a", PARAM_BAD);
    get("a=%0a", "a", PARAM_BAD);
    get("a=%00", "a", PARAM_BAD);
}

static void unknown_names(void **state)
{
    static const struct str known[] = {STR_LIT("since"), STR_LIT("by")};
    (void)state;
    assert_int_equal(params_unknown(STR(""), known, 2).n, 0);
    assert_int_equal(params_unknown(STR("by=a&since=1&&"), known, 2).n, 0);
    assert_true(str_eq(params_unknown(STR("by=a&until=1"), known, 2), STR("until")));
    assert_true(str_eq(params_unknown(STR("=1"), known, 2), STR("=")));
}

static void moments(void **state)
{
    int64_t at;
    (void)state;
    assert_true(params_moment(STR("1774746000"), 5, &at));
    assert_int_equal(at, 1774746000);
    assert_true(params_moment(STR("90m"), 1000000, &at));
    assert_int_equal(at, 1000000 - 5400);
    assert_true(params_moment(STR("2w"), 1774746000, &at));
    assert_int_equal(at, 1774746000 - 1209600);
    assert_false(params_moment(STR("7d"), 1000, &at));
    assert_false(params_moment(STR(""), 1000, &at));
    assert_false(params_moment(STR("d"), 1000, &at));
    assert_false(params_moment(STR("-1"), 1000, &at));
    assert_false(params_moment(STR("1y"), 1000, &at));
    assert_false(params_moment(STR("99999999999999999999"), 1000, &at));
}

/* What is added is read back. */
static void added(void **state)
{
    char room[64];
    struct str v;
    struct buf b;
    (void)state;
    buf_init(&b, 64);
    assert_true(params_add(&b, STR("a"), STR("")));
    assert_true(params_add(&b, STR("model"), STR("x & = + %41[1m] \xc3\xa4")));
    assert_true(str_starts(buf_view(&b), STR("a=&model=x%20%26%20%3D")));
    assert_int_equal(params_get(buf_view(&b), STR("model"), room, sizeof room, &v), PARAM_GIVEN);
    assert_true(str_eq(v, STR("x & = + %41[1m] \xc3\xa4")));
    assert_false(params_add(&b, STR("b"), STR("0123456789")));
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(unknown_names),
        cmocka_unit_test(moments),
        cmocka_unit_test(added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
