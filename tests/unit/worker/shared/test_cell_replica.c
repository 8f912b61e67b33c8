#include "worker/shared/cell_replica.h"

#include "common/conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct ipc_cell cell(const char *family)
{
    return (struct ipc_cell){.endpoint = STR("00000001"), .family = str_c(family)};
}

static struct cell_view *set(struct cell_replica *c, struct ipc_cell m)
{
    uint64_t gone;
    struct cell_view *v = cell_replica_set(c, &m, &gone);
    assert_int_equal(gone, 0);
    return v;
}

static struct cell_view *open_cell(struct cell_replica *c, const char *family)
{
    struct ipc_cell m = cell(family);
    m.breaker = BREAKER_OPEN;
    return set(c, m);
}

static void served(struct cell_replica *c, const char *family, const char *name)
{
    uint64_t f = model_hash(str_c(family)), n = model_hash(str_c(name));
    struct ipc_models m = {.endpoint = STR("00000001")};
    if (*family)
        m.families = str_make((const char *)&f, sizeof f);
    if (*name)
        m.names = str_make((const char *)&n, sizeof n);
    cell_replica_served(c, &m);
}

/* Which cells judge the name: "own", "other", "own other" or "". */
static const char *judged(const struct cell_replica *c, const struct cell_families *f,
                          const char *model)
{
    struct cell_name name = cell_name_of(str_c(model));
    struct cell_judges j = cell_replica_look(c, f, &name);
    return j.own && j.other ? "own other" : j.own ? "own" : j.other ? "other" : "";
}

static void a_name_is_judged_by_its_cell(void **state)
{
    (void)state;
    char *allow[] = {"mimo-v2", "kimi-*"};
    struct conf_pair map[] = {{"claude-opus-4-1", "glm-4.6"}};
    struct conf_endpoint ce = {.allow = {allow, 2}, .map = {map, 1}};
    struct cell_families f = cell_families_of(&ce);
    struct cell_replica c = {0};
    assert_string_equal(judged(&c, &f, "claude-opus-4-8"), "");
    open_cell(&c, "opus");
    assert_string_equal(judged(&c, &f, "claude-opus-4-8"), "own");
    assert_string_equal(judged(&c, &f, "anthropic/claude-3-opus"), "own");
    assert_string_equal(judged(&c, &f, "claude-haiku-4-5"), "");
    /* and by `other` while it was not served there within a day */
    open_cell(&c, "other");
    assert_string_equal(judged(&c, &f, "claude-opus-4-8"), "own other");
    assert_string_equal(judged(&c, &f, "claude-haiku-4-5"), "other");
    served(&c, "", "claude-opus-4-8");
    assert_string_equal(judged(&c, &f, "claude-opus-4-8"), "own");
    assert_string_equal(judged(&c, &f, "claude-opus-4-1"), "own other");
    /* without a cell of its own it stays with `other` */
    served(&c, "", "deepseek-v4");
    assert_string_equal(judged(&c, &f, "deepseek-v4"), "other");
    served(&c, "deepseek-v4", "deepseek-v4");
    assert_string_equal(judged(&c, &f, "deepseek-v4"), "");
    served(&c, "", "mimo-v2");
    assert_string_equal(judged(&c, &f, "mimo-v2"), "");
    served(&c, "", "glm-4.6");
    assert_string_equal(judged(&c, &f, "glm-4.6"), "");
    served(&c, "", "kimi-k3"); /* `allow` has only a pattern for it */
    assert_string_equal(judged(&c, &f, "kimi-k3"), "other");
    cell_replica_free(&c);
    cell_families_free(&f);
}

static void the_worse_of_both_counts(void **state)
{
    (void)state;
    struct ipc_cell m = cell("opus");
    struct cell_families f = {0};
    struct cell_replica c = {0};
    m.degraded = true;
    m.cooldown_until_ms = 500;
    set(&c, m);
    m = cell("other");
    m.breaker = BREAKER_HALF_OPEN;
    m.cooldown_until_ms = m.own_until_ms = 400;
    set(&c, m);
    struct cell_name name = cell_name_of(STR("claude-opus-4-8"));
    struct cell_judges j = cell_replica_look(&c, &f, &name);
    assert_int_equal(cell_judges_tier(&j, 300), SEL_CIRCUIT_OPEN);
    assert_int_equal(cell_judges_cooldown_ms(&j, false), 500);
    assert_int_equal(cell_judges_cooldown_ms(&j, true), 400);
    assert_string_equal(cell_judges_trial(&j)->family, "other");
    open_cell(&c, "opus"); /* its own trial comes first */
    j = cell_replica_look(&c, &f, &name);
    assert_string_equal(cell_judges_trial(&j)->family, "opus");
    j.other = NULL;
    j.own->breaker = BREAKER_CLOSED;
    j.own->degraded = true;
    assert_int_equal(cell_judges_tier(&j, 300), SEL_DEGRADED);
    j.own->degraded = false;
    assert_int_equal(cell_judges_tier(&j, 300), SEL_HEALTHY);
    j.own->cooldown_until_ms = 301;
    assert_int_equal(cell_judges_tier(&j, 300), SEL_DEGRADED);
    assert_null(cell_judges_trial(&j));
    cell_replica_free(&c);
}

static void a_success_is_reported_once_for_each_state(void **state)
{
    (void)state;
    struct cell_replica c = {0};
    struct ipc_cell m = cell("opus");
    m.success_wanted = true;
    struct cell_judges j = {.own = set(&c, m)};
    assert_true(cell_judges_success_wanted(&j) && cell_judges_success_due(&j));
    cell_judges_reported(&j, true);
    assert_true(cell_judges_success_wanted(&j) && !cell_judges_success_due(&j));
    cell_judges_reported(&j, false); /* a failure after it: one more is wanted */
    assert_true(cell_judges_success_due(&j));
    cell_judges_reported(&j, true);
    j.own = set(&c, m);
    assert_true(cell_judges_success_due(&j));
    cell_replica_free(&c);
}

static void a_half_open_cell_says_now_and_then_who_asks(void **state)
{
    (void)state;
    struct cell_replica c = {0};
    struct ipc_cell m = cell("opus");
    struct cell_judges j = {.own = open_cell(&c, "opus")};
    assert_false(cell_judges_ask_due(&j, 100000));
    m.breaker = BREAKER_HALF_OPEN;
    j.own = set(&c, m);
    assert_true(cell_judges_ask_due(&j, 100000));
    assert_false(cell_judges_ask_due(&j, 101999));
    assert_true(cell_judges_ask_due(&j, 102000));
    cell_replica_free(&c);
}

static void healthy_cells_are_forgotten(void **state)
{
    (void)state;
    struct cell_replica c = {0};
    uint64_t gone;
    open_cell(&c, "opus");
    struct cell_view *v = open_cell(&c, "haiku");
    struct ipc_cell well = cell("opus");
    assert_null(set(&c, well));
    assert_int_equal(c.n, 1);
    /* a trial that was lent goes back, one that runs is remembered until it has ended */
    v = cell_replica_find(&c, model_hash(STR("haiku")));
    v->trial.seq = 7;
    well = cell("haiku");
    assert_null(cell_replica_set(&c, &well, &gone));
    assert_int_equal(gone, 7);
    assert_int_equal(c.n, 0);
    v = open_cell(&c, "haiku");
    v->trial.out = true;
    assert_non_null(set(&c, well));
    cell_replica_settle(&c, v);
    assert_int_equal(c.n, 1);
    v->trial.out = false;
    cell_replica_settle(&c, v);
    assert_int_equal(c.n, 0);
    cell_replica_free(&c);
}

static void there_is_an_end_to_it(void **state)
{
    (void)state;
    struct cell_replica c = {0};
    for (int i = 0; i < CELLS_MAX + 10; i++) {
        char family[32];
        snprintf(family, sizeof family, "model-%d", i);
        assert_true((open_cell(&c, family) != NULL) == (i < CELLS_MAX));
    }
    assert_int_equal(c.n, CELLS_MAX);
    assert_null(set(&c, cell("model-0"))); /* makes room */
    assert_non_null(open_cell(&c, "one-more"));
    cell_replica_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_judged_by_its_cell),
        cmocka_unit_test(the_worse_of_both_counts),
        cmocka_unit_test(a_success_is_reported_once_for_each_state),
        cmocka_unit_test(a_half_open_cell_says_now_and_then_who_asks),
        cmocka_unit_test(healthy_cells_are_forgotten),
        cmocka_unit_test(there_is_an_end_to_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
