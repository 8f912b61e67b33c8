#include "common/policy/shared/shared_line.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { UP, LOST };

static void one_line_for_each_change(void **state)
{
    (void)state;
    struct shared_line l = {0};
    assert_true(shared_line_due(&l, UP, false, 5)); /* 0 is a thing to be said too */
    assert_false(shared_line_due(&l, UP, false, 6));
    assert_true(shared_line_due(&l, LOST, true, 7));
    assert_true(shared_line_due(&l, UP, false, 8));
    assert_true(shared_line_due(&l, LOST, true, 9));
    assert_false(shared_line_due(&l, LOST, true, 9));
}

static void a_reminder_in_ten_minutes_however_often_it_is_tried(void **state)
{
    (void)state;
    struct shared_line l = {0};
    int said = 0;
    for (int64_t now = 1000; now < 1000 + 3600000; now += 100)
        said += shared_line_due(&l, LOST, true, now);
    assert_int_equal(said, 6);
    /* what goes well needs none */
    assert_true(shared_line_due(&l, UP, false, 4000000));
    assert_false(shared_line_due(&l, UP, false, 40000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_line_for_each_change),
        cmocka_unit_test(a_reminder_in_ten_minutes_however_often_it_is_tried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
