#include "common/policy/shared/shared_block.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static bool call(struct shared_block *b, uint32_t in_use, uint32_t waiting, int64_t now,
                 uint32_t have, uint32_t want)
{
    struct shared_call c = {0, 0};
    if (!shared_block_call(b, in_use, waiting, now, &c))
        return false;
    assert_int_equal(c.have, have);
    assert_int_equal(c.want, want);
    return true;
}

static void a_join_takes_its_part(void **state)
{
    (void)state;
    struct shared_block b = {.limit = 12};
    struct shared_call c = shared_block_joined(&b, 0, 3, true);
    assert_int_equal(c.want, 2);
    assert_true(b.calling);
    shared_block_answer(&b, 2, 2, 2, false, 5);
    assert_int_equal(b.have, 2);
    c = shared_block_joined(&b, 5, 3,
                            true); /* a new session: what is in use stays, and is enough */
    assert_int_equal(c.have, 5);
    assert_int_equal(c.want, 0);
    assert_true(b.calling); /* to hear what all hosts have */
    b = (struct shared_block){.limit = 1};
    assert_int_equal(shared_block_joined(&b, 0, 64, true).want, 1);
}

static void places_are_asked_for_ahead_of_need(void **state)
{
    (void)state;
    struct shared_block b = {.limit = 10, .have = 2};
    assert_false(call(&b, 1, 0, 1, 0, 0));
    assert_true(call(&b, 2, 0, 1, 2, 1));
    assert_false(call(&b, 2, 3, 1, 0, 0)); /* one at a time */
    shared_block_answer(&b, 3, 1, 3, false, 5);
    assert_true(call(&b, 3, 3, 1, 3, 3));
    shared_block_answer(&b, 3, 3, 3, false,
                        5); /* refused: asked for again only when a request waits */
    assert_false(call(&b, 3, 0, 2, 0, 0));
    assert_false(call(&b, 3, 1, 104, 0, 0));
    assert_true(call(&b, 3, 1, 105, 3, 1));
    shared_block_answer(&b, 3, 1, 3, false, 5);
    shared_block_wanted(&b); /* places have come back */
    assert_true(call(&b, 3, 1, 6, 3, 1));
    shared_block_lost(&b);
    b.have = 10;
    assert_false(call(&b, 10, 5, 3, 0, 0)); /* it has all there are */
}

static void idle_places_go_back(void **state)
{
    (void)state;
    struct shared_block b = {.limit = 20, .have = 8};
    assert_false(call(&b, 0, 0, 1000, 0, 0));
    assert_false(call(&b, 0, 0, 1999, 0, 0));
    assert_true(call(&b, 0, 0, 2000, 2, 0));
    assert_int_equal(b.have, 2); /* no longer used, whatever becomes of the call */
    shared_block_lost(&b);
    assert_int_equal(b.have, 2);
    shared_block_wanted(&b);
    assert_true(call(&b, 1, 0, 2001, 1, 0));
    shared_block_answer(&b, 1, 0, 1, true, 5);
    assert_false(call(&b, 1, 0, 9999, 0, 0)); /* while another waits nothing is kept ahead */
    shared_block_answer(&b, 1, 0, 1, false, 5);
    assert_true(call(&b, 1, 0, 9999, 1, 1));
}

static void what_others_wanted_is_kept_again_later(void **state)
{
    (void)state;
    struct shared_block b = {.limit = 4, .have = 1};
    shared_block_wanted(&b);
    assert_true(call(&b, 0, 0, 10, 0, 0)); /* the idle one goes */
    shared_block_answer(&b, 0, 0, 4, true, 20);
    assert_false(call(&b, 0, 0, 20, 0, 0));
    assert_int_equal(shared_block_next(&b), 1020);
    assert_true(call(&b, 0, 0, 1020, 0, 0)); /* asks how it is, and for nothing */
    shared_block_answer(&b, 0, 0, 4, false, 1030);
    assert_true(call(&b, 0, 0, 1030, 0, 1));
    shared_block_answer(&b, 0, 1, 4, false, 1040);
    assert_false(call(&b, 0, 0, 1040, 0, 0));
    assert_true(call(&b, 0, 0, 2040, 0, 0));
    shared_block_answer(&b, 0, 0, 4, false,
                        2050); /* nothing is free: it does not ask others for it */
    assert_false(call(&b, 0, 0, 2050, 0, 0));
    assert_true(call(&b, 0, 0, 3050, 0, 0));
    shared_block_answer(&b, 0, 0, 2, false, 3060);
    assert_true(call(&b, 0, 0, 3060, 0, 1));
    shared_block_answer(&b, 1, 1, 3, false, 3070);
    assert_true(shared_block_next(&b) == INT64_MAX);
}

static void when_time_alone_matters(void **state)
{
    (void)state;
    struct shared_block b = {.limit = 20, .have = 8};
    assert_true(shared_block_next(&b) == INT64_MAX);
    assert_false(call(&b, 0, 0, 1000, 0, 0));
    assert_int_equal(shared_block_next(&b), 2000);
    b = (struct shared_block){.limit = 4, .have = 1, .calling = true};
    shared_block_answer(&b, 1, 2, 1, true, 50);
    assert_int_equal(shared_block_next(&b), 150);
    assert_true(call(&b, 1, 1, 150, 1, 1));
    assert_true(shared_block_next(&b) == INT64_MAX);
}

static void a_lowered_limit(void **state)
{
    (void)state;
    struct shared_block b = {.limit = 4, .have = 8};
    assert_true(call(&b, 6, 0, 1, 6, 0));
    shared_block_answer(&b, 6, 0, 6, false, 5);
    assert_false(call(&b, 6, 1, 1, 0, 0));
}

static void above_the_limit_nothing_is_lent_again(void **state)
{
    (void)state;
    struct shared_block b = {.limit = 4};
    struct shared_call c = shared_block_joined(&b, 2, 3, true);
    assert_int_equal(c.have, 2);
    shared_block_answer(&b, 2, 0, 5, true, 5); /* others got what this host had */
    assert_int_equal(b.over, 1);
    assert_int_equal(shared_block_usable(&b, 3, 1000, 10000, 1005), 1);
    assert_false(call(&b, 2, 0, 10, 0, 0)); /* both are in use */
    assert_true(call(&b, 1, 3, 200, 1, 2)); /* goes back, though requests wait */
    assert_int_equal(b.over, 0);
    shared_block_answer(&b, 1, 3, 4, true, 201);
    assert_int_equal(b.over, 0);
    shared_block_answer(&b, 1, 0, 9, true, 201); /* never more than it has */
    assert_int_equal(b.over, 1);
}

static void without_an_engine(void **state)
{
    (void)state;
    struct shared_block b = {.limit = 9, .have = 5};
    assert_int_equal(shared_block_usable(&b, 3, 1000, 10000, 10999), 5);
    assert_int_equal(shared_block_usable(&b, 3, 1000, 10000, 11000), 3);
    assert_int_equal(shared_block_usable(&b, 20, 1000, 10000, 11000), 1);
    assert_int_equal(shared_block_usable(&b, 0, 0, 10000, 11000), 9); /* never connected */
    assert_int_equal(shared_block_usable(&b, 1, 0, 10000, 11000), 9);
    /* nor since this start, but an earlier run saw others */
    assert_int_equal(shared_block_usable(&b, 3, 0, 10000, 5), 3);
    assert_int_equal(shared_block_usable(&b, 20, 0, 10000, 5), 1);
}

static void what_the_engine_has_lost_is_stated_again(void **state)
{
    (void)state;
    struct shared_block b = {.limit = 9, .have = 5};
    assert_false(call(&b, 4, 0, 10, 0, 0));
    shared_block_restate(&b);
    assert_true(call(&b, 4, 0, 10, 5, 0));
    shared_block_restate(&b); /* while a call is under way: the next one */
    assert_false(call(&b, 4, 0, 10, 0, 0));
    shared_block_answer(&b, 5, 0, 5, false, 11);
    assert_true(call(&b, 4, 0, 12, 5, 0));
    shared_block_answer(&b, 5, 0, 5, false, 13);
    assert_false(call(&b, 4, 0, 14, 0, 0));
    shared_block_restate(&b);
    (void)shared_block_joined(&b, 4, 1, true); /* which states it too */
    shared_block_answer(&b, 5, 1, 5, false, 15);
    assert_false(call(&b, 4, 0, 16, 0, 0));
}

static void a_join_alone_says_nothing_of_places(void **state)
{
    (void)state;
    struct shared_block b = {.limit = 4};
    (void)shared_block_joined(&b, 0, 2, false);
    shared_block_lost(&b); /* before the answer */
    assert_int_equal(shared_block_usable(&b, 2, 1000, 2000, 1500), 2);
    (void)shared_block_joined(&b, 0, 2, true);
    assert_int_equal(shared_block_usable(&b, 2, 2500, 2000, 3000), 2);
    shared_block_answer(&b, 1, 1, 4, false, 3100);
    assert_int_equal(shared_block_usable(&b, 2, 3100, 2000, 3200), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_join_takes_its_part),
        cmocka_unit_test(places_are_asked_for_ahead_of_need),
        cmocka_unit_test(idle_places_go_back),
        cmocka_unit_test(a_lowered_limit),
        cmocka_unit_test(above_the_limit_nothing_is_lent_again),
        cmocka_unit_test(what_others_wanted_is_kept_again_later),
        cmocka_unit_test(when_time_alone_matters),
        cmocka_unit_test(without_an_engine),
        cmocka_unit_test(what_the_engine_has_lost_is_stated_again),
        cmocka_unit_test(a_join_alone_says_nothing_of_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
