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
    static const struct {
        enum shared_how how;
        enum shared_breaker state;
        int64_t served_ms;
        bool own, followed;
    } rows[] = {
        {SHARED_SEEN, SHARED_OPEN, 0, false, true},
        {SHARED_SEEN, SHARED_OPEN, NOW - 10000, false, true},
        {SHARED_SEEN, SHARED_OPEN, NOW - 9999, false, false},
        {SHARED_SEEN, SHARED_OPEN, NOW - 9999, true, true}, /* this host's own row is full too */
        {SHARED_SEEN, SHARED_HALF, NOW, false, false},
        {SHARED_SEEN, SHARED_CLOSED, NOW, false, true},
        {SHARED_SAID, SHARED_OPEN, NOW, false, true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        g.how = rows[i].how;
        g.breaker.state = rows[i].state;
        assert_int_equal(shared_group_followed(&g, rows[i].served_ms, rows[i].own, NOW),
                         rows[i].followed);
    }
}

static void a_host_that_suspects_itself(void **state)
{
    (void)state;
    assert_false(shared_group_suspect(0, 0));
    assert_false(shared_group_suspect(1, 1)); /* one endpoint says nothing */
    assert_false(shared_group_suspect(2, 1));
    assert_true(shared_group_suspect(2, 2));
    assert_false(shared_group_suspect(3, 2));
    assert_true(shared_group_suspect(3, 3));
}

/* Of cells and marks: the name, sealed, stands behind the value. */
static void a_sealed_name_goes_along(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *value;
    } rows[] = {
        {"b:00000000000000ff", "5 closed QUJD", "closed QUJD"},
        {"b:00000000000000ff", "5 open 4 60000 seen QUJD", "open 4 60000 seen QUJD"},
        {"b:00000000000000ff", "5 open 4 60000 seen", "open 4 60000 seen"},
        {"c:00000000000000ff", "5 9 0 1 QUJD", "9 0 1 QUJD"},
        {"x:00000000000000ff", "5 9 QUJD", "9 QUJD"},
        {"x:00000000000000ff", "5 0 QUJD", "0 QUJD"},
    };
    static const char *const bad[][2] = {
        {"b", "5 closed QUJD"},
        {"c", "5 9 0 1 QUJD"},
        {"x:00000000000000ff", "5 9 QU JD"},
        {"x:00000000000000ff", "5 9 QU\1JD"},
        {"b:00000000000000ff", "5 open 4 60000 seen QUJD x"},
    };
    struct shared_group g;
    char out[SHARED_VALUE_MAX + 1], longest[SHARED_SEALED_MAX + 8] = "5 9 ";
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_true(shared_group_parse(str_c(rows[i].name), str_c(rows[i].text), NOW, &g));
        shared_group_value(&g, out);
        assert_string_equal(out, rows[i].value);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(shared_group_parse(str_c(bad[i][0]), str_c(bad[i][1]), NOW, &g));
    memset(longest + 4, 'A', SHARED_SEALED_MAX);
    assert_true(shared_group_parse(str_c(rows[4].name), str_c(longest), NOW, &g));
    longest[4 + SHARED_SEALED_MAX] = 'A';
    assert_false(shared_group_parse(str_c(rows[4].name), str_c(longest), NOW, &g));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(a_stamp_ahead_counts_as_now),
        cmocka_unit_test(what_is_written_has_no_control_characters),
        cmocka_unit_test(what_is_followed),
        cmocka_unit_test(a_host_that_suspects_itself),
        cmocka_unit_test(a_sealed_name_goes_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
