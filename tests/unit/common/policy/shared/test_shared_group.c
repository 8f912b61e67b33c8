#include "common/policy/shared/shared_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1700000000000)

/* Values as the engine has them, and whether they are taken: then they are written as they came. */
static void values(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
        bool good, in_force;
    } row[] = {
        {"w", "1 enabled", true, false},
        {"w", "1 disabled", true, false},
        {"w", "1 off", false, false},
        {"w:0123456789abcdef", "1 enabled", false, false},
        {"z", "5 ", true, false},
        {"z", "5 x", false, false},
        {"k", "7 refused 401 1699999999999", true, true},
        {"k", "7 ok", true, false},
        {"k", "7 refused 1000 1", false, false},
        {"k", "7 refused 401", false, false},
        {"b", "1 open 1700000000000 60000 said", true, true},
        {"b", "1 half 1700000000000 60000 seen", true, true},
        {"b:00000000000000ff", "1 open 1 60000 seen", true, true},
        {"b", "1 closed", true, false},
        {"b", "1 closed ", true, false},
        {"b", "1 closed x", false, false},
        {"b", "1 open 1 60000", false, false},
        {"b", "1 open 1 60000 felt", false, false},
        {"b", "1 open 1 86400001 said", false, false},
        {"b", "1 open 1702592000001 60000 said", false, false},
        {"b", "-1 closed", false, false},
        {"b", "closed", false, false},
        {"b:00000000000000FF", "1 closed", false, false},
        {"b:0000000000000000", "1 closed", false, false},
        {"b:ff", "1 closed", false, false},
        {"q", "1 in 1 2 3 said gateway page", true, true},
        {"q", "1 in 1 2 3 seen ", true, true},
        {"q", "1 out", true, false},
        {"q", "1 in 1 2 1000001 said x", false, false},
        {"q", "1 in 1 2 3 said a\nb", false, false},
        {"c", "1 1702592000000 0 2", true, false},
        {"c:00000000000000ff", "1 0 0 0", true, false},
        {"c", "1 1702592000001 0 2", false, false},
        {"c", "1 0 0", false, false},
        {"x:00000000000000ff", "1 99", true, false},
        {"x", "1 99", false, false},
        {"s", "1 claude-opus-4-8", true, false},
        {"s", "1 a\033b", false, false},
        {"y", "1 x", false, false},
        {"", "1 x", false, false},
        {"b", "", false, false},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct shared_group g;
        bool good = shared_group_parse(str_c(row[i].name), str_c(row[i].text), NOW, &g);
        if (good != row[i].good)
            fail_msg("%s %s: %d", row[i].name, row[i].text, good);
        if (!good)
            continue;
        char name[SHARED_NAME_MAX + 1], value[SHARED_VALUE_MAX + 1];
        char whole[SHARED_VALUE_MAX + 32];
        shared_group_name(&g, name);
        shared_group_value(&g, value);
        snprintf(whole, sizeof whole, "%lld %s", (long long)g.stamp_ms, value);
        assert_string_equal(name, row[i].name);
        if (strncmp(whole, row[i].text, strlen(whole)) != 0)
            fail_msg("%s became %s", row[i].text, whole);
        assert_int_equal(shared_group_in_force(&g), row[i].in_force);
    }
}

static void a_stamp_ahead_counts_as_now(void **state)
{
    (void)state;
    struct shared_group g;
    assert_true(shared_group_parse(STR("b"), STR("1700000000500 closed"), NOW, &g));
    assert_int_equal(g.stamp_ms, NOW);
    assert_false(shared_group_parse(STR("b"), STR("1702592000001 closed"), NOW, &g));
}

static void what_is_written_has_no_control_characters(void **state)
{
    (void)state;
    struct shared_group g = {.kind = SHARED_QUEUE,
                             .queue = {.in = true, .since_ms = 1, .next_ms = 2, .reason = "a\nb"}};
    char value[SHARED_VALUE_MAX + 1];
    shared_group_value(&g, value);
    assert_string_equal(value, "in 1 2 0 said a?b");
}

static void what_is_followed(void **state)
{
    (void)state;
    struct shared_group g = {.kind = SHARED_BREAKER,
                             .how = SHARED_SEEN,
                             .breaker = {.state = SHARED_OPEN, .since_ms = 1, .open_ms = 1}};
    assert_true(shared_group_followed(&g, 0, NOW));
    assert_true(shared_group_followed(&g, NOW - 10000, NOW));
    assert_false(shared_group_followed(&g, NOW - 9999, NOW));
    g.how = SHARED_SAID;
    assert_true(shared_group_followed(&g, NOW, NOW));
    g.how = SHARED_SEEN;
    g.breaker.state = SHARED_CLOSED;
    assert_true(shared_group_followed(&g, NOW, NOW));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(a_stamp_ahead_counts_as_now),
        cmocka_unit_test(what_is_written_has_no_control_characters),
        cmocka_unit_test(what_is_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
