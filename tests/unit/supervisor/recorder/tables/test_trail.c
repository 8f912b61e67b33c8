/* trail: what is put in is read again, with the names that were known; what is no trail is refused;
 * which requests are worth one. */
#include "supervisor/recorder/tables/trail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { A = 0xaabbcc01, B = 0xaabbcd01, C = 0x01 }; /* all belong to one place of endpoint_names */

static struct recent_record record(void)
{
    struct recent_record r = {.attempts = 0};
    struct recent_texts t = {.endpoint = STR("e"), .end = STR("ok"), .model = STR("m")};
    recent_put(&r, &t);
    return r;
}

static void attempt(struct recent_record *r, const char *endpoint, enum outcome cls)
{
    struct recent_attempt a = {cls,
                               cls ? FAULT_ENDPOINT : FAULT_NONE,
                               cls ? SCOPE_MODEL : SCOPE_NONE,
                               503,
                               10u * r->attempts,
                               7,
                               RECENT_UNKNOWN,
                               {0},
                               STR("overloaded")};
    a.endpoint = str_c(endpoint);
    assert_true(recent_put_attempt(r, &a));
    r->attempts++;
}

static void choose(struct recent_record *r, uint32_t id, const struct choice_skip *v, size_t n)
{
    struct choice x = {.at_ms = 10u * r->attempts, .endpoint = id, .end = SEL_CHOSEN};
    choice_add(&r->choices, &x, v, n);
}

static void what_is_put_is_read(void **state)
{
    (void)state;
    static struct endpoint_names names;
    uint8_t out[TRAIL_MAX];
    struct trail t;
    struct trail_choice c;
    struct trail_skip s;
    struct recent_attempt a;
    struct recent_record seen = record(), r = record();
    choose(&seen, A, NULL, 0);
    attempt(&seen, "first", OUTCOME_OK);
    endpoint_names_learn(&names, &seen);
    const struct choice_skip skipped[2] = {{B, SEL_SKIP_QUEUED}, {C, SEL_SKIP_PRIORITY}};
    struct choice wait = {.at_ms = 77, .end = SEL_ALL_FULL, .others = 3, .again = 2};
    choose(&r, A, skipped, 2);
    attempt(&r, "first", OUTCOME_TRANSIENT);
    choice_add(&r.choices, &wait, NULL, 0);
    choose(&r, C, skipped, 1);
    attempt(&r, "third", OUTCOME_OK);
    size_t n = trail_put(out, &r, &names);
    assert_true(n > 0 && n < 200);
    assert_true(trail_read(&t, str_make((const char *)out, n)));
    assert_int_equal(t.choices, 3);
    assert_int_equal(t.attempts, 2);
    assert_int_equal(t.nendpoints, 3);
    assert_true(trail_choice(&t, &c));
    assert_true(c.named && c.x.endpoint == A && str_eq(c.name, STR("first")) && c.x.listed == 2);
    assert_true(trail_skip(&t, &s));
    assert_true(s.x.endpoint == B && s.x.why == SEL_SKIP_QUEUED && s.name.n == 0);
    assert_true(trail_skip(&t, &s) && s.x.endpoint == C && s.x.why == SEL_SKIP_PRIORITY);
    assert_true(trail_choice(&t, &c));
    assert_true(!c.named && c.x.end == SEL_ALL_FULL && c.x.others == 3 && c.x.again == 2);
    assert_int_equal(c.x.at_ms, 77);
    assert_true(trail_choice(&t, &c) && c.named && c.x.endpoint == C && c.x.listed == 1);
    assert_true(trail_skip(&t, &s) && s.x.endpoint == B);
    assert_true(trail_attempt(&t, &a) && a.cls == OUTCOME_TRANSIENT && a.fault == FAULT_ENDPOINT);
    assert_int_equal(a.scope, SCOPE_MODEL);
    assert_true(str_eq(a.endpoint, STR("first")) && str_eq(a.reason, STR("overloaded")));
    assert_true(a.status == 503 && a.ms == 7 && a.retry_after_ms == RECENT_UNKNOWN);
    assert_true(trail_attempt(&t, &a) && a.at_ms == 10 && str_eq(a.endpoint, STR("third")));
    assert_false(trail_attempt(&t, &a));
    /* any shorter or longer one is none */
    for (size_t k = 0; k < n; k++)
        assert_false(trail_read(&t, str_make((const char *)out, k)));
    out[n] = 0;
    assert_false(trail_read(&t, str_make((const char *)out, n + 1)));
    out[0]++;
    assert_false(trail_read(&t, str_make((const char *)out, n)));
}

/* Trails of before scopes have the fault alone in that byte. */
static void without_scope(void **state)
{
    (void)state;
    static struct endpoint_names names;
    uint8_t out[TRAIL_MAX];
    struct trail t;
    struct recent_attempt a;
    struct recent_record r = record();
    attempt(&r, "first", OUTCOME_TRANSIENT);
    size_t n = trail_put(out, &r, &names), at = 5 + 4 + 4 + 4 + 2 + 1;
    assert_int_equal(out[at], FAULT_ENDPOINT + 16 * SCOPE_MODEL);
    out[at] = FAULT_ENDPOINT;
    assert_true(trail_read(&t, str_make((const char *)out, n)) && trail_attempt(&t, &a));
    assert_true(a.fault == FAULT_ENDPOINT && a.scope == SCOPE_NONE);
    out[at] = FAULT_ENDPOINT + 16 * SCOPE__COUNT;
    assert_false(trail_read(&t, str_make((const char *)out, n)));
    out[at] = FAULT__COUNT;
    assert_false(trail_read(&t, str_make((const char *)out, n)));
}

/* The most that a record holds fits. */
static void the_longest(void **state)
{
    (void)state;
    static struct endpoint_names names;
    uint8_t out[TRAIL_MAX];
    struct trail t;
    struct recent_record r = record();
    struct choice_skip v[CHOICE_LISTED];
    char name[41];
    for (uint32_t i = 0; i < 300; i++) {
        struct recent_record one = record();
        snprintf(name, sizeof name, "%040u", i);
        choose(&one, i, NULL, 0);
        attempt(&one, name, OUTCOME_OK);
        endpoint_names_learn(&names, &one);
    }
    uint32_t id = 0;
    for (int k = 0; k < 3; k++) {
        for (size_t i = 0; i < CHOICE_LISTED; i++)
            v[i] = (struct choice_skip){id++, SEL_SKIP_TIER};
        choose(&r, id++, v, CHOICE_LISTED);
    }
    struct recent_attempt a = {.endpoint = str_c(name), .reason = str_c(name)};
    while (recent_put_attempt(&r, &a))
        r.attempts++;
    size_t n = trail_put(out, &r, &names);
    assert_true(n > 0 && n <= TRAIL_MAX);
    assert_true(trail_read(&t, str_make((const char *)out, n)));
    assert_true(t.missed == r.choices.missed && t.attempts == r.attempts && t.nendpoints > 30);
}

static void names_by_id(void **state)
{
    (void)state;
    static struct endpoint_names names;
    static const struct {
        uint32_t id;
        const char *name;
    } v[] = {{A, "a"}, {B, "b"}, {C, "c"}, {A, "a2"}};
    for (size_t i = 0; i < COUNT_OF(v); i++) {
        struct recent_record r = record();
        choose(&r, v[i].id, NULL, 0);
        attempt(&r, v[i].name, OUTCOME_OK);
        endpoint_names_learn(&names, &r);
    }
    assert_true(str_eq(endpoint_names_get(&names, A), STR("a2")));
    assert_true(str_eq(endpoint_names_get(&names, B), STR("b")));
    assert_true(str_eq(endpoint_names_get(&names, C), STR("c")));
    assert_int_equal(endpoint_names_get(&names, 5).n, 0);
    /* a second choice or attempt: which belongs to which is not known */
    struct recent_record r = record();
    choose(&r, 5, NULL, 0);
    choose(&r, 6, NULL, 0);
    attempt(&r, "x", OUTCOME_OK);
    endpoint_names_learn(&names, &r);
    assert_int_equal(endpoint_names_get(&names, 5).n + endpoint_names_get(&names, 6).n, 0);
    /* as many as there may be: bounded, and the last one is known */
    for (uint32_t i = 0; i < 3 * ENDPOINT_NAMES; i++) {
        r = record();
        choose(&r, i << 8, NULL, 0);
        attempt(&r, "y", OUTCOME_OK);
        endpoint_names_learn(&names, &r);
        assert_true(str_eq(endpoint_names_get(&names, i << 8), STR("y")));
    }
}

static void which_are_worth_it(void **state)
{
    (void)state;
    struct recent_record plain = record(), r;
    struct choice_skip skip = {B, SEL_SKIP_PRIORITY};
    choose(&plain, A, &skip, 1);
    plain.attempts = 1;
    assert_false(trail_wanted(&plain, true));
    assert_true(trail_wanted(&plain, false));
    r = plain;
    r.attempts = 2;
    assert_true(trail_wanted(&r, true));
    static const enum sel_skip telling[] = {SEL_SKIP_QUEUED,  SEL_SKIP_COOLING,
                                            SEL_SKIP_FULL,    SEL_SKIP_TRIAL_BUSY,
                                            SEL_SKIP_CIRCUIT, SEL_SKIP_COOLING_TOLD_NOTHING};
    for (size_t i = 0; i < COUNT_OF(telling); i++) {
        r = record();
        skip.why = (uint8_t)telling[i];
        choose(&r, A, &skip, 1);
        assert_true(trail_wanted(&r, true));
    }
    static const enum sel_skip plain_why[] = {
        SEL_SKIP_MARKED,   SEL_SKIP_MODEL, SEL_SKIP_BOUND,    SEL_SKIP_TIER,    SEL_SKIP_WEIGHT,
        SEL_SKIP_STRATEGY, SEL_SKIP_PATH,  SEL_SKIP_DISABLED, SEL_SKIP_DRAINING};
    for (size_t i = 0; i < COUNT_OF(plain_why); i++) {
        r = record();
        skip.why = (uint8_t)plain_why[i];
        choose(&r, A, &skip, 1);
        assert_false(trail_wanted(&r, true));
    }
    struct choice wait = {.end = SEL_ALL_COOLING};
    r = plain;
    choice_add(&r.choices, &wait, NULL, 0);
    assert_true(trail_wanted(&r, true));
}

static void no_record(void **state)
{
    (void)state;
    static struct endpoint_names names;
    uint8_t out[TRAIL_MAX];
    struct recent_record r = record();
    choose(&r, A, NULL, 0);
    r.listed = 3;
    assert_int_equal(trail_put(out, &r, &names), 0);
    r = record();
    choose(&r, A, NULL, 0);
    r.choices.len--;
    assert_int_equal(trail_put(out, &r, &names), 0);
    r.choices.len = UINT8_MAX;
    assert_int_equal(trail_put(out, &r, &names), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_is_read), cmocka_unit_test(without_scope),
        cmocka_unit_test(the_longest),         cmocka_unit_test(names_by_id),
        cmocka_unit_test(which_are_worth_it),  cmocka_unit_test(no_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
