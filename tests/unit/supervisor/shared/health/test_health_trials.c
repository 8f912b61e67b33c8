/* health: to whom a trial is lent, and when, step by step. */
#include "tests/unit/supervisor/shared/health/health_world.h"

static void one_trial_at_a_time(void **unused)
{
    (void)unused;
    struct world *w = half_open(3);
    expect_said(w, "1 TRIAL " A "\n");
    at(w, 100);
    health_trial_ask(&w->h, 2, STR(A), (struct str){0}); /* its own requests have nothing else */
    at(w, 0);
    expect_said(w, "1 RECALL " A "\n");
    at(w, 1000);
    expect_said(w, ""); /* no answer, no other loan */
    health_trial_back(&w->h, 1, STR(A), w->seq, w->now);
    at(w, 0);
    expect_said(w, "2 TRIAL " A "\n");
    health_trial_begun(&w->h, 2, STR(A), w->seq, w->now);
    assert_true(w->seen.trial_busy);
    health_trial_ask(&w->h, 0, STR(A), (struct str){0});
    at(w, 5000);
    expect_said(w, "");
    outcome(w, 2, A, OUTCOME_OK, w->seq);
    assert_int_equal(w->seen.breaker, BREAKER_CLOSED);
    assert_int_equal(w->seen.health, EP_HEALTHY);
    at(w, 100000);
    expect_said(w, "");
    end(w);
}

static void a_trial_that_began_before_it_was_called_back_counts(void **unused)
{
    (void)unused;
    struct world *w = half_open(2);
    uint64_t seq = w->seq;
    at(w, HEALTH_TRIAL_TURN_MS);
    expect_said(w, "1 TRIAL " A "\n1 RECALL " A "\n");
    health_trial_begun(&w->h, 1, STR(A), seq, w->now);
    at(w, 20000);
    expect_said(w, "");
    /* Others' words, or old numbers, are nothing. */
    outcome(w, 0, A, OUTCOME_OK, seq);
    outcome(w, 1, A, OUTCOME_OK, seq + 1);
    health_trial_back(&w->h, 0, STR(A), seq, w->now);
    assert_int_equal(state(w, A)->breaker.state, BREAKER_HALF_OPEN);
    outcome(w, 1, A, OUTCOME_TRANSIENT, seq);
    assert_int_equal(w->seen.breaker, BREAKER_OPEN);
    at(w, 119999);
    assert_int_equal(state(w, A)->breaker.state, BREAKER_OPEN); /* doubled */
    at(w, 1);
    assert_int_equal(state(w, A)->breaker.state, BREAKER_HALF_OPEN);
    end(w);
}

static void an_idle_trial_goes_round_and_becomes_a_verification(void **unused)
{
    (void)unused;
    struct world *w = half_open(2);
    unsigned holder = 1, turns = 0;
    for (int64_t ms = 0; ms < 10000; ms += HEALTH_TRIAL_TURN_MS) {
        at(w, HEALTH_TRIAL_TURN_MS);
        health_trial_back(&w->h, holder, STR(A), w->seq, w->now);
        at(w, 0);
        holder = 1 - holder;
        turns++;
    }
    assert_int_equal(turns, 20);
    assert_true(state(w, A)->verifying == EP_VERIFY_TRIAL);
    assert_true(str_ends(buf_view(&w->said), STR("0 VERIFY " A "\n")) ||
                str_ends(buf_view(&w->said), STR("1 VERIFY " A "\n")));
    unsigned verifier = (unsigned)(buf_data(&w->said)[w->said.len - 18] - '0');
    verdict(w, verifier, A, true);
    assert_int_equal(state(w, A)->breaker.state, BREAKER_CLOSED);
    end(w);
}

static void a_dead_worker_has_no_trial(void **unused)
{
    (void)unused;
    struct world *w = half_open(2);
    expect_said(w, "1 TRIAL " A "\n");
    health_trial_begun(&w->h, 1, STR(A), w->seq, w->now);
    health_slot_gone(&w->h, 1, w->now);
    assert_false(w->seen.trial_busy);
    at(w, 0);
    expect_said(w, "0 TRIAL " A "\n");
    /* A worker alone keeps it. */
    at(w, 5000);
    expect_said(w, "");
    health_slot_retires(&w->h, 0);
    health_trial_back(&w->h, 0, STR(A), w->seq, w->now);
    at(w, 0);
    expect_said(w, ""); /* nobody to lend to */
    assert_true(health_next(&w->h) > w->now);
    health_slot_up(&w->h, 1);
    at(w, 0);
    expect_said(w, "1 TRIAL " A "\n");
    end(w);
}

/* What it has asked for is not lent to nobody, which would never come back. */
static void a_dead_worker_asks_for_nothing(void **unused)
{
    (void)unused;
    struct world *w = half_open(3);
    expect_said(w, "1 TRIAL " A "\n");
    health_trial_begun(&w->h, 1, STR(A), w->seq, w->now);
    health_trial_ask(&w->h, 2, STR(A), (struct str){0});
    health_slot_gone(&w->h, 2, w->now);
    at(w, 0);
    health_trial_back(&w->h, 1, STR(A), w->seq, w->now);
    at(w, 0);
    expect_said(w, "0 TRIAL " A "\n");
    end(w);
}

static void fails_and_half_opens(struct world *w)
{
    for (int i = 0; i < 3; i++)
        outcome(w, 0, A, OUTCOME_TRANSIENT, 0);
    assert_int_equal(w->seen.breaker, BREAKER_OPEN);
    at(w, 60000);
    assert_int_equal(w->seen.breaker, BREAKER_HALF_OPEN);
}

/* What closes the breaker meanwhile does not end the request that is the trial: no other is lent
 * before. */
static void a_trial_that_was_overtaken_is_waited_for(void **unused)
{
    (void)unused;
    struct world *w = half_open(2);
    uint64_t seq = w->seq;
    expect_said(w, "1 TRIAL " A "\n");
    health_trial_begun(&w->h, 1, STR(A), seq, w->now);
    health_operator(&w->h, health_find(&w->h, STR(A)), EP_ACT_RESET, NULL, w->now);
    assert_int_equal(w->seen.breaker, BREAKER_CLOSED);
    fails_and_half_opens(w);
    health_trial_ask(&w->h, 0, STR(A), (struct str){0});
    at(w, 0);
    expect_said(w, "1 RECALL " A "\n");
    outcome(w, 1, A, OUTCOME_TRANSIENT, seq); /* says nothing of the breaker that is open now */
    assert_int_equal(state(w, A)->breaker.state, BREAKER_HALF_OPEN);
    expect_said(w, "0 TRIAL " A "\n");
    end(w);
}

static void a_verification_that_was_reset_is_waited_for(void **unused)
{
    (void)unused;
    struct world *w = half_open(1);
    expect_said(w, "0 TRIAL " A "\n");
    at(w, 10000);
    health_trial_back(&w->h, 0, STR(A), w->seq, w->now);
    at(w, 0);
    expect_said(w, "0 RECALL " A "\n0 VERIFY " A "\n");
    health_operator(&w->h, health_find(&w->h, STR(A)), EP_ACT_RESET, NULL, w->now);
    assert_int_equal(w->seen.breaker, BREAKER_CLOSED);
    fails_and_half_opens(w);
    health_trial_ask(&w->h, 0, STR(A), (struct str){0});
    at(w, 0);
    expect_said(w, "");
    verdict(w, 0, A, true); /* says nothing either */
    assert_int_equal(state(w, A)->breaker.state, BREAKER_HALF_OPEN);
    expect_said(w, "0 TRIAL " A "\n");
    end(w);
}

/* An operator's verification of one whose breaker is open is the trial. */
static void a_verification_in_open_is_the_trial(void **unused)
{
    (void)unused;
    struct world *w = world(2, 0);
    for (int i = 0; i < 3; i++)
        outcome(w, 0, A, OUTCOME_TRANSIENT, 0);
    health_operator(&w->h, health_find(&w->h, STR(A)), EP_ACT_VERIFY, NULL, w->now);
    health_trial_ask(&w->h, 0, STR(A), (struct str){0});
    at(w, 0);
    expect_said(w, "1 VERIFY " A "\n");
    assert_true(w->seen.trial_busy);
    verdict(w, 1, A, false);
    assert_int_equal(w->seen.breaker, BREAKER_OPEN);
    expect_said(w, "0 TRIAL " A "\n");
    end(w);
}

/* With the probe off it leaves the queue while a request tries it, as it was in reach. */
static void the_trial_goes_on_when_the_queue_is_left(void **unused)
{
    (void)unused;
    struct world *w = world(2, 0);
    w->c->failure_queue.probe = PROBE_OFF;
    health_conf(&w->h, w->c, w->now);
    for (int i = 0; i < 2; i++)
        outcome(w, 0, A, OUTCOME_TRANSIENT, 0);
    outcome(w, 0, A, OUTCOME_UNKNOWN, 0);
    assert_true(ep_queued(state(w, A)));
    health_operator(&w->h, health_find(&w->h, STR(B)), EP_ACT_DISABLE, NULL, w->now);
    at(w, 50000);
    assert_true(state(w, A)->in_reach && state(w, A)->breaker.state == BREAKER_OPEN);
    health_trial_ask(&w->h, 1, STR(A), (struct str){0});
    at(w, 0);
    expect_said(w, "1 TRIAL " A "\n");
    health_trial_begun(&w->h, 1, STR(A), w->seq, w->now);
    at(w, 10000);
    assert_false(ep_queued(state(w, A)));
    assert_int_equal(w->seen.breaker, BREAKER_HALF_OPEN);
    at(w, 10000);
    expect_said(w, "");
    outcome(w, 1, A, OUTCOME_OK, w->seq);
    assert_int_equal(w->seen.breaker, BREAKER_CLOSED);
    end(w);
}

/* Workers that drain have requests too, which may have nothing else. */
static void one_that_drains_is_lent_what_it_asks_for(void **unused)
{
    (void)unused;
    struct world *w = half_open(2);
    expect_said(w, "1 TRIAL " A "\n");
    health_slot_retires(&w->h, 0);
    health_slot_retires(&w->h, 1);
    health_trial_back(&w->h, 1, STR(A), w->seq, w->now);
    at(w, 20000); /* a verification would be due, which nobody is left to do */
    expect_said(w, "");
    health_trial_ask(&w->h, 0, STR(A), (struct str){0});
    at(w, 0);
    expect_said(w, "0 TRIAL " A "\n");
    end(w);
}

/* Those of the predecessor ask from afar, and may die with it. */
static void one_of_the_predecessor_is_lent_what_it_asks_for(void **unused)
{
    (void)unused;
    struct world *w = half_open(1);
    expect_said(w, "0 TRIAL " A "\n");
    health_trial_asked_elsewhere(&w->h, 7, STR(A), (struct str){0});
    at(w, 0);
    expect_said(w, "0 RECALL " A "\n");
    health_trial_back(&w->h, 0, STR(A), w->seq, w->now);
    at(w, 0);
    expect_said(w, "512 TRIAL " A "\n");
    assert_int_equal(health_find(&w->h, STR(A))->loan.asks_afar, 7);
    health_trial_begun(&w->h, HEALTH_PREDECESSOR, STR(A), w->seq, w->now);
    assert_true(w->seen.trial_busy);
    health_lost(&w->h, HEALTH_PREDECESSOR, STR(A), w->seq, 0, w->now);
    at(w, 0);
    expect_said(w, "0 TRIAL " A "\n");
    end(w);
}

static void the_last_resort_asks_in_open(void **unused)
{
    (void)unused;
    struct world *w = world(2, 0);
    for (int i = 0; i < 3; i++)
        outcome(w, 0, A, OUTCOME_TRANSIENT, 0);
    health_trial_ask(&w->h, 0, STR(A), (struct str){0});
    health_trial_ask(&w->h, 1, STR(A), (struct str){0});
    health_trial_ask(&w->h, 1, STR(B), (struct str){0}); /* closed: it does not know yet */
    at(w, 0);
    expect_said(w, "1 TRIAL " A "\n");
    health_trial_back(&w->h, 1, STR(A), w->seq, w->now);
    at(w, 0);
    expect_said(w, "0 TRIAL " A "\n");
    health_trial_begun(&w->h, 0, STR(A), w->seq, w->now);
    outcome(w, 0, A, OUTCOME_TRANSIENT, w->seq);
    assert_int_equal(state(w, A)->breaker.state, BREAKER_OPEN);
    at(w, 10);
    expect_said(w, "");
    end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_trial_at_a_time),
        cmocka_unit_test(a_trial_that_began_before_it_was_called_back_counts),
        cmocka_unit_test(an_idle_trial_goes_round_and_becomes_a_verification),
        cmocka_unit_test(a_dead_worker_has_no_trial),
        cmocka_unit_test(a_dead_worker_asks_for_nothing),
        cmocka_unit_test(a_trial_that_was_overtaken_is_waited_for),
        cmocka_unit_test(a_verification_that_was_reset_is_waited_for),
        cmocka_unit_test(a_verification_in_open_is_the_trial),
        cmocka_unit_test(the_trial_goes_on_when_the_queue_is_left),
        cmocka_unit_test(one_that_drains_is_lent_what_it_asks_for),
        cmocka_unit_test(one_of_the_predecessor_is_lent_what_it_asks_for),
        cmocka_unit_test(the_last_resort_asks_in_open),
    };
    log_setup(LOG_L_ERROR, LOG_F_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
