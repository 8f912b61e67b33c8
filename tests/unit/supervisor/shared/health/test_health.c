/* health, step by step. */
#include "tests/unit/supervisor/shared/health/health_world.h"

/* ---- reports */

static void failures_of_all_workers_are_in_a_row(void **unused)
{
    (void)unused;
    struct world *w = world(4, 0);
    outcome(w, 0, A, OUTCOME_TRANSIENT, 0);
    assert_int_equal(w->seen.health, EP_DEGRADED);
    assert_true(w->seen.success_wanted);
    outcome(w, 3, A, OUTCOME_TRANSIENT, 0);
    assert_int_equal(w->seen.breaker, BREAKER_CLOSED);
    outcome(w, 1, A, OUTCOME_TRANSIENT, 0);
    assert_int_equal(w->seen.breaker, BREAKER_OPEN);
    assert_string_equal(w->seen.id.p, A);
    expect_said(w, "");
    end(w);
}

static void a_success_between_resets(void **unused)
{
    (void)unused;
    struct world *w = world(2, 0);
    outcome(w, 0, A, OUTCOME_TRANSIENT, 0);
    outcome(w, 1, A, OUTCOME_TRANSIENT, 0);
    outcome(w, 1, A, OUTCOME_OK, 0);
    assert_false(w->seen.success_wanted);
    outcome(w, 0, A, OUTCOME_TRANSIENT, 0);
    outcome(w, 0, A, OUTCOME_TRANSIENT, 0);
    assert_int_equal(state(w, A)->breaker.state, BREAKER_CLOSED);
    end(w);
}

/* Who has said that it was well hears whether anything is left against it: else it would not say it
 * again. */
static void a_success_that_is_not_enough(void **unused)
{
    (void)unused;
    struct world *w = world(2, 0);
    struct ipc_outcome broke = {.endpoint = STR(A),
                                .cls = OUTCOME_TRANSIENT,
                                .net = NET_PARTIAL,
                                .fault = FAULT_ENDPOINT,
                                .retry_after_ms = -1,
                                .left = true,
                                .part = PART_BROKEN,
                                .began_ms = w->now,
                                .reason = STR("made up")};
    struct ipc_outcome begun = {
        .endpoint = STR(A), .retry_after_ms = -1, .part = PART_BEGUN, .began_ms = w->now};
    assert_true(health_outcome(&w->h, 0, &broke, w->now));
    assert_true(health_outcome(&w->h, 1, &begun, w->now));
    w->seen_by = 99;
    assert_true(health_outcome(&w->h, 1, &begun, w->now));
    assert_int_equal(w->seen_by, 1);
    assert_true(w->seen.success_wanted);
    begun.part = PART_ENDED;
    assert_true(health_outcome(&w->h, 1, &begun, w->now));
    assert_int_equal(w->seen_by, HEALTH_ALL);
    assert_false(w->seen.success_wanted);
    w->seen_by = 99;
    begun.part = PART_WHOLE;
    assert_true(health_outcome(&w->h, 0, &begun, w->now));
    assert_int_equal(w->seen_by, 99); /* nothing is left */
    end(w);
}

static void what_no_worker_says(void **unused)
{
    (void)unused;
    struct world *w = world(1, 2);
    struct ipc_outcome o = {.endpoint = STR(A), .cls = OUTCOME__COUNT};
    assert_false(health_outcome(&w->h, 0, &o, w->now));
    o = (struct ipc_outcome){.endpoint = STR("cccccccc"), .cls = UINT32_MAX};
    assert_false(health_outcome(&w->h, 0, &o, w->now));
    o = (struct ipc_outcome){.endpoint = STR(A), .fault = FAULT__COUNT};
    assert_false(health_outcome(&w->h, 0, &o, w->now));
    o = (struct ipc_outcome){.endpoint = STR(A), .net = NET__COUNT};
    assert_false(health_outcome(&w->h, 0, &o, w->now));
    struct ipc_verdict v = {.endpoint = STR(A), .cls = OUTCOME__COUNT};
    assert_false(health_verdict(&w->h, 0, &v, w->now));
    struct ipc_places p = {.endpoint = STR(A), .back = 1};
    assert_false(health_places(&w->h, 0, &p));
    p = (struct ipc_places){.endpoint = STR(A), .taken = UINT32_MAX};
    assert_false(health_places(&w->h, 0, &p));
    /* Of one that is gone, anything sane may be said. */
    o = (struct ipc_outcome){.endpoint = STR("cccccccc")};
    assert_true(health_outcome(&w->h, 0, &o, w->now));
    p = (struct ipc_places){.endpoint = STR("cccccccc"), .back = 1};
    assert_true(health_places(&w->h, 0, &p));
    end(w);
}

static void a_reload_keeps_what_is_known(void **unused)
{
    (void)unused;
    struct world *w = world(2, 0);
    for (int i = 0; i < 3; i++)
        outcome(w, 0, A, OUTCOME_TRANSIENT, 0);
    struct conf *c = conf_new();
    add(c, "cccccccc", "c", 0);
    add(c, A, "renamed", 0);
    health_conf(&w->h, c, w->now);
    conf_unref(w->c);
    w->c = c;
    assert_int_equal(state(w, A)->breaker.state, BREAKER_OPEN);
    assert_null(health_find(&w->h, STR(B)));
    assert_ptr_equal(health_find(&w->h, STR("renamed")), health_find(&w->h, STR(A)));
    health_send_all(&w->h, 1, w->now);
    assert_int_equal(w->seen.breaker, BREAKER_OPEN); /* the last one told of */
    end(w);
}

static void the_last_one_is_not_queued_until_it_is_not(void **unused)
{
    (void)unused;
    struct world *w = world(1, 0);
    outcome(w, 0, A, OUTCOME_UNKNOWN, 0);
    assert_true(ep_queued(state(w, A)));
    expect_said(w, "0 VERIFY " A "\n");
    outcome(w, 0, B, OUTCOME_UNKNOWN, 0);
    assert_false(ep_queued(state(w, B)));
    assert_int_equal(state(w, B)->health, EP_UNHEALTHY);
    verdict(w, 0, A, true);
    assert_false(ep_queued(state(w, A)));
    assert_true(ep_queued(state(w, B)));
    expect_said(w, "0 VERIFY " B "\n");
    end(w);
}

/* ---- verifications */

static void a_queued_one_is_verified_in_turn(void **unused)
{
    (void)unused;
    struct world *w = world(2, 0);
    outcome(w, 0, A, OUTCOME_UNKNOWN, 0);
    assert_true(w->seen.queued);
    expect_said(w, "1 VERIFY " A "\n");
    at(w, 30000);
    expect_said(w, "");
    verdict(w, 0, A, true); /* not the one that was asked */
    assert_true(ep_queued(state(w, A)));
    verdict(w, 1, A, false);
    at(w, 4999);
    expect_said(w, "");
    at(w, 1);
    expect_said(w, "0 VERIFY " A "\n");
    health_slot_gone(&w->h, 0, w->now);
    at(w, 5000);
    expect_said(w, "1 VERIFY " A "\n");
    verdict(w, 1, A, true);
    assert_false(w->seen.queued);
    assert_int_equal(w->seen.health, EP_HEALTHY);
    assert_int_equal(w->seen.breaker, BREAKER_CLOSED);
    assert_false(w->seen.success_wanted);
    end(w);
}

/* The worker had no place for it, say. */
static void gives_back(struct world *w, unsigned slot, const char *id)
{
    struct ipc_verdict v = {.endpoint = str_c(id),
                            .seq = w->seq,
                            .cls = OUTCOME_UNKNOWN,
                            .fault = FAULT_UNCLEAR,
                            .net = NET_LOCAL,
                            .retry_after_ms = -1,
                            .own_key = true,
                            .reason = STR("no place within 1s")};
    assert_true(health_verdict(&w->h, slot, &v, w->now));
    health_run(&w->h, w->now);
}

static void one_that_is_given_back_has_not_failed(void **unused)
{
    (void)unused;
    struct world *w = world(1, 0);
    outcome(w, 0, A, OUTCOME_UNKNOWN, 0);
    uint32_t failures = state(w, A)->breaker.failures;
    for (int i = 0; i < 5; i++) {
        expect_said(w, "0 VERIFY " A "\n");
        gives_back(w, 0, A);
        expect_said(w, "");
        at(w, 4999);
        expect_said(w, "");
        at(w, 1);
    }
    assert_int_equal(state(w, A)->failq.verifications, 0);
    assert_int_equal(state(w, A)->breaker.failures, failures);
    expect_said(w, "0 VERIFY " A "\n");
    verdict(w, 0, A, true);
    assert_false(w->seen.queued);
    /* An operator's wish alone: nothing was wrong with it, and nothing is planned. */
    health_operator(&w->h, health_find(&w->h, STR(B)), EP_ACT_VERIFY, NULL, w->now);
    at(w, 0);
    expect_said(w, "0 VERIFY " B "\n");
    gives_back(w, 0, B);
    at(w, 60000);
    expect_said(w, "");
    assert_int_equal(state(w, B)->health, EP_UNKNOWN);
    assert_true(state(w, B)->verifying == EP_VERIFY_NONE);
    end(w);
}

static void a_trial_that_is_given_back_waits_for_a_request(void **unused)
{
    (void)unused;
    struct world *w = half_open(1);
    at(w, BREAKER_PATIENCE_MS);
    health_trial_back(&w->h, 0, STR(A), w->seq, w->now);
    at(w, 0);
    assert_true(state(w, A)->verifying == EP_VERIFY_TRIAL);
    buf_drop(&w->said, w->said.len);
    gives_back(w, 0, A);
    expect_said(w, "0 TRIAL " A "\n"); /* a request may have it now, and no loop of verifications */
    assert_int_equal(state(w, A)->breaker.state, BREAKER_HALF_OPEN);
    at(w, BREAKER_PATIENCE_MS - 1);
    expect_said(w, "");
    at(w, 1);
    expect_said(w, "0 RECALL " A "\n");
    health_trial_back(&w->h, 0, STR(A), w->seq, w->now);
    at(w, 0);
    expect_said(w, "0 VERIFY " A "\n");
    end(w);
}

static void the_model_that_was_served_is_asked(void **unused)
{
    (void)unused;
    struct world *w = world(1, 0);
    struct ipc_outcome o = {.endpoint = STR(A), .retry_after_ms = -1, .model = STR("claude-x")};
    assert_true(health_outcome(&w->h, 0, &o, w->now));
    assert_string_equal(health_find(&w->h, STR(A))->model, "claude-x");
    outcome(w, 0, A, OUTCOME_OK, 0); /* says no model */
    assert_string_equal(health_find(&w->h, STR(A))->model, "claude-x");
    end(w);
}

static void an_operator_disables_and_enables(void **unused)
{
    (void)unused;
    struct world *w = world(1, 0);
    struct health_endpoint *e = health_find(&w->h, STR("a"));
    health_operator(&w->h, e, EP_ACT_DISABLE, NULL, w->now);
    assert_true(w->seen.disabled);
    outcome(w, 0, B, OUTCOME_UNKNOWN, 0);
    assert_false(ep_queued(state(w, B))); /* the last one */
    health_operator(&w->h, e, EP_ACT_ENABLE, NULL, w->now);
    at(w, 0);
    assert_true(ep_queued(state(w, B)));
    end(w);
}

/* ---- places */

static void places_are_never_more_than_the_limit(void **unused)
{
    (void)unused;
    struct world *w = world(3, 2);
    places(w, 0, 0, true, false);
    places(w, 1, 0, true, false);
    expect_said(w, "0 LEND " A " 1\n1 LEND " A " 1\n");
    places(w, 2, 0, true, false);
    expect_said(w, "0 GIVE " A " 0\n1 GIVE " A " 0\n");
    places(w, 0, 0, false, true);
    expect_said(w, "");
    places(w, 1, 0, false, true);
    expect_said(w, "* NONE " A " 0\n"); /* only when nobody has an idle one */
    places(w, 0, 0, true, false);
    expect_said(w, "0 NONE " A " 0\n");
    places(w, 0, 0, true, false);
    expect_said(w, "0 NONE " A " 0\n"); /* a new configuration makes a worker forget the answer */
    places(w, 1, 1, false, false);
    expect_said(w, "2 LEND " A " 1\n"); /* who has waited longest */
    health_slot_gone(&w->h, 2, w->now);
    expect_said(w, "0 LEND " A " 1\n");
    assert_int_equal(places_lent(&w->h.v[0].places), 2);
    end(w);
}

static void a_reload_changes_the_limit(void **unused)
{
    (void)unused;
    struct world *w = world(2, 2);
    places(w, 0, 0, true, false);
    places(w, 0, 0, true, false);
    expect_said(w, "0 LEND " A " 1\n0 LEND " A " 1\n");
    w->c->endpoints[0].max_concurrent = 1;
    health_conf(&w->h, w->c, w->now);
    expect_said(w, "0 GIVE " A " 0\n");
    places(w, 1, 0, true, false);
    places(w, 0, 0, false, true);
    expect_said(w, "* NONE " A " 0\n");
    places(w, 0, 1, false, false);
    expect_said(w, ""); /* one is still out: that is the limit */
    places(w, 0, 1, false, false);
    expect_said(w, "1 LEND " A " 1\n");
    w->c->endpoints[0].max_concurrent = 0;
    health_conf(&w->h, w->c, w->now);
    struct ipc_places p = {.endpoint = STR(A), .taken = 3, .wanted_ms = 9};
    assert_true(health_places(&w->h, 0, &p));
    expect_said(w, ""); /* no limit yet; the worker knows more than we do */
    w->c->endpoints[0].max_concurrent = 5;
    health_conf(&w->h, w->c, w->now);
    expect_said(w, "0 LEND " A " 1\n");
    end(w);
}

static void the_longest_waiting_request_gets_the_place(void **unused)
{
    (void)unused;
    struct world *w = world(3, 1);
    struct ipc_places p = {.endpoint = STR(A), .wanted_ms = 50};
    places(w, 0, 0, true, false);
    expect_said(w, "0 LEND " A " 1\n");
    assert_true(health_places(&w->h, 1, &p));
    expect_said(w, "0 GIVE " A " 0\n");
    places(w, 0, 0, false, true);
    expect_said(w, "* NONE " A " 0\n");
    p.wanted_ms = 40;
    assert_true(health_places(&w->h, 2, &p));
    expect_said(w, "2 NONE " A " 0\n");
    p.wanted_ms = 30; /* an older request of that worker */
    assert_true(health_places(&w->h, 1, &p));
    expect_said(w, "1 NONE " A " 0\n");
    places(w, 0, 1, false, false);
    expect_said(w, "1 LEND " A " 1\n");
    p.wanted_ms = 60; /* its next one */
    assert_true(health_places(&w->h, 1, &p));
    p = (struct ipc_places){.endpoint = STR(A), .back = 1};
    expect_said(w, "1 NONE " A " 0\n");
    assert_true(health_places(&w->h, 1, &p));
    expect_said(w, "2 LEND " A " 1\n");
    end(w);
}

static void all_know_when_no_place_is_unused(void **unused)
{
    (void)unused;
    struct world *w = world(3, 2);
    places(w, 0, 0, true, false);
    places(w, 0, 0, true, false);
    expect_said(w, "0 LEND " A " 1\n0 LEND " A " 1\n");
    places(w, 0, 0, true, false);
    expect_said(w, "0 NONE " A " 0\n"); /* it keeps what becomes idle there: no other is told */
    places(w, 1, 0, true, false);
    expect_said(w, "0 GIVE " A " 0\n");
    places(w, 0, 0, false, true);
    expect_said(w, "* NONE " A " 0\n");
    places(w, 0, 1, false, false);
    places(w, 0, 1, false, false);
    expect_said(w, "0 LEND " A " 1\n1 LEND " A " 1\n");
    places(w, 0, 1, false, false); /* and nobody waits for it */
    expect_said(w, "* SOME " A " 0\n");
    places(w, 2, 0, true, false);
    expect_said(w, "2 LEND " A " 1\n");
    /* who had to give back at once has heard that it need not: it may have idle ones */
    places(w, 0, 0, true, false);
    expect_said(w, "1 GIVE " A " 0\n2 GIVE " A " 0\n");
    places(w, 1, 0, false, true);
    places(w, 2, 0, false, true);
    expect_said(w, "* NONE " A " 0\n");
    /* what began without a limit comes back as well, as do the places of a worker that dies */
    struct ipc_places p = {.endpoint = STR(A), .taken = 1};
    assert_true(health_places(&w->h, 0, &p));
    expect_said(w, "0 GIVE " A " 0\n");
    health_slot_gone(&w->h, 0, w->now);
    expect_said(w, "");
    health_slot_gone(&w->h, 2, w->now);
    expect_said(w, "* SOME " A " 0\n");
    end(w);
}

static void an_upgrade_ends_that_all_know(void **unused)
{
    (void)unused;
    struct world *w = world(2, 1);
    places(w, 0, 0, true, false);
    places(w, 1, 0, true, false);
    places(w, 0, 0, false, true);
    expect_said(w, "0 LEND " A " 1\n0 GIVE " A " 0\n* NONE " A " 0\n");
    health_freeze(&w->h, true); /* its workers hear of the successor's places alone */
    expect_said(w, "* SOME " A " 0\n0 GIVE " A " 0\n");
    places(w, 0, 0, false, true);
    expect_said(w, "1 NONE " A " 0\n");
    end(w);
}

static void places_of_one_that_was_out_still_count(void **unused)
{
    (void)unused;
    struct world *w = world(2, 2);
    places(w, 0, 0, true, false);
    places(w, 0, 0, true, false);
    expect_said(w, "0 LEND " A " 1\n0 LEND " A " 1\n");
    struct conf without = *w->c;
    without.endpoints = &w->c->endpoints[1];
    without.nendpoints--;
    health_conf(&w->h, &without, w->now);
    assert_int_equal(w->h.departed.n, 1);
    places(w, 0, 1, false, false); /* a request has ended meanwhile */
    health_conf(&w->h, w->c, w->now);
    assert_int_equal(w->h.departed.n, 0);
    assert_int_equal(places_lent(&w->h.v[0].places), 1);
    places(w, 1, 0, true, false);
    expect_said(w, "1 LEND " A " 1\n");
    places(w, 1, 0, true, false);
    expect_said(w, "0 GIVE " A " 0\n");
    health_conf(&w->h, &without, w->now);
    health_slot_gone(&w->h, 0, w->now);
    places(w, 1, 1, false, false);
    assert_int_equal(places_lent(&w->h.departed.v[0].places), 0); /* nobody holds any */
    places(w, 1, 0, true, false); /* a worker that drains still knows it */
    expect_said(w, "1 LEND " A " 1\n");
    places(w, 1, 1, false, false);
    /* requests of a time without a limit, reported before the configuration is in force */
    struct ipc_places p = {.endpoint = STR(A), .taken = 2};
    assert_true(health_places(&w->h, 1, &p));
    health_conf(&w->h, w->c, w->now);
    assert_int_equal(places_lent(&w->h.v[0].places), 2);
    end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_of_all_workers_are_in_a_row),
        cmocka_unit_test(a_success_between_resets),
        cmocka_unit_test(a_success_that_is_not_enough),
        cmocka_unit_test(what_no_worker_says),
        cmocka_unit_test(a_reload_keeps_what_is_known),
        cmocka_unit_test(the_last_one_is_not_queued_until_it_is_not),
        cmocka_unit_test(the_longest_waiting_request_gets_the_place),
        cmocka_unit_test(places_of_one_that_was_out_still_count),
        cmocka_unit_test(a_queued_one_is_verified_in_turn),
        cmocka_unit_test(one_that_is_given_back_has_not_failed),
        cmocka_unit_test(a_trial_that_is_given_back_waits_for_a_request),
        cmocka_unit_test(the_model_that_was_served_is_asked),
        cmocka_unit_test(an_operator_disables_and_enables),
        cmocka_unit_test(places_are_never_more_than_the_limit),
        cmocka_unit_test(a_reload_changes_the_limit),
        cmocka_unit_test(all_know_when_no_place_is_unused),
        cmocka_unit_test(an_upgrade_ends_that_all_know),
    };
    log_setup(LOG_L_ERROR, LOG_F_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
