#include "supervisor/children/plan.h"

#include "common/secret/rnd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* The world as the plan sees it, and what performing an action makes of it. */
static struct plan_slot slot[SLOTS_MAX];
static struct plan_intent in;
static struct plan p;
static int64_t now;

static int setup(void **state)
{
    (void)state;
    memset(slot, 0, sizeof slot);
    in = (struct plan_intent){.want = PLAN_SERVE, .workers = 3, .gen = 1};
    now = 1000;
    return 0;
}

static void make(void)
{
    plan_make(&in, slot, SLOTS_MAX, now, &p);
}

static size_t count(enum plan_verb verb)
{
    size_t n = 0;
    for (size_t i = 0; i < p.n; i++)
        n += p.v[i].verb == verb;
    return n;
}

static bool has(enum plan_verb verb, size_t i, enum plan_why why)
{
    for (size_t k = 0; k < p.n; k++)
        if (p.v[k].verb == verb && p.v[k].slot == i && p.v[k].why == why)
            return true;
    return false;
}

static void perform(void)
{
    for (size_t k = 0; k < p.n; k++) {
        struct plan_slot *s = &slot[p.v[k].slot];
        switch (p.v[k].verb) {
        case PLAN_START:
            assert_int_equal(s->state, SLOT_EMPTY);
            *s = (struct plan_slot){.state = SLOT_STARTING};
            break;
        case PLAN_RETIRE:
            assert_true(s->state == SLOT_STARTING || s->state == SLOT_SERVING);
            s->state = SLOT_RETIRING;
            s->retire_by = now + 10000;
            break;
        case PLAN_KILL:
            assert_true(s->state != SLOT_EMPTY && s->state != SLOT_KILLED);
            s->state = SLOT_KILLED;
            break;
        case PLAN_ANNOUNCE:
            in.announced = in.gen;
            break;
        case PLAN_EXIT:
            break;
        }
    }
}

static void all_serve(void)
{
    for (size_t i = 0; i < in.workers; i++)
        slot[i] = (struct plan_slot){.state = SLOT_SERVING, .gen = in.gen};
}

static void starts_what_is_wanted(void **state)
{
    (void)state;
    make();
    assert_int_equal(p.n, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(has(PLAN_START, i, PLAN_WHY_WANTED));
    perform();
    make();
    assert_int_equal(p.n, 0);
    assert_int_equal(p.next, -1);
}

static void announces_once_when_all_agree(void **state)
{
    (void)state;
    all_serve();
    slot[1].state = SLOT_STARTING;
    make();
    assert_int_equal(p.n, 0);
    slot[1].state = SLOT_SERVING;
    make();
    assert_int_equal(count(PLAN_ANNOUNCE), 1);
    perform();
    make();
    assert_int_equal(p.n, 0);
    in.gen = 2; /* a reload */
    slot[0].gen = slot[2].gen = 2;
    make();
    assert_int_equal(p.n, 0);
    slot[1].gen = 2;
    make();
    assert_int_equal(count(PLAN_ANNOUNCE), 1);
}

static void waits_for_the_backoff(void **state)
{
    (void)state;
    all_serve();
    in.announced = 1;
    slot[1] = (struct plan_slot){.state = SLOT_EMPTY, .start_at = 1500};
    make();
    assert_int_equal(p.n, 0); /* and no other slot is used to get round it */
    assert_int_equal(p.next, 1500);
    now = 1500;
    make();
    assert_int_equal(p.n, 1);
    assert_true(has(PLAN_START, 1, PLAN_WHY_WANTED));
}

static void a_killed_one_is_replaced_when_it_is_gone(void **state)
{
    (void)state;
    all_serve();
    in.announced = 1;
    slot[2].missed = PLAN_MISSED;
    make();
    assert_int_equal(p.n, 1);
    assert_true(has(PLAN_KILL, 2, PLAN_WHY_STUCK));
    perform();
    make();
    assert_int_equal(p.n, 0);
    slot[2] = (struct plan_slot){.state = SLOT_EMPTY};
    make();
    assert_true(has(PLAN_START, 2, PLAN_WHY_WANTED));
}

static void one_that_never_takes_the_configuration(void **state)
{
    (void)state;
    all_serve();
    slot[0].unacked = PLAN_UNACKED - 1;
    slot[0].gen = 0;
    make();
    assert_int_equal(p.n, 0);
    slot[0].unacked = PLAN_UNACKED;
    make();
    assert_true(has(PLAN_KILL, 0, PLAN_WHY_UNACKED));
}

static void fewer_and_more(void **state)
{
    (void)state;
    all_serve();
    in.announced = 1;
    in.workers = 1;
    make();
    assert_int_equal(p.n, 2);
    assert_true(has(PLAN_RETIRE, 1, PLAN_WHY_SURPLUS) && has(PLAN_RETIRE, 2, PLAN_WHY_SURPLUS));
    perform();
    make();
    assert_int_equal(p.n, 0);
    assert_int_equal(p.next, now + 10000);
    /* More again while the old ones drain: they do not count, and are not waited for. */
    in.workers = 2;
    make();
    assert_int_equal(p.n, 1);
    assert_true(has(PLAN_START, 3, PLAN_WHY_WANTED));
    perform();
    now += 10000;
    make();
    assert_int_equal(p.n, 2);
    assert_true(has(PLAN_KILL, 1, PLAN_WHY_OVERTIME) && has(PLAN_KILL, 2, PLAN_WHY_OVERTIME));
}

static void a_stuck_one_is_killed_also_while_it_drains(void **state)
{
    (void)state;
    all_serve();
    in.want = PLAN_DRAIN;
    make();
    assert_int_equal(count(PLAN_RETIRE), 3);
    perform();
    slot[0].missed = PLAN_MISSED;
    make();
    assert_int_equal(p.n, 1);
    assert_true(has(PLAN_KILL, 0, PLAN_WHY_STUCK));
}

static void drains_and_exits(void **state)
{
    (void)state;
    all_serve();
    in.want = PLAN_DRAIN;
    make();
    perform();
    make();
    assert_int_equal(p.n, 0);
    slot[0].state = slot[1].state = SLOT_EMPTY;
    make();
    assert_int_equal(p.n, 0);
    now = p.next;
    make();
    assert_true(has(PLAN_KILL, 2, PLAN_WHY_OVERTIME));
    perform();
    make();
    assert_int_equal(p.n, 0);
    slot[2].state = SLOT_EMPTY;
    make();
    assert_int_equal(count(PLAN_EXIT), 1);
}

static void stops_at_once(void **state)
{
    (void)state;
    all_serve();
    slot[1].state = SLOT_RETIRING;
    slot[1].retire_by = INT64_MAX;
    slot[2].state = SLOT_STARTING;
    slot[3].state = SLOT_KILLED;
    in.want = PLAN_STOP;
    make();
    assert_int_equal(count(PLAN_KILL), 3);
    assert_int_equal(p.n, 3);
    perform();
    make();
    assert_int_equal(p.n, 0);
    memset(slot, 0, sizeof slot);
    make();
    assert_int_equal(count(PLAN_EXIT), 1);
}

static void every_slot_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < SLOTS_MAX; i++)
        slot[i] = (struct plan_slot){.state = SLOT_RETIRING, .retire_by = INT64_MAX};
    make();
    assert_int_equal(p.n, 0);
}

/* ---- anything may happen, in any order */

static void happens(struct rnd *r)
{
    struct plan_slot *s = &slot[rnd_next(r) % 12];
    uint64_t what = rnd_next(r) % 9;
    switch (s->state) {
    case SLOT_EMPTY:
        break;
    case SLOT_KILLED:
        *s =
            (struct plan_slot){.state = SLOT_EMPTY, .start_at = now + (int64_t)(rnd_next(r) % 500)};
        break;
    case SLOT_STARTING:
    case SLOT_SERVING:
    case SLOT_RETIRING:
        if (what == 0)
            *s = (struct plan_slot){.state = SLOT_EMPTY,
                                    .start_at = now + (int64_t)(rnd_next(r) % 500)};
        else if (what == 1)
            s->missed++;
        else if (what < 6 && s->state != SLOT_RETIRING)
            *s = (struct plan_slot){.state = SLOT_SERVING, .gen = in.gen};
        break;
    case SLOT__COUNT:
        fail();
    }
    if (rnd_next(r) % 50 == 0)
        in.workers = 1 + rnd_next(r) % 5;
    if (rnd_next(r) % 50 == 0)
        in.gen++;
    now += (int64_t)(rnd_next(r) % 400);
}

static size_t in_state(enum slot_state a, enum slot_state b)
{
    size_t n = 0;
    for (size_t i = 0; i < SLOTS_MAX; i++)
        n += slot[i].state == a || slot[i].state == b;
    return n;
}

static void random_lives(void **state)
{
    struct rnd r = {{42, 4711}};
    for (int round = 0; round < 200; round++) {
        setup(state);
        for (int step = 0; step < 300; step++) {
            happens(&r);
            make();
            for (size_t i = 0; i < p.n; i++)
                assert_true(p.v[i].slot < SLOTS_MAX);
            perform();
            assert_true(in_state(SLOT_STARTING, SLOT_SERVING) <= in.workers);
            make(); /* performed, it has nothing more to say but the announcement it caused */
            assert_int_equal(p.n, 0);
            assert_true(p.next == -1 || p.next > now);
        }
        /* Left alone, all that are wanted come. */
        for (int step = 0; step < 2000 && in_state(SLOT_SERVING, SLOT_SERVING) != in.workers;
             step++) {
            for (size_t i = 0; i < SLOTS_MAX; i++)
                if (slot[i].state == SLOT_STARTING)
                    slot[i] = (struct plan_slot){.state = SLOT_SERVING, .gen = in.gen};
                else if (slot[i].state == SLOT_KILLED)
                    slot[i] = (struct plan_slot){0};
            now += 100;
            make();
            perform();
        }
        assert_int_equal(in_state(SLOT_SERVING, SLOT_SERVING), in.workers);
        /* And a drain always ends. */
        in.want = PLAN_DRAIN;
        bool ended = false;
        for (int step = 0; step < 2000 && !ended; step++) {
            make();
            ended = count(PLAN_EXIT) == 1;
            perform();
            for (size_t i = 0; i < SLOTS_MAX; i++)
                if (slot[i].state == SLOT_KILLED)
                    slot[i] = (struct plan_slot){0};
            now += 100;
        }
        assert_true(ended);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
    const struct CMUnitTest tests[] = {
        T(starts_what_is_wanted),
        T(announces_once_when_all_agree),
        T(waits_for_the_backoff),
        T(a_killed_one_is_replaced_when_it_is_gone),
        T(one_that_never_takes_the_configuration),
        T(fewer_and_more),
        T(a_stuck_one_is_killed_also_while_it_drains),
        T(drains_and_exits),
        T(stops_at_once),
        T(every_slot_taken),
        T(random_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
