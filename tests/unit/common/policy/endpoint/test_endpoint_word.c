/* endpoint_word: the most serious reason wins, and its beginning is known also where it came by
 * time alone. */
#include "common/policy/endpoint/endpoint_word.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct ep_state fresh(void)
{
    struct ep_state s;
    ep_init(&s, true);
    return s;
}

static void the_most_serious_reason(void **state)
{
    (void)state;
    struct ep_state s = fresh();
    assert_int_equal(ep_word(&s, 1000), EP_IS_HEALTHY);
    s.health = EP_DEGRADED;
    s.degraded_until_ms = 9000;
    assert_int_equal(ep_word(&s, 1000), EP_IS_DEGRADED);
    s.draining = true;
    assert_int_equal(ep_word(&s, 1000), EP_IS_DRAINING);
    s.cooldown.own_until_ms = 5000;
    assert_int_equal(ep_word(&s, 1000), EP_IS_COOLING);
    assert_int_equal(ep_word(&s, 5000), EP_IS_DRAINING);
    s.health = EP_UNHEALTHY;
    assert_int_equal(ep_word(&s, 1000), EP_IS_UNHEALTHY);
    s.breaker.state = BREAKER_OPEN;
    assert_int_equal(ep_word(&s, 1000), EP_IS_CIRCUIT_OPEN);
    s.failq.kind = FAILQ_QUEUED;
    assert_int_equal(ep_word(&s, 1000), EP_IS_QUEUED);
    s.disabled = EP_BY_OPERATOR;
    assert_int_equal(ep_word(&s, 1000), EP_IS_DISABLED);
}

static void since_when(void **state)
{
    (void)state;
    struct ep_state s = fresh();
    assert_int_equal(ep_word_since(&s, EP_IS_HEALTHY, 100, 1000), 100);
    assert_int_equal(ep_word_since(&s, EP_IS_QUEUED, 100, 1000), 1000);
    assert_int_equal(ep_word_since(&s, EP_IS_HEALTHY, 0, 1000), 0);
    /* A cooldown ends by time: it is known when, however late somebody looks. */
    s.cooldown.own_until_ms = 5000;
    s.cooldown.untold_until_ms = 4000;
    assert_int_equal(ep_word_since(&s, EP_IS_COOLING, 100, 4999), 100);
    assert_int_equal(ep_word_since(&s, EP_IS_COOLING, 100, 5000), 5000);
    assert_int_equal(ep_word_since(&s, EP_IS_COOLING, 100, 90000), 5000);
    /* a cooldown that was over before does not begin a state */
    assert_int_equal(ep_word_since(&s, EP_IS_COOLING, 6000, 90000), 90000);
    /* a success ends it at once */
    assert_true(cooldown_end(&s.cooldown, 4500));
    assert_int_equal(ep_word_since(&s, EP_IS_COOLING, 100, 4500), 4500);
}

static void names(void **state)
{
    (void)state;
    for (unsigned i = 0; i < EP_WORD__COUNT; i++)
        assert_true(ep_word_name((enum ep_word)i)[0] != '?');
    assert_string_equal(ep_word_name(EP_IS_CIRCUIT_OPEN), "circuit_open");
    assert_string_equal(ep_word_name(EP_WORD__COUNT), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_serious_reason),
        cmocka_unit_test(since_when),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
