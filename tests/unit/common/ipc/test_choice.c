/* choice: what was considered comes out again; a request of many choices stays within its bytes;
 * what is no list of choices is found out. */
#include "common/ipc/choice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void there_and_back(void **state)
{
    (void)state;
    struct choices c = {0};
    struct choice x = {
        .at_ms = 5, .endpoint = 0xdeadbeef, .bound = SEL_BOUND_LEFT, .flags = CHOICE_CONVERSATION};
    struct choice_skip v[] = {{1, SEL_SKIP_QUEUED}, {2, SEL_SKIP_TIER}}, s;
    choice_add(&c, &x, v, 2);
    x = (struct choice){.at_ms = 9, .end = SEL_ALL_FULL};
    choice_add(&c, &x, NULL, 0);
    size_t at = 0;
    assert_true(choice_next(&c, &at, &x));
    assert_true(x.at_ms == 5 && x.endpoint == 0xdeadbeef && x.end == SEL_CHOSEN &&
                x.bound == SEL_BOUND_LEFT);
    assert_int_equal(x.listed, 2);
    assert_int_equal(x.others, 0);
    assert_true(choice_next_skip(&c, &at, &s) && s.endpoint == 1 && s.why == SEL_SKIP_QUEUED);
    assert_true(choice_next_skip(&c, &at, &s) && s.endpoint == 2 && s.why == SEL_SKIP_TIER);
    assert_true(choice_next(&c, &at, &x) && x.end == SEL_ALL_FULL && x.listed == 0);
    assert_false(choice_next(&c, &at, &x));
}

static void waiting_is_one_choice(void **state)
{
    (void)state;
    struct choices c = {0};
    struct choice x = {.end = SEL_ALL_FULL};
    assert_false(choice_again(&c, SEL_ALL_FULL, 0));
    choice_add(&c, &x, NULL, 0);
    for (int i = 0; i < 1000; i++)
        assert_true(choice_again(&c, SEL_ALL_FULL, 0));
    assert_false(choice_again(&c, SEL_NONE, 0));
    assert_int_equal(c.missed, 0);
    size_t at = 0;
    assert_true(choice_next(&c, &at, &x) && x.again == UINT8_MAX);
    assert_false(choice_next(&c, &at, &x));
    /* A choice is never taken for the one before: each has its attempt. */
    x = (struct choice){.end = SEL_CHOSEN};
    choice_add(&c, &x, NULL, 0);
    assert_false(choice_again(&c, SEL_CHOSEN, 0));
}

static void another_trial_is_another_choice(void **state)
{
    (void)state;
    struct choices c = {0};
    struct choice x = {.end = SEL_NEED_TRIAL, .endpoint = 7};
    choice_add(&c, &x, NULL, 0);
    assert_true(choice_again(&c, SEL_NEED_TRIAL, 7));
    assert_false(choice_again(&c, SEL_NEED_TRIAL, 8));
}

static void undone(void **state)
{
    (void)state;
    struct choices c = {0};
    struct choice x = {.endpoint = 7}, y = {.endpoint = 8};
    struct choice_skip v = {9, SEL_SKIP_TIER};
    size_t at = 0;
    choice_undo(&c);                /* nothing to undo */
    for (int i = 0; i < 100; i++) { /* time and again: one choice */
        choice_add(&c, &x, &v, 1);
        choice_undo(&c);
    }
    assert_int_equal(c.missed, 0);
    choice_add(&c, &y, NULL, 0);
    choice_undo(&c); /* another endpoint is another choice */
    choice_add(&c, &x, NULL, 0);
    assert_true(choice_next(&c, &at, &x) && x.end == SEL_ALL_FULL && (x.flags & CHOICE_UNDONE));
    assert_true(x.endpoint == 7 && x.again == 99 && choice_next_skip(&c, &at, &v));
    assert_true(choice_next(&c, &at, &x) && x.end == SEL_ALL_FULL && x.endpoint == 8);
    assert_true(choice_next(&c, &at, &x) && x.end == SEL_CHOSEN && x.endpoint == 7);
    assert_false(choice_next(&c, &at, &x));
}

static void many_find_no_room(void **state)
{
    (void)state;
    struct choice_skip v[40];
    for (size_t i = 0; i < 40; i++)
        v[i] = (struct choice_skip){(uint32_t)i, SEL_SKIP_STRATEGY};
    struct choices c = {0};
    struct choice x = {.others = 3};
    for (int i = 0; i < 400; i++)
        choice_add(&c, &x, v, 40);
    assert_true(c.len <= CHOICES_BYTES);
    assert_int_equal(c.missed, UINT8_MAX);
    size_t at = 0, n = 0;
    while (choice_next(&c, &at, &x)) {
        assert_true(x.listed <= CHOICE_LISTED);
        assert_int_equal(x.others + x.listed, 43);
        for (unsigned i = 0; i < x.listed; i++)
            assert_true(choice_next_skip(&c, &at, &v[0]));
        n++;
    }
    assert_true(n >= 2 && at == c.len);
}

static void no_choices(void **state)
{
    (void)state;
    unsigned seed = 1;
    for (int round = 0; round < 20000; round++) {
        struct choices c;
        struct choice x;
        struct choice_skip s;
        for (size_t i = 0; i < sizeof c; i++) {
            seed = seed * 1103515245 + 12345;
            ((unsigned char *)&c)[i] = (unsigned char)(seed >> 16) & (round % 2 ? 0x03 : 0xff);
        }
        size_t at = 0;
        bool whole = true;
        while (whole && choice_next(&c, &at, &x))
            for (unsigned i = 0; whole && i < x.listed; i++)
                whole = choice_next_skip(&c, &at, &s);
        assert_true(at <= CHOICES_BYTES);
    }
}

static void bound_as_words(void **state)
{
    (void)state;
    struct choice x = {.bound = SEL_BOUND_NO};
    assert_null(choice_bound_text(&x));
    x.flags = CHOICE_CONVERSATION;
    assert_string_equal(choice_bound_text(&x), "not bound");
    x.bound = SEL_BOUND_USED;
    assert_string_equal(choice_bound_text(&x), "bound here");
    x.bound = SEL_BOUND_LEFT + 1;
    assert_null(choice_bound_text(&x));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(waiting_is_one_choice),
        cmocka_unit_test(another_trial_is_another_choice),
        cmocka_unit_test(undone),
        cmocka_unit_test(many_find_no_room),
        cmocka_unit_test(no_choices),
        cmocka_unit_test(bound_as_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
