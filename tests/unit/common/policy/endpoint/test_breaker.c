#include "common/policy/endpoint/breaker.h"
#include "tests/unit/case.h"

#include "common/secret/rnd.h"

struct world {
    struct breaker_conf conf;
    struct breaker b;
};

static void do_conf(struct world *w, const struct case_line *l)
{
    w->conf = (struct breaker_conf){
        .failure_threshold = (uint32_t)case_number(l, "threshold", 3),
        .open_ms = case_number(l, "open", 60000),
        .max_open_ms = case_number(l, "max", 600000),
    };
}

static const char *do_event(struct world *w, const char *event, int64_t now)
{
    static const char *const yes_no[] = {"no ", "yes "};
    if (strcmp(event, "fail") == 0)
        breaker_failure(&w->b, &w->conf, false, now);
    else if (strcmp(event, "trial-fail") == 0)
        breaker_failure(&w->b, &w->conf, true, now);
    else if (strcmp(event, "ok") == 0)
        breaker_success(&w->b, false, now);
    else if (strcmp(event, "trial-ok") == 0)
        breaker_success(&w->b, true, now);
    else if (strcmp(event, "broke") == 0)
        breaker_broke(&w->b, &w->conf, now);
    else if (strcmp(event, "begun") == 0)
        breaker_answered(&w->b, false, now);
    else if (strcmp(event, "trial-begun") == 0)
        breaker_answered(&w->b, true, now);
    else if (strcmp(event, "ended") == 0)
        breaker_ended(&w->b);
    else if (strcmp(event, "tick") == 0)
        breaker_tick(&w->b, now);
    else if (strcmp(event, "back") == 0)
        breaker_give_back(&w->b);
    else if (strncmp(event, "fail:", 5) == 0) {
        breaker_failure(&w->b, &w->conf, false, now);
        breaker_failed_on(&w->b, (uint64_t)event[5], false);
    } else if (strncmp(event, "broke:", 6) == 0) {
        breaker_broke(&w->b, &w->conf, now);
        breaker_failed_on(&w->b, (uint64_t)event[6], true);
    } else if (strncmp(event, "unserved:", 9) == 0)
        return yes_no[breaker_take_back(&w->b, (uint64_t)event[9])];
    else if (strcmp(event, "void") == 0)
        breaker_trial_void(&w->b);
    else if (strcmp(event, "lost") == 0)
        breaker_verification_lost(&w->b, now);
    else if (strcmp(event, "lend") == 0)
        return yes_no[breaker_lend(&w->b)];
    else if (strcmp(event, "begin") == 0)
        return yes_no[breaker_begin(&w->b)];
    else if (strcmp(event, "verify?") == 0)
        return yes_no[breaker_wants_verification(&w->b, now)];
    else
        return NULL;
    return "";
}

static void do_line(void *ctx, const struct case_line *l, char out[static CASE_OUT])
{
    struct world *w = ctx;
    if (strcmp(l->word[0], "case") == 0) {
        w->b = (struct breaker){0};
        do_conf(w, l);
    } else if (strcmp(l->word[0], "conf") == 0) {
        do_conf(w, l);
    } else if (strcmp(l->word[0], "at") == 0) {
        const char *said = "";
        for (int i = 2; i < l->n; i++) {
            said = do_event(w, l->word[i], case_parse(l, l->word[1]));
            if (!said)
                fail_msg("%s:%d: what is '%s'?", l->file, l->number, l->word[i]);
        }
        snprintf(out, CASE_OUT, "%s%s", said, breaker_state_name(w->b.state));
    } else {
        case_unknown(l);
    }
}

static void cases(void **state)
{
    (void)state;
    struct world w;
    case_run("tests/unit/data/breaker", do_line, &w);
}

/* Against the rules, said plainly: a list of what happened since the last close. */
struct model {
    int row; /* failures in a row while closed */
    int64_t opened_ms, open_ms;
    bool open, half, out;
};

static void model_fail(struct model *m, const struct breaker_conf *c, bool trial, int64_t now)
{
    if (!m->open && ++m->row >= (int)c->failure_threshold) {
        *m = (struct model){.open = true, .opened_ms = now, .open_ms = c->open_ms};
    } else if (m->open && trial) {
        m->out = false;
        if (m->half) {
            int64_t twice = m->open_ms * 2;
            m->open_ms = twice > c->max_open_ms ? c->max_open_ms : twice;
            m->opened_ms = now;
            m->half = false;
        }
    }
}

static void long_random_runs(void **state)
{
    (void)state;
    struct rnd rnd = {{11, 12}};
    for (int round = 0; round < 300; round++) {
        struct breaker_conf c = {.failure_threshold = 1 + (uint32_t)(rnd_next(&rnd) % 4),
                                 .open_ms = 1000,
                                 .max_open_ms = 1000 + (int64_t)(rnd_next(&rnd) % 9000)};
        struct breaker b = {0};
        struct model m = {0};
        int64_t now = 1000000;
        int trials = 0; /* lent and not come back */
        for (int step = 0; step < 3000; step++) {
            now += (int64_t)(rnd_next(&rnd) % 400);
            bool due = m.open && !m.half && now >= m.opened_ms + m.open_ms;
            assert_true(m.half ||
                        breaker_next_ms(&b, now) == (m.open ? m.opened_ms + m.open_ms : INT64_MAX));
            assert_int_equal(breaker_tick(&b, now), due);
            if (due)
                m.half = true;
            switch (rnd_next(&rnd) % 6) {
            case 0: /* a request that began at any time */
                breaker_failure(&b, &c, false, now);
                model_fail(&m, &c, false, now);
                break;
            case 1:
                breaker_success(&b, false, now);
                m.row = 0;
                break;
            case 2: {
                bool lent = breaker_lend(&b);
                assert_int_equal(lent, m.open && !m.out);
                m.out |= lent;
                trials += lent;
                break;
            }
            case 3:
                if (trials && breaker_begin(&b)) {
                    breaker_failure(&b, &c, true, now);
                    model_fail(&m, &c, true, now);
                    trials--;
                }
                break;
            case 4:
                if (trials && breaker_begin(&b)) {
                    assert_true(breaker_success(&b, true, now));
                    m = (struct model){0};
                    trials--;
                }
                break;
            case 5:
                if (trials) {
                    breaker_give_back(&b);
                    m.out = false;
                    trials--;
                }
                break;
            }
            assert_in_range(trials, 0, 1);
            assert_int_equal(b.state, !m.open  ? BREAKER_CLOSED
                                      : m.half ? BREAKER_HALF_OPEN
                                               : BREAKER_OPEN);
            assert_true(b.open_ms <= c.max_open_ms);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases),
        cmocka_unit_test(long_random_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
