#include "common/policy/shared/shared_cell.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1000000)

static const struct ep_conf conf = {
    .breaker = {.failure_threshold = 3, .open_ms = 60000, .max_open_ms = 600000},
    .cooldown = {.default_ms = 30000, .max_ms = 3600000},
};

static struct cell room[8];

static struct ep_state fresh(void)
{
    struct ep_state s;
    ep_init(&s, true);
    memset(room, 0, sizeof room);
    s.cells.v = room;
    s.cells.room = COUNT_OF(room);
    return s;
}

static bool take(struct ep_state *s, const struct shared_group *g)
{
    struct ep_changes ch = {0};
    bool took = shared_cell_take(s, &conf, STR("opus"), g, NOW, &ch);
    assert_int_equal(took, ch.dirty);
    for (uint32_t i = 0; i < ch.n; i++)
        assert_string_equal(ch.note[i].family, "opus");
    return took;
}

static const struct shared_group opened = {
    .kind = SHARED_BREAKER,
    .of = 1,
    .breaker = {SHARED_OPEN, NOW - 5, 60000}};
static const struct shared_group closed = {.kind = SHARED_BREAKER, .of = 1};
static const struct shared_group cools = {
    .kind = SHARED_COOLDOWN, .of = 1, .stamp_ms = NOW - 1, .cooldown = {NOW + 5000, 0, 0}};
static const struct shared_group warm = {.kind = SHARED_COOLDOWN, .of = 1};

/* In any order, and twice: the last of each kind holds. */
static void cells_follow_what_others_say(void **state)
{
    (void)state;
    static const struct {
        const struct shared_group *in[4];
        enum breaker_state breaker;
        bool cools, is;
    } rows[] = {
        {{&opened}, BREAKER_OPEN, false, true},
        {{&opened, &opened}, BREAKER_OPEN, false, true},
        {{&cools, &opened}, BREAKER_OPEN, true, true},
        {{&opened, &cools}, BREAKER_OPEN, true, true},
        {{&opened, &closed, &cools, &cools}, BREAKER_CLOSED, true, true},
        {{&cools, &warm, &opened, &closed}, BREAKER_CLOSED, false, true},
        {{&closed, &warm}, BREAKER_CLOSED, false, false}, /* nothing is made of an end */
        {{&warm, &closed, &cools}, BREAKER_CLOSED, true, true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct ep_state s = fresh();
        bool own;
        for (size_t k = 0; k < COUNT_OF(rows[i].in) && rows[i].in[k]; k++) {
            (void)take(&s, rows[i].in[k]);
            assert_false(take(&s, rows[i].in[k]));
        }
        const struct cell *c = cells_find(&s.cells, STR("opus"));
        assert_int_equal(c != NULL, rows[i].is);
        if (!c)
            continue;
        assert_int_equal(c->breaker.state, rows[i].breaker);
        assert_int_equal(cooldown_left(&c->cooldown, NOW, &own) > 0, rows[i].cools);
        assert_int_equal(c->row_ms != 0, rows[i].breaker == BREAKER_OPEN);
        assert_int_equal(s.breaker.state, BREAKER_CLOSED);
    }
}

static void what_was_taken_is_not_told(void **state)
{
    (void)state;
    struct ep_state s = fresh();
    struct shared_view none = {0};
    assert_true(take(&s, &opened));
    assert_true(take(&s, &cools));
    struct shared_view v = shared_cell_view(cells_find(&s.cells, STR("opus")), &none, NOW);
    struct shared_group g = shared_state_group(&s, &v, SHARED_BREAKER, SHARED_SAID);
    assert_int_equal(g.breaker.since_ms, NOW - 5);
    assert_int_equal(g.breaker.open_ms, 60000);
    g = shared_state_group(&s, &v, SHARED_COOLDOWN, SHARED_SAID);
    assert_int_equal(g.cooldown.own_ms, NOW + 5000);
    assert_int_equal(g.stamp_ms, NOW - 1);
    struct shared_view again = shared_cell_view(cells_find(&s.cells, STR("opus")), &v, NOW);
    assert_false(shared_state_differs(&v, &again, SHARED_BREAKER));
    assert_false(shared_state_differs(&v, &again, SHARED_COOLDOWN));
    struct shared_view gone = shared_cell_view(NULL, &v, NOW);
    assert_true(shared_state_differs(&v, &gone, SHARED_BREAKER));
}

static void without_room_none_is_made(void **state)
{
    (void)state;
    struct ep_state s = fresh();
    s.cells.room = 0;
    assert_false(take(&s, &opened));
    assert_int_equal(s.cells.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_follow_what_others_say),
        cmocka_unit_test(what_was_taken_is_not_told),
        cmocka_unit_test(without_room_none_is_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
