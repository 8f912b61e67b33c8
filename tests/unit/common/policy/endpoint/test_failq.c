#include "common/policy/endpoint/failq.h"
#include "tests/unit/case.h"

#include "common/secret/rnd.h"

struct world {
    struct failq_conf conf;
    struct failq f;
};

static void do_event(struct world *w, const struct case_line *l, const char *event, int64_t now)
{
    if (strcmp(event, "enter") == 0)
        failq_enter(&w->f, &w->conf, now);
    else if (strcmp(event, "leave") == 0)
        failq_leave(&w->f, &w->conf, now);
    else if (strcmp(event, "forget") == 0)
        failq_forget(&w->f);
    else if (strcmp(event, "passed") == 0)
        failq_passed(&w->f, &w->conf, now);
    else if (strcmp(event, "disable") == 0)
        failq_disable(&w->f, &w->conf, now);
    else if (strcmp(event, "began") == 0)
        failq_began(&w->f);
    else if (strcmp(event, "failed") == 0)
        failq_failed(&w->f, &w->conf, now);
    else if (strcmp(event, "lost") == 0)
        failq_lost(&w->f, &w->conf, now);
    else if (strcmp(event, "hurry") == 0)
        failq_hurry(&w->f, now);
    else if (strcmp(event, "reconf") == 0)
        failq_reconf(&w->f, &w->conf, now);
    else
        fail_msg("%s:%d: what is '%s'?", l->file, l->number, event);
}

static void do_line(void *ctx, const struct case_line *l, char out[static CASE_OUT])
{
    struct world *w = ctx;
    bool begins = strcmp(l->word[0], "case") == 0;
    if (begins)
        w->f = (struct failq){0};
    if (begins || strcmp(l->word[0], "conf") == 0) {
        w->conf = (struct failq_conf){.verify_ms = case_number(l, "verify", 60000),
                                      .verify_disabled_ms = case_number(l, "disabled", 600000),
                                      .probe_off = !begins && case_flag(l, "off")};
        return;
    }
    if (strcmp(l->word[0], "at") != 0)
        case_unknown(l);
    int64_t now = case_parse(l, l->word[1]), next;
    for (int i = 2; i < l->n; i++)
        do_event(w, l, l->word[i], now);
    next = failq_next_ms(&w->f);
    if (w->f.kind == FAILQ_OUT)
        snprintf(out, CASE_OUT, "out");
    else if (w->f.running)
        snprintf(out, CASE_OUT, "running");
    else if (failq_due(&w->f, &w->conf, now))
        snprintf(out, CASE_OUT, "due");
    else if (failq_released(&w->f, &w->conf, now))
        snprintf(out, CASE_OUT, "released");
    else if (next == INT64_MAX)
        snprintf(out, CASE_OUT, "never");
    else
        snprintf(out, CASE_OUT, "waits %d", (int)(next - now));
}

static void cases(void **state)
{
    (void)state;
    struct world w;
    case_run("tests/unit/data/failq", do_line, &w);
}

/* Whatever happens, one that is queued is never left waiting longer than the interval, and is not
 * asked twice at a time. */
static void nobody_is_forgotten(void **state)
{
    (void)state;
    struct rnd rnd = {{31, 32}};
    for (int round = 0; round < 200; round++) {
        struct failq_conf c = {.verify_ms = 1000 + (int64_t)(rnd_next(&rnd) % 60000),
                               .verify_disabled_ms = (int64_t)(rnd_next(&rnd) % 3) * 100000,
                               .probe_off = rnd_next(&rnd) % 4 == 0};
        struct failq f = {0};
        int64_t now = 0;
        for (int step = 0; step < 2000; step++) {
            now += (int64_t)(rnd_next(&rnd) % 4000);
            switch (rnd_next(&rnd) % 8) {
            case 0:
                failq_enter(&f, &c, now);
                assert_int_equal(f.kind, FAILQ_QUEUED);
                break;
            case 1:
                failq_disable(&f, &c, now);
                assert_int_equal(f.kind, FAILQ_DISABLED);
                break;
            case 2:
                failq_lost(&f, &c, now);
                break;
            case 3:
                if (rnd_next(&rnd) % 4 == 0)
                    failq_leave(&f, &c, now);
                break;
            default:
                if (f.running && rnd_next(&rnd) % 4 == 0)
                    failq_passed(&f, &c, now);
                else if (f.running)
                    failq_failed(&f, &c, now);
                else if (failq_due(&f, &c, now))
                    failq_began(&f);
                break;
            }
            int64_t limit = f.kind == FAILQ_QUEUED ? c.verify_ms : c.verify_disabled_ms;
            if (f.kind == FAILQ_QUEUED || (f.kind == FAILQ_DISABLED && limit))
                assert_true(f.running || failq_next_ms(&f) <= now + limit);
            else
                assert_true(failq_next_ms(&f) == INT64_MAX || f.next_ms <= now + 5000);
            assert_false(failq_due(&f, &c, now) && (f.running || c.probe_off));
            assert_false(failq_due(&f, &c, now) && failq_released(&f, &c, now));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases),
        cmocka_unit_test(nobody_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
