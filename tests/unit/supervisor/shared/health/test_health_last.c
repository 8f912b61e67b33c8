/* health: the last endpoint that could serve, which is never out of reach. */
#include "tests/unit/supervisor/shared/health/health_world.h"

/* What the workers know of it. */
static const struct ipc_endpoint *known(const struct world *w, const char *id)
{
    return &health_find(&w->h, str_c(id))->sent;
}

static void cools(struct world *w, const char *id, int64_t ms)
{
    struct ipc_outcome o = {.endpoint = str_c(id),
                            .cls = OUTCOME_RATE_LIMIT,
                            .fault = FAULT_ENDPOINT,
                            .retry_after_ms = ms,
                            .began_ms = w->now,
                            .left = true,
                            .own_key = true,
                            .reason = STR("made up")};
    assert_true(health_outcome(&w->h, 0, &o, w->now));
    health_run(&w->h, w->now);
}

static void operate(struct world *w, const char *id, enum ep_action a)
{
    health_operator(&w->h, health_find(&w->h, str_c(id)), a, NULL, w->now);
    health_run(&w->h, w->now);
}

/* B is out in each way that leaves it enabled and not queued. */
static void put_out(struct world *w, int how)
{
    if (how == 0)
        operate(w, B, EP_ACT_DRAIN);
    if (how == 1)
        cools(w, B, 30000);
    for (int i = 0; i < 3 && how >= 2; i++)
        outcome(w, 0, B, OUTCOME_TRANSIENT, 0);
    if (how == 3)
        at(w, 60000); /* half open */
}

static void who_is_out_does_not_count_as_another(void **unused)
{
    (void)unused;
    for (int how = 0; how < 4; how++) {
        struct world *w = world(1, 0);
        put_out(w, how);
        outcome(w, 0, A, OUTCOME_UNKNOWN, 0);
        assert_false(ep_queued(state(w, A)));
        assert_int_equal(state(w, A)->health, EP_UNHEALTHY);
        end(w);
    }
}

static void a_queued_one_is_in_reach_while_it_is_the_last(void **unused)
{
    (void)unused;
    for (int how = 0; how < 4; how++) {
        struct world *w = world(1, 0);
        outcome(w, 0, A, OUTCOME_UNKNOWN, 0);
        assert_true(known(w, A)->queued);
        put_out(w, how);
        assert_true(ep_queued(state(w, A)));
        assert_false(known(w, A)->queued);
        operate(w, B, EP_ACT_RESET);
        assert_true(known(w, A)->queued);
        operate(w, B, EP_ACT_DISABLE);
        assert_false(known(w, A)->queued);
        at(w, 1);
        outcome(w, 0, A, OUTCOME_UNKNOWN, 0);
        assert_true(ep_queued(state(w, A))); /* a failure leaves it where it is */
        assert_false(known(w, A)->queued);
        at(w, 1);
        outcome(w, 0, A, OUTCOME_OK, 0);
        assert_false(ep_queued(state(w, A)));
        assert_int_equal(known(w, A)->health, EP_HEALTHY);
        end(w);
    }
}

static void a_cooldown_that_ends_takes_it_out_of_reach(void **unused)
{
    (void)unused;
    struct world *w = world(1, 0);
    outcome(w, 0, A, OUTCOME_UNKNOWN, 0);
    cools(w, B, 3000);
    assert_false(known(w, A)->queued);
    assert_true(health_next(&w->h) <= w->now + 3000);
    at(w, 2999);
    assert_false(known(w, A)->queued);
    assert_true(health_next(&w->h) <= w->now + 1);
    at(w, 1);
    assert_true(known(w, A)->queued);
    /* Nobody has looked at the clock when this comes. */
    cools(w, B, 3000);
    w->now += 3000;
    struct ipc_outcome o = {.endpoint = STR(B),
                            .cls = OUTCOME_UNKNOWN,
                            .fault = FAULT_ENDPOINT,
                            .retry_after_ms = -1,
                            .began_ms = w->now,
                            .left = true,
                            .reason = STR("made up")};
    assert_true(health_outcome(&w->h, 0, &o, w->now));
    health_run(&w->h, w->now);
    assert_false(ep_queued(state(w, B))); /* the last one */
    assert_true(known(w, A)->queued);     /* and that is better than the queue */
    end(w);
}

static void who_was_spared_is_queued_when_the_cooldown_is_over(void **unused)
{
    (void)unused;
    struct world *w = world(1, 0);
    cools(w, B, 3000);
    outcome(w, 0, A, OUTCOME_UNKNOWN, 0);
    assert_false(ep_queued(state(w, A)));
    at(w, 3000);
    assert_true(ep_queued(state(w, A)));
    expect_said(w, "0 VERIFY " A "\n");
    end(w);
}

static void a_reload_leaves_only_a_queued_one(void **unused)
{
    (void)unused;
    struct world *w = world(1, 0);
    outcome(w, 0, A, OUTCOME_UNKNOWN, 0);
    struct conf *c = conf_new();
    add(c, A, "a", 0);
    health_conf(&w->h, c, w->now);
    conf_unref(w->c);
    w->c = c;
    health_run(&w->h, w->now);
    assert_true(ep_queued(state(w, A)));
    assert_false(known(w, A)->queued);
    end(w);
}

/* Behind an open breaker one request at a time, as with any other. */
static void a_queued_one_in_reach_has_its_trial(void **unused)
{
    (void)unused;
    struct world *w = world(2, 0);
    outcome(w, 0, A, OUTCOME_UNKNOWN, 0);
    expect_said(w, "1 VERIFY " A "\n");
    verdict(w, 1, A, false);
    operate(w, B, EP_ACT_DISABLE);
    at(w, 1);
    outcome(w, 0, A, OUTCOME_TRANSIENT, 0);
    outcome(w, 0, A, OUTCOME_TRANSIENT, 0);
    assert_int_equal(known(w, A)->breaker, BREAKER_OPEN);
    health_trial_ask(&w->h, 1, STR(A), (struct str){0});
    at(w, 1);
    expect_said(w, "1 TRIAL " A "\n");
    operate(w, B, EP_ACT_ENABLE);
    expect_said(w, "1 RECALL " A "\n"); /* out of reach */
    health_trial_back(&w->h, 1, STR(A), w->seq, w->now);
    operate(w, B, EP_ACT_DISABLE);
    health_trial_ask(&w->h, 0, STR(A), (struct str){0});
    at(w, 1);
    expect_said(w, "0 TRIAL " A "\n");
    health_trial_begun(&w->h, 0, STR(A), w->seq, w->now);
    outcome(w, 0, A, OUTCOME_OK, w->seq);
    assert_int_equal(known(w, A)->breaker, BREAKER_CLOSED);
    assert_false(ep_queued(state(w, A)));
    end(w);
}

/* Another that is usable comes and goes: the plan stays. */
static void entering_the_queue_again_goes_on_with_the_plan(void **unused)
{
    (void)unused;
    struct world *w = world(1, 0);
    outcome(w, 0, A, OUTCOME_UNKNOWN, 0);
    expect_said(w, "0 VERIFY " A "\n");
    verdict(w, 0, A, true);
    outcome(w, 0, A, OUTCOME_UNKNOWN, 0);
    assert_true(ep_queued(state(w, A)));
    expect_said(w, "");
    at(w, 4999);
    expect_said(w, "");
    at(w, 1);
    expect_said(w, "0 VERIFY " A "\n");
    end(w);
}

/* The world's endpoints with models of their own. */
static struct world *with_models(const char *of_a, const char *of_b)
{
    struct world *w = world(1, 0);
    const char *of[] = {of_a, of_b};
    for (size_t i = 0; i < 2 && of[i]; i++) {
        struct conf_strs *allow = &w->c->endpoints[i].allow;
        allow->v = mem_zalloc(1, sizeof *allow->v);
        allow->v[allow->n++] = mem_strdup(of[i]);
    }
    health_conf(&w->h, w->c, w->now);
    health_run(&w->h, w->now);
    return w;
}

static void each_is_the_last_for_its_own_models(void **unused)
{
    (void)unused;
    struct world *w = with_models("claude-opus-*", "claude-haiku-*");
    outcome(w, 0, A, OUTCOME_UNKNOWN, 0);
    outcome(w, 0, B, OUTCOME_UNKNOWN, 0);
    for (int i = 0; i < 2; i++) {
        const char *id = i ? B : A;
        assert_false(ep_queued(state(w, id)));
        assert_int_equal(state(w, id)->health, EP_UNHEALTHY);
        assert_false(known(w, id)->queued);
    }
    end(w);
    /* All that a offers is offered by b as well, but not the other way round. */
    w = with_models("claude-opus-*", NULL);
    outcome(w, 0, A, OUTCOME_UNKNOWN, 0);
    outcome(w, 0, B, OUTCOME_UNKNOWN, 0);
    assert_true(known(w, A)->queued);
    assert_false(ep_queued(state(w, B)));
    end(w);
}

static void asks(struct world *w, const char *model)
{
    struct ipc_asked_here m = {.model = str_c(model), .at_ms = w->now};
    health_asked(&w->h, &m, w->now);
    health_run(&w->h, w->now);
}

static void the_last_one_for_what_is_asked_for(void **unused)
{
    (void)unused;
    struct world *w = with_models("claude-*", "claude-haiku-*");
    asks(w, "claude-haiku-4");
    outcome(w, 0, A, OUTCOME_UNKNOWN, 0);
    assert_true(known(w, A)->queued); /* nobody asks for what it alone has */
    asks(w, "claude-opus-4");
    assert_true(ep_queued(state(w, A)));
    assert_false(known(w, A)->queued);
    assert_int_equal(ep_tier(state(w, A)), SEL_UNHEALTHY);
    asks(w, "claude-haiku-4"); /* the other one goes on being asked for */
    at(w, ASKED_FOR_MS - 60000);
    asks(w, "claude-haiku-4");
    at(w, 59999);
    assert_false(known(w, A)->queued);
    assert_int_equal(health_next(&w->h), w->now + 1);
    at(w, 1);
    assert_true(known(w, A)->queued); /* an hour is over */
    /* over a reload */
    asks(w, "claude-opus-4");
    health_conf(&w->h, w->c, w->now);
    health_run(&w->h, w->now);
    assert_false(known(w, A)->queued);
    end(w);
}

static void workers_hear_of_what_others_are_asked_for(void **unused)
{
    (void)unused;
    struct world *w = world(2, 0);
    expect_said(w, "");
    asks(w, "m");
    asks(w, "m"); /* by another worker at the same time */
    asks(w, "");
    expect_said(w, "* ASKED m\n* ASKED \n");
    at(w, ASKED_PAUSE_MS);
    asks(w, "m");
    expect_said(w, "* ASKED m\n");
    health_send_all(&w->h, 1, w->now); /* a new one hears of all */
    expect_said(w, "1 ASKED m\n1 ASKED \n");
    at(w, ASKED_FOR_MS - ASKED_PAUSE_MS);
    health_send_all(&w->h, 1, w->now);
    expect_said(w, "1 ASKED m\n");
    end(w);
}

static void a_reload_takes_away_who_offered_the_same(void **unused)
{
    (void)unused;
    struct world *w = world(1, 0);
    outcome(w, 0, A, OUTCOME_UNKNOWN, 0);
    assert_true(known(w, A)->queued);
    struct conf_strs *allow = &w->c->endpoints[1].allow;
    allow->v = mem_zalloc(1, sizeof *allow->v);
    allow->v[allow->n++] = mem_strdup("claude-haiku-*");
    health_conf(&w->h, w->c, w->now);
    health_run(&w->h, w->now);
    assert_true(ep_queued(state(w, A)));
    assert_false(known(w, A)->queued); /* b is usable, and has not all that a has */
    end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_out_does_not_count_as_another),
        cmocka_unit_test(a_queued_one_is_in_reach_while_it_is_the_last),
        cmocka_unit_test(a_cooldown_that_ends_takes_it_out_of_reach),
        cmocka_unit_test(who_was_spared_is_queued_when_the_cooldown_is_over),
        cmocka_unit_test(a_reload_leaves_only_a_queued_one),
        cmocka_unit_test(a_queued_one_in_reach_has_its_trial),
        cmocka_unit_test(entering_the_queue_again_goes_on_with_the_plan),
        cmocka_unit_test(each_is_the_last_for_its_own_models),
        cmocka_unit_test(the_last_one_for_what_is_asked_for),
        cmocka_unit_test(workers_hear_of_what_others_are_asked_for),
        cmocka_unit_test(a_reload_takes_away_who_offered_the_same),
    };
    log_setup(LOG_L_ERROR, LOG_F_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
