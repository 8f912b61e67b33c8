#include "common/policy/shared/shared_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void a_log_is_read_without_a_gap(void **state)
{
    (void)state;
    struct shared_log l = {0};
    assert_int_equal(shared_log_resume(&l, STR("e"), 0, 9), SHARED_RESYNC_FIRST);
    assert_true(shared_log_begin(&l, STR("e"), STR("5-0"), 9));
    assert_int_equal(shared_log_next(&l, STR("6-0"), 10), SHARED_RESYNC_NONE);
    assert_int_equal(shared_log_next(&l, STR("6-1"), 12), SHARED_RESYNC_GAP);
    assert_int_equal(shared_log_next(&l, STR("6-1"), 10), SHARED_RESYNC_GAP);
    assert_int_equal(shared_log_next(&l, STR("6-1"), 11), SHARED_RESYNC_NONE);
    assert_string_equal(l.entry, "6-1");
    assert_string_equal(shared_resync_name(SHARED_RESYNC_GAP), "gap");
}

static void where_a_log_may_be_resumed(void **state)
{
    (void)state;
    struct shared_log l = {0};
    assert_true(shared_log_begin(&l, STR("e"), STR("5-0"), 9));
    assert_int_equal(shared_log_resume(&l, STR("e"), 9, 9), SHARED_RESYNC_NONE);
    assert_int_equal(shared_log_resume(&l, STR("e"), 9, 12), SHARED_RESYNC_NONE);
    assert_int_equal(shared_log_resume(&l, STR("f"), 9, 12), SHARED_RESYNC_EPOCH);
    assert_int_equal(shared_log_resume(&l, STR("e"), 0, 12), SHARED_RESYNC_LOST);
    assert_int_equal(shared_log_resume(&l, STR("e"), 8, 12), SHARED_RESYNC_LOST);
    assert_int_equal(shared_log_resume(&l, STR("e"), 9, 8), SHARED_RESYNC_LOST);
    assert_true(shared_log_begin(&l, STR("e"), STR("0-0"), 0));
    assert_int_equal(shared_log_resume(&l, STR("e"), 0, 3), SHARED_RESYNC_NONE);
}

static void texts_over_their_bounds(void **state)
{
    (void)state;
    char text[64];
    struct shared_log l = {0};
    memset(text, '1', sizeof text);
    assert_false(shared_log_begin(&l, STR(""), STR("1-0"), 1));
    assert_false(shared_log_begin(&l, str_make(text, 33), STR("1-0"), 1));
    assert_false(shared_log_begin(&l, STR("e"), str_make(text, 41), 1));
    assert_int_equal(shared_log_next(&l, str_make(text, 41), 1), SHARED_RESYNC_GAP);
}

static void what_is_no_entry_and_no_epoch(void **state)
{
    static const char *const none[] = {"",
                                       "-",
                                       "1",
                                       "1-",
                                       "-1",
                                       "1-x",
                                       "x-1",
                                       "1-1-1",
                                       " 1-1",
                                       "1-1 ",
                                       "99999999999999999999-0",
                                       "+",
                                       "$",
                                       "1-1\n"};
    struct shared_log l = {0};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        assert_false(shared_log_entry(str_c(none[i])));
        if (none[i][0])
            assert_false(shared_log_begin(&l, STR("e"), str_c(none[i]), 1));
        assert_int_equal(shared_log_next(&l, str_c(none[i]), 1), SHARED_RESYNC_GAP);
    }
    assert_true(shared_log_entry(STR("18446744073709551615-18446744073709551615")) ||
                sizeof "18446744073709551615-18446744073709551615" - 1 > SHARED_ENTRY_MAX);
    assert_true(shared_log_begin(&l, STR("e"), STR(""), 0)); /* of a log without entries */
    assert_false(shared_log_begin(&l, STR("e e"), STR("1-1"), 0));
    assert_false(shared_log_begin(&l, STR("\x1b[2J"), STR("1-1"), 0));
    assert_true(shared_log_begin(&l, STR("0aZ9"), STR("1-1"), 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_is_read_without_a_gap),
        cmocka_unit_test(where_a_log_may_be_resumed),
        cmocka_unit_test(what_is_no_entry_and_no_epoch),
        cmocka_unit_test(texts_over_their_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
