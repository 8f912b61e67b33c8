/* health: what workers are told of cells, and trials and verifications of cells. */
#include "common/conf/conf_value.h"
#include "tests/unit/supervisor/shared/health/health_world.h"

static void of_model(struct world *w, unsigned slot, const char *model, enum outcome cls,
                     uint64_t trial)
{
    struct ipc_outcome o = {.endpoint = STR(A),
                            .cls = cls,
                            .fault = cls == OUTCOME_OK ? FAULT_NONE : FAULT_ENDPOINT,
                            .scope = cls == OUTCOME_OK ? SCOPE_NONE : SCOPE_MODEL,
                            .sent = str_c(model),
                            .model = cls == OUTCOME_OK ? str_c(model) : STR(""),
                            .retry_after_ms = cls == OUTCOME_RATE_LIMIT ? 39000 : -1,
                            .began_ms = w->now,
                            .left = true,
                            .own_key = true,
                            .trial = trial,
                            .status = 529,
                            .reason = STR("made up")};
    assert_true(health_outcome(&w->h, slot, &o, w->now));
    health_run(&w->h, w->now);
}

/* A world in which A has served opus and haiku, and opus's cell is half open. */
static struct world *half_open_cell(int workers)
{
    struct world *w = world(workers, 0);
    w->c->endpoints[0].api_key = mem_strdup("sk-key");
    health_conf(&w->h, w->c, w->now);
    of_model(w, 0, "claude-opus-4-8", OUTCOME_OK, 0);
    of_model(w, 0, "claude-haiku-4-5", OUTCOME_OK, 0);
    at(w, 1);
    for (int i = 0; i < 3; i++)
        of_model(w, 0, "claude-opus-4-8", OUTCOME_TRANSIENT, 0);
    at(w, 59999);
    expect_said(w, "");
    assert_int_equal(w->cell.breaker, BREAKER_OPEN);
    at(w, 1);
    return w;
}

static void a_limit_is_told_as_that_of_the_cell(void **unused)
{
    (void)unused;
    struct world *w = world(2, 0);
    of_model(w, 0, "claude-opus-4-8", OUTCOME_OK, 0);
    assert_int_equal(w->names, 1);
    of_model(w, 0, "claude-opus-4-8", OUTCOME_RATE_LIMIT, 0);
    assert_true(str_eq(w->cell.endpoint, STR(A)) && str_eq(w->cell.family, STR("opus")));
    assert_true(w->cell.own_until_ms == w->now + 39000 && w->cell.success_wanted);
    assert_true(state(w, A)->cooldown.own_until_ms == 0);
    assert_int_equal(state(w, A)->health, EP_HEALTHY);
    /* a worker that starts gets both */
    w->names = 0;
    w->cell = (struct ipc_cell){0};
    health_send_all(&w->h, 1, w->now);
    assert_true(w->names == 1 && str_eq(w->cell.family, STR("opus")));
    /* the success ends it, and the cell is as new */
    w->now++;
    of_model(w, 0, "claude-opus-4-8", OUTCOME_OK, 0);
    assert_true(w->cell.own_until_ms == 0 && !w->cell.success_wanted && !w->cell.breaker);
    at(w, 1);
    assert_null(health_find(&w->h, STR(A))->cells);
    end(w);
}

static void the_trial_of_a_cell_is_lent_and_closes_it(void **unused)
{
    (void)unused;
    struct world *w = half_open_cell(2);
    expect_said(w, "1 TRIAL aaaaaaaa opus\n");
    assert_int_equal(w->cell.breaker, BREAKER_HALF_OPEN);
    at(w, 500); /* worker 1 has no request that suits */
    expect_said(w, "1 RECALL aaaaaaaa opus\n");
    health_trial_back(&w->h, 1, STR(A), w->seq, w->now);
    at(w, 1);
    expect_said(w, "0 TRIAL aaaaaaaa opus\n");
    health_trial_begun(&w->h, 0, STR(A), w->seq, w->now);
    assert_true(w->cell.trial_busy);
    of_model(w, 0, "claude-opus-4-8", OUTCOME_OK, w->seq);
    assert_int_equal(w->cell.breaker, BREAKER_CLOSED);
    expect_said(w, "");
    end(w);
}

static void a_worker_that_dies_gives_it_back(void **unused)
{
    (void)unused;
    struct world *w = half_open_cell(2);
    expect_said(w, "1 TRIAL aaaaaaaa opus\n");
    health_trial_begun(&w->h, 1, STR(A), w->seq, w->now);
    health_slot_gone(&w->h, 1, w->now);
    health_run(&w->h, w->now);
    expect_said(w, "0 TRIAL aaaaaaaa opus\n");
    end(w);
}

static void who_asks_gets_it_also_while_it_is_open(void **unused)
{
    (void)unused;
    struct world *w = world(3, 0);
    of_model(w, 0, "claude-opus-4-8", OUTCOME_OK, 0);
    health_trial_ask(&w->h, 2, STR(A), STR("opus"));
    at(w, 1);
    expect_said(w, ""); /* it is closed */
    for (int i = 0; i < 3; i++)
        of_model(w, 0, "claude-opus-4-8", OUTCOME_TRANSIENT, 0);
    health_trial_ask(&w->h, 2, STR(A), STR("opus"));
    health_trial_ask(&w->h, 1, STR(A), STR("sonnet"));
    at(w, 1);
    expect_said(w, "2 TRIAL aaaaaaaa opus\n");
    end(w);
}

static void the_endpoints_breaker_recalls_the_trials_of_cells(void **unused)
{
    (void)unused;
    struct world *w = half_open_cell(2);
    expect_said(w, "1 TRIAL aaaaaaaa opus\n");
    for (int i = 0; i < 3; i++)
        outcome(w, 0, A, OUTCOME_TRANSIENT, 0);
    assert_int_equal(state(w, A)->breaker.state, BREAKER_OPEN);
    expect_said(w, "1 RECALL aaaaaaaa opus\n");
    health_trial_back(&w->h, 1, STR(A), w->seq, w->now);
    at(w, 60000);
    expect_said(w, "0 TRIAL aaaaaaaa\n");
    end(w);
}

static void a_cell_is_verified_once_it_was_asked_for(void **unused)
{
    (void)unused;
    struct world *w = half_open_cell(1);
    expect_said(w, "0 TRIAL aaaaaaaa opus\n");
    at(w, 11000);
    expect_said(w, "");
    /* another endpoint serves that family */
    struct ipc_outcome o = {
        .endpoint = STR(B), .cls = OUTCOME_OK, .sent = STR("claude-opus-4-8"), .began_ms = w->now};
    assert_true(health_outcome(&w->h, 0, &o, w->now));
    at(w, 1);
    expect_said(w, "0 RECALL aaaaaaaa opus\n");
    health_trial_back(&w->h, 0, STR(A), w->seq, w->now);
    at(w, 1);
    expect_said(w, "0 VERIFY aaaaaaaa opus\n");
    verdict(w, 0, A, true);
    assert_int_equal(w->cell.breaker, BREAKER_CLOSED);
    end(w);
}

/* What was asked for is told by the name that the serving endpoint has for it, and looked for at
 * each by the name that it has there. */
static void what_is_asked_for_goes_by_each_map(void **unused)
{
    (void)unused;
    struct world *w = half_open_cell(1);
    conf_map_add(&w->c->endpoints[0].map, STR("big"), STR("claude-opus-4-8"));
    conf_map_add(&w->c->endpoints[1].map, STR("big"), STR("grand"));
    health_conf(&w->h, w->c, w->now);
    struct ipc_outcome o = {
        .endpoint = STR(B), .cls = OUTCOME_OK, .sent = STR("other"), .began_ms = w->now};
    const struct cell *opus = cells_find(&health_find(&w->h, STR(A))->state.cells, STR("opus"));
    int64_t before = opus->asked_ms;
    assert_true(health_outcome(&w->h, 0, &o, at(w, 5)->now));
    assert_int_equal(opus->asked_ms, before);
    o.sent = STR("grand");
    assert_true(health_outcome(&w->h, 0, &o, at(w, 5)->now));
    assert_int_equal(opus->asked_ms, w->now);
    end(w);
}

/* An endpoint whose cell is out for a model is not the one that has it, by whatever name. */
static void a_mapped_models_cell_may_be_out(void **unused)
{
    (void)unused;
    struct world *w = half_open_cell(1);
    conf_map_add(&w->c->endpoints[0].map, STR("big"), STR("claude-opus-4-8"));
    health_conf(&w->h, w->c, w->now);
    struct ipc_asked_here m = {.model = STR("big"), .at_ms = w->now};
    health_asked(&w->h, &m, w->now);
    at(w, 1);
    assert_true(w->h.offered.offers.v[0].out);
    assert_true(offers_last(&w->h.offered.offers, 1));
    end(w);
}

static void an_operator_clears_one_cell(void **unused)
{
    (void)unused;
    struct world *w = half_open_cell(1);
    struct health_endpoint *e = health_find(&w->h, STR(A));
    assert_false(health_reset_cell(&w->h, e, STR("sonnet"), w->now));
    assert_true(health_reset_cell(&w->h, e, STR("opus"), w->now));
    assert_true(w->cell.breaker == BREAKER_CLOSED && w->h.operator_acted);
    end(w);
}

/* Cells stay over a reload, and so do their loans. */
static void a_reload_keeps_cells(void **unused)
{
    (void)unused;
    struct world *w = half_open_cell(1);
    expect_said(w, "0 TRIAL aaaaaaaa opus\n");
    health_conf(&w->h, w->c, w->now);
    w->cell = (struct ipc_cell){0};
    health_send_all(&w->h, HEALTH_ALL, w->now);
    assert_int_equal(w->cell.breaker, BREAKER_HALF_OPEN);
    health_trial_begun(&w->h, 0, STR(A), w->seq, w->now);
    of_model(w, 0, "claude-opus-4-8", OUTCOME_OK, w->seq);
    assert_int_equal(w->cell.breaker, BREAKER_CLOSED);
    end(w);
}

/* While some cell fails and nothing is known to have succeeded since, workers report successes. */
static void a_success_of_another_cell_is_wanted_once(void **unused)
{
    (void)unused;
    struct world *w = world(1, 0);
    of_model(w, 0, "claude-opus-4-8", OUTCOME_OK, 0);
    of_model(w, 0, "claude-haiku-4-5", OUTCOME_OK, 0);
    assert_false(w->seen.success_wanted);
    w->now++;
    of_model(w, 0, "claude-opus-4-8", OUTCOME_TRANSIENT, 0);
    assert_true(w->seen.success_wanted);
    w->now++;
    of_model(w, 0, "claude-haiku-4-5", OUTCOME_OK, 0);
    assert_false(w->seen.success_wanted);
    assert_true(w->cell.success_wanted); /* that of opus still is */
    end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_is_told_as_that_of_the_cell),
        cmocka_unit_test(the_trial_of_a_cell_is_lent_and_closes_it),
        cmocka_unit_test(a_worker_that_dies_gives_it_back),
        cmocka_unit_test(who_asks_gets_it_also_while_it_is_open),
        cmocka_unit_test(the_endpoints_breaker_recalls_the_trials_of_cells),
        cmocka_unit_test(a_cell_is_verified_once_it_was_asked_for),
        cmocka_unit_test(what_is_asked_for_goes_by_each_map),
        cmocka_unit_test(a_mapped_models_cell_may_be_out),
        cmocka_unit_test(an_operator_clears_one_cell),
        cmocka_unit_test(a_reload_keeps_cells),
        cmocka_unit_test(a_success_of_another_cell_is_wanted_once),
    };
    log_setup(LOG_L_ERROR, LOG_F_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
