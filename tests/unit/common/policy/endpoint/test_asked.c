/* The models asked for within the hour. */
#include "common/policy/endpoint/asked.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NOW = 1000000 };

static void a_name_is_noted_once_and_lasts_an_hour(void **state)
{
    (void)state;
    static struct asked a;
    a = (struct asked){0};
    assert_int_equal(asked_next_ms(&a), INT64_MAX);
    int at = asked_note(&a, STR("claude-opus-4"), NOW), none = asked_note(&a, STR(""), NOW + 5);
    assert_true(at >= 0 && none >= 0 && at != none);
    assert_int_equal(asked_note(&a, STR("claude-opus-4"), NOW + 10), at);
    assert_int_equal(asked_note(&a, STR("claude-opus-4"), NOW), at); /* says nothing new */
    assert_int_equal(asked_find(&a, STR("claude-opus-4")), at);
    assert_int_equal(asked_find(&a, STR("")), none);
    assert_int_equal(asked_find(&a, STR("claude-opus")), -1);
    assert_true(str_eq(asked_name(&a, (size_t)at), STR("claude-opus-4")));
    assert_int_equal(asked_next_ms(&a), NOW + 5 + ASKED_FOR_MS);
    assert_int_equal(asked_drop(&a, NOW + 4 + ASKED_FOR_MS), -1);
    assert_int_equal(asked_drop(&a, NOW + 5 + ASKED_FOR_MS), none);
    assert_true(asked_within(&a, (size_t)at, NOW + 9 + ASKED_FOR_MS));
    assert_false(asked_within(&a, (size_t)at, NOW + 10 + ASKED_FOR_MS));
    assert_int_equal(asked_drop(&a, NOW + 10 + ASKED_FOR_MS), at);
    assert_int_equal(asked_drop(&a, NOW + 10 + ASKED_FOR_MS), -1);
    assert_int_equal(asked_find(&a, STR("claude-opus-4")), -1);
}

static void it_is_told_once_a_minute(void **state)
{
    (void)state;
    static struct asked a;
    a = (struct asked){0};
    assert_true(asked_due(&a, STR("m"), NOW));
    asked_note(&a, STR("m"), NOW);
    assert_false(asked_due(&a, STR("m"), NOW + ASKED_PAUSE_MS - 1));
    assert_true(asked_due(&a, STR("m"), NOW + ASKED_PAUSE_MS));
    assert_true(asked_due(&a, STR("n"), NOW));
}

static void names_that_are_too_long_are_not_noted(void **state)
{
    (void)state;
    static struct asked a;
    char name[ASKED_NAME_MAX + 1];
    a = (struct asked){0};
    memset(name, 'm', sizeof name);
    struct str longest = str_make(name, ASKED_NAME_MAX), longer = str_make(name, sizeof name);
    assert_false(asked_due(&a, longer, NOW));
    assert_int_equal(asked_note(&a, longer, NOW), -1);
    assert_true(asked_note(&a, longest, NOW) >= 0);
    assert_true(str_eq(asked_name(&a, (size_t)asked_find(&a, longest)), longest));
}

static void the_one_longest_unasked_goes(void **state)
{
    (void)state;
    static struct asked a;
    char name[16];
    a = (struct asked){0};
    for (int i = 0; i < ASKED_MAX; i++) {
        snprintf(name, sizeof name, "m%d", i);
        assert_true(asked_note(&a, str_c(name), NOW + i) >= 0);
    }
    asked_note(&a, STR("m0"), NOW + 1000);
    int at = asked_find(&a, STR("m1"));
    assert_int_equal(asked_note(&a, STR("more"), NOW + 1001), at);
    assert_int_equal(asked_find(&a, STR("m1")), -1);
    assert_true(asked_find(&a, STR("m0")) >= 0 && asked_find(&a, STR("m2")) >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_noted_once_and_lasts_an_hour),
        cmocka_unit_test(it_is_told_once_a_minute),
        cmocka_unit_test(names_that_are_too_long_are_not_noted),
        cmocka_unit_test(the_one_longest_unasked_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
