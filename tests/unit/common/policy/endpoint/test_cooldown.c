#include "common/policy/endpoint/cooldown.h"
#include "common/policy/outcome.h"
#include "tests/unit/case.h"

#include "common/secret/rnd.h"

struct world {
    struct cooldown_conf conf;
    struct cooldown c;
};

static void do_line(void *ctx, const struct case_line *l, char out[static CASE_OUT])
{
    struct world *w = ctx;
    bool begins = strcmp(l->word[0], "case") == 0;
    if (begins)
        w->c = (struct cooldown){0};
    if (begins || strcmp(l->word[0], "conf") == 0) {
        w->conf = (struct cooldown_conf){.default_ms = case_number(l, "default", 30000),
                                         .max_ms = case_number(l, "max", 3600000)};
        return;
    }
    if (strcmp(l->word[0], "at") != 0)
        case_unknown(l);
    int64_t now = case_parse(l, l->word[1]), began = case_number(l, "began", now);
    if (case_value(l, "own"))
        cooldown_hit(&w->c, &w->conf, case_number(l, "own", 0), began, now);
    if (case_flag(l, "untold"))
        cooldown_hit(&w->c, &w->conf, RETRY_UNTOLD, began, now);
    if (case_flag(l, "unpaid"))
        cooldown_hit(&w->c, &w->conf, RETRY_UNPAID, began, now);
    if (case_flag(l, "ok"))
        cooldown_end(&w->c, now);
    bool own;
    int64_t left = cooldown_left(&w->c, now, &own);
    snprintf(out, CASE_OUT, "%d %s", (int)left, left == 0 ? "" : own ? "own" : "untold");
}

static void cases(void **state)
{
    (void)state;
    struct world w;
    case_run("tests/unit/data/cooldown", do_line, &w);
}

static void never_shortened_and_always_bounded(void **state)
{
    (void)state;
    struct rnd rnd = {{21, 22}};
    struct cooldown_conf conf = {.default_ms = 30000, .max_ms = 60000};
    struct cooldown c = {0};
    int64_t now = 5000000;
    for (int step = 0; step < 300000; step++) {
        now += (int64_t)(rnd_next(&rnd) % 3000);
        bool own_before, own_after;
        int64_t before = cooldown_left(&c, now, &own_before), after;
        int64_t said = -1;
        if (rnd_next(&rnd) % 16 == 0) {
            assert_int_equal(cooldown_end(&c, now), before > 0);
            assert_int_equal(cooldown_left(&c, now, &own_after), 0);
            assert_false(own_after);
            continue;
        }
        if (rnd_next(&rnd) % 2)
            said = (int64_t)(rnd_next(&rnd) % (rnd_next(&rnd) % 8 ? 20000 : INT64_MAX));
        bool longer = cooldown_hit(&c, &conf, said, now - (int64_t)(rnd_next(&rnd) % 2000), now);
        after = cooldown_left(&c, now, &own_after);
        assert_true(after >= before);
        assert_true(longer || after == before);
        assert_true(after <= conf.max_ms);
        assert_true(own_after >= own_before);
        if (said > 0) {
            assert_true(own_after);
            assert_true(after >= (said < conf.max_ms ? said : conf.max_ms));
        } else {
            assert_true(after >= COOLDOWN_FIRST_MS);
            assert_true(own_before || after <= conf.default_ms);
        }
        /* The next moment told is the next one at which the answer changes by itself. */
        int64_t next = cooldown_next_ms(&c, now);
        bool own_then;
        assert_true(next > now && next < INT64_MAX);
        assert_true(cooldown_left(&c, next - 1, &own_then) > 0 && own_then == own_after);
        int64_t left = cooldown_left(&c, next, &own_then);
        assert_true(left == 0 || own_then != own_after || next < now + after);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases),
        cmocka_unit_test(never_shortened_and_always_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
