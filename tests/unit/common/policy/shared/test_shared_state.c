#include "common/policy/shared/shared_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1000000)

static const struct ep_conf conf = {
    .breaker = {.failure_threshold = 3, .open_ms = 60000, .max_open_ms = 600000},
    .cooldown = {.default_ms = 30000, .max_ms = 3600000},
    .failq = {.verify_ms = 60000, .verify_disabled_ms = 600000},
    .degraded_for_ms = 10000,
};
static const struct ep_ctx any = {.last = false}, last = {.last = true};

static struct ep_state fresh(void)
{
    struct ep_state s;
    ep_init(&s, true);
    return s;
}

static bool take(struct ep_state *s, const struct shared_group *g, const struct ep_ctx *ctx)
{
    struct ep_changes ch = {0};
    return shared_state_take(s, &conf, g, ctx, NOW, &ch);
}

/* What one host tells, another takes over, and tells no more. */
static void a_state_goes_from_host_to_host(void **state)
{
    (void)state;
    static const enum shared_kind kinds[] = {SHARED_BREAKER, SHARED_QUEUE, SHARED_KEY,
                                             SHARED_COOLDOWN};
    struct ep_state a = fresh(), b = fresh();
    struct ep_changes ch = {0};
    struct shared_view none = {0};
    a.breaker.state = BREAKER_OPEN;
    a.breaker.since_ms = NOW - 5;
    a.breaker.open_ms = 60000;
    ep_enqueue(&a, &conf, "a page", &any, NOW, &ch);
    a.cooldown.own_until_ms = NOW + 5000;
    a.cooldown.hit_ms = NOW - 1;
    struct shared_view va = shared_state_view(&a, &none, NOW);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        bool told = shared_state_differs(&none, &va, kinds[i]);
        assert_int_equal(told, kinds[i] != SHARED_KEY);
        struct shared_group g = shared_state_group(&a, &va, kinds[i], SHARED_SAID);
        if (told)
            assert_true(take(&b, &g, &any));
    }
    assert_int_equal(b.breaker.state, BREAKER_OPEN);
    assert_true(ep_queued(&b));
    assert_string_equal(b.queued_why, "a page");
    assert_int_equal(b.cooldown.own_until_ms, NOW + 5000);
    struct shared_view vb = shared_state_view(&b, &va, NOW);
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        assert_false(shared_state_differs(&va, &vb, kinds[i]));
}

static void time_alone_is_no_change(void **state)
{
    (void)state;
    struct ep_state s = fresh();
    s.breaker.state = BREAKER_OPEN;
    s.breaker.since_ms = NOW;
    s.breaker.open_ms = 60000;
    struct shared_view was = shared_state_view(&s, &(struct shared_view){0}, NOW);
    assert_true(breaker_tick(&s.breaker, NOW + 60000));
    struct shared_view now = shared_state_view(&s, &was, NOW + 60000);
    assert_false(shared_state_differs(&was, &now, SHARED_BREAKER));
    /* a trial that failed is one */
    s.breaker.state = BREAKER_OPEN;
    s.breaker.since_ms = NOW + 61000;
    s.breaker.open_ms = 120000;
    struct shared_view failed = shared_state_view(&s, &now, NOW + 61000);
    assert_true(shared_state_differs(&now, &failed, SHARED_BREAKER));
}

static void an_open_breaker_whose_time_is_over_is_half_open(void **state)
{
    (void)state;
    struct ep_state s = fresh();
    struct shared_group g = {.kind = SHARED_BREAKER, .breaker = {SHARED_OPEN, NOW - 60000, 60000}};
    assert_true(take(&s, &g, &any));
    assert_int_equal(s.breaker.state, BREAKER_HALF_OPEN);
    assert_false(take(&s, &g, &any));
    g.breaker.open_ms = 86400000; /* no longer than this host's own bound */
    g.breaker.since_ms = NOW;
    assert_true(take(&s, &g, &any));
    assert_int_equal(s.breaker.open_ms, 600000);
    g.breaker.state = SHARED_CLOSED;
    assert_true(take(&s, &g, &any));
    assert_false(take(&s, &g, &any));
    assert_int_equal(s.breaker.state, BREAKER_CLOSED);
}

static void the_last_one_is_never_queued(void **state)
{
    (void)state;
    struct ep_state s = fresh();
    struct shared_group g = {.kind = SHARED_QUEUE,
                             .queue = {.in = true, .since_ms = NOW, .next_ms = NOW + 5}};
    assert_true(take(&s, &g, &last));
    assert_false(ep_queued(&s));
    assert_int_equal(s.health, EP_UNHEALTHY);
    assert_true(take(&s, &g, &any));
    assert_true(ep_queued(&s));
    assert_int_equal(s.failq.next_ms, NOW + 5);
    g.queue.in = false;
    assert_true(take(&s, &g, &any));
    assert_false(ep_queued(&s));
    assert_int_equal(s.health, EP_HEALTHY);
}

static void a_cooldown_is_taken_within_this_hosts_bound(void **state)
{
    (void)state;
    struct ep_state s = fresh();
    struct shared_group g = {.kind = SHARED_COOLDOWN, .stamp_ms = NOW};
    bool own;
    assert_false(take(&s, &g, &any));
    g.cooldown.own_ms = NOW + 86400000;
    assert_true(take(&s, &g, &any));
    assert_int_equal(cooldown_left(&s.cooldown, NOW, &own), 3600000);
    assert_false(take(&s, &g, &any));
    g.cooldown.own_ms = 0;
    assert_true(take(&s, &g, &any));
    assert_int_equal(cooldown_left(&s.cooldown, NOW, &own), 0);
}

static void operators_words(void **state)
{
    (void)state;
    struct ep_state s = fresh();
    struct shared_group g = {.kind = SHARED_WORD, .word = SHARED_DISABLED};
    assert_true(take(&s, &g, &any));
    assert_false(ep_enabled(&s));
    assert_false(take(&s, &g, &any));
    g.word = SHARED_ENABLED;
    assert_true(take(&s, &g, &any));
    assert_true(ep_enabled(&s));
    g = (struct shared_group){.kind = SHARED_KEY, .key = {true, 401, 5}};
    assert_true(take(&s, &g, &any));
    assert_int_equal(s.disabled, EP_BY_AUTH);
    assert_int_equal(s.refused_status, 401);
    g.key.refused = false;
    assert_true(take(&s, &g, &any));
    assert_true(ep_enabled(&s));
    /* what a file disables stays so */
    ep_init(&s, false);
    g = (struct shared_group){.kind = SHARED_WORD, .word = SHARED_ENABLED};
    assert_false(take(&s, &g, &any));
    assert_false(ep_enabled(&s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_goes_from_host_to_host),
        cmocka_unit_test(time_alone_is_no_change),
        cmocka_unit_test(an_open_breaker_whose_time_is_over_is_half_open),
        cmocka_unit_test(the_last_one_is_never_queued),
        cmocka_unit_test(a_cooldown_is_taken_within_this_hosts_bound),
        cmocka_unit_test(operators_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
