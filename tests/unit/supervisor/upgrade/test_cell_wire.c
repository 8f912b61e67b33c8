/* What an upgrade carries over of cells: there and back, and what cannot be. */
#include "supervisor/upgrade/cell_wire.h"
#include "tests/unit/supervisor/shared/health/health_world.h"

static void charge(struct world *w, const char *model, enum outcome cls)
{
    struct ipc_outcome o = {.endpoint = STR(A),
                            .cls = cls,
                            .fault = cls == OUTCOME_OK ? FAULT_NONE : FAULT_ENDPOINT,
                            .scope = cls == OUTCOME_OK ? SCOPE_NONE : SCOPE_MODEL,
                            .sent = str_c(model),
                            .model = cls == OUTCOME_OK ? str_c(model) : STR(""),
                            .retry_after_ms = 60000,
                            .began_ms = w->now,
                            .left = true};
    assert_true(health_outcome(&w->h, 0, &o, w->now));
    health_run(&w->h, w->now);
}

static struct world *troubled(void)
{
    struct world *w = world(1, 0);
    charge(w, "claude-opus-4-8", OUTCOME_OK);
    charge(w, "gpt-5", OUTCOME_OK);
    for (int i = 0; i < 3; i++)
        charge(w, "claude-opus-4-8", OUTCOME_TRANSIENT);
    charge(w, "gpt-5", OUTCOME_RATE_LIMIT);
    at(w, 60000); /* half open, its trial lent */
    return w;
}

/* Sends all of A from one to the other, whose clock is ahead by that much. */
static void carry(const struct world *from, struct world *to, int64_t ahead)
{
    struct cell_wire a, b;
    for (uint32_t i = 0; cell_wire_put(&from->h.v[0], i, &a); i++) {
        struct ipc_up_cell m = a.m;
        assert_true(cell_wire_read(&b, &m));
        cell_wire_move(&b, ahead);
        assert_true(cell_wire_get(&to->h, &b, to->now));
    }
}

static void there_and_back(void **unused)
{
    (void)unused;
    struct world *old = troubled(), *new = world(0, 0);
    carry(old, new, 5000);
    const struct cells *a = &state(old, A)->cells, *b = &state(new, A)->cells;
    assert_int_equal(b->n, 2);
    assert_true(b->nnames == 2 && memcmp(a->names, b->names, 16) == 0);
    assert_int_equal(b->names_ms[0], a->names_ms[0] + 5000);
    assert_int_equal(b->ok_began_ms, a->ok_began_ms + 5000);
    const struct cell *x = cells_find(a, STR("opus")), *y = cells_find(b, STR("opus"));
    assert_int_equal(y->breaker.state, BREAKER_HALF_OPEN);
    assert_int_equal(y->breaker.trial, BREAKER_TRIAL_LENT);
    assert_true(y->breaker.failures == 3 && y->breaker.open_ms == 60000);
    assert_int_equal(y->breaker.since_ms, x->breaker.since_ms + 5000);
    assert_true(y->row_ms == x->row_ms + 5000 && y->opened_ms == x->opened_ms + 5000);
    assert_true(y->served_ms == x->served_ms + 5000 && y->asked_ms == x->asked_ms + 5000);
    assert_string_equal(y->model, "claude-opus-4-8");
    const struct health_loan *l = &new->h.v[0].cells->loan;
    assert_true(l->slot == HEALTH_PREDECESSOR && l->seq == old->seq);
    x = cells_find(a, STR("gpt-5"));
    y = cells_find(b, STR("gpt-5"));
    assert_int_equal(y->cooldown.own_until_ms, x->cooldown.own_until_ms + 5000);
    assert_int_equal(y->kind, CELL_SERVED);
    /* the old worker dies with the trial: it is free again */
    health_lost(&new->h, HEALTH_PREDECESSOR, STR(A), old->seq, 0, new->now);
    assert_int_equal(cells_find(b, STR("opus"))->breaker.trial, BREAKER_TRIAL_FREE);
    end(old);
    end(new);
}

static void what_cannot_be_is_refused(void **unused)
{
    (void)unused;
    struct world *w = world(0, 0);
    char odd[17] = "";
    struct cell_wire x;
    struct ipc_up_cell m = {.id = STR(A), .family = STR("opus"), .breaker = BREAKER__COUNT};
    assert_true(cell_wire_read(&x, &m));
    assert_false(cell_wire_get(&w->h, &x, w->now));
    m.breaker = BREAKER_OPEN;
    m.breaker_trial = 9;
    assert_true(cell_wire_read(&x, &m));
    assert_false(cell_wire_get(&w->h, &x, w->now));
    m.names = str_make(odd, sizeof odd);
    assert_false(cell_wire_read(&x, &m));
    m = (struct ipc_up_cell){.id = STR("cccccccc"), .family = STR("opus")};
    assert_true(cell_wire_read(&x, &m));
    assert_true(cell_wire_get(&w->h, &x, w->now)); /* it is configured no longer */
    end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    log_setup(LOG_L_ERROR, LOG_F_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
