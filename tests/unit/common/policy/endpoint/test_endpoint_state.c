#include "common/policy/endpoint/endpoint_state.h"
#include "tests/unit/case.h"

#include "common/secret/rnd.h"

static const struct ep_conf usual = {
    .breaker = {.failure_threshold = 3, .open_ms = 60000, .max_open_ms = 600000},
    .cooldown = {.default_ms = 30000, .max_ms = 3600000},
    .failq = {.verify_ms = 60000, .verify_disabled_ms = 600000},
    .degraded_for_ms = 10000,
    .block_ms = 3600000,
};

/* ---- text cases */

struct world {
    struct ep_conf conf;
    struct ep_state s;
    struct ep_changes ch;  /* of the last line */
    struct ep_changes all; /* since the notes were looked at */
    int64_t now;
    const char *model; /* that the last verification asks for */
    bool refused;
};

/* cell=FAMILY: whose trial or verification it is; without: the endpoint's. */
static const char *case_cell(const struct case_line *l)
{
    const char *family = case_value(l, "cell");
    return family ? family : "";
}

static void do_outcome(struct world *w, const struct case_line *l, int first,
                       const struct ep_ctx *ctx)
{
    static const char *nets[NET__COUNT] = {[NET_CERT] = "cert", [NET_LOCAL] = "local"};
    static const char *classes[OUTCOME__COUNT];
    for (int i = 0; i < OUTCOME__COUNT; i++)
        classes[i] = outcome_name((enum outcome)i);
    struct ep_report r = {
        .cls = (enum outcome)case_choice(l, l->word[first], classes, COUNT_OF(classes)),
        .fault = case_flag(l, "request") ? FAULT_REQUEST : FAULT_ENDPOINT,
        .retry_after_ms = case_number(l, "after", -1),
        .part = case_flag(l, "begun")    ? PART_BEGUN
                : case_flag(l, "ended")  ? PART_ENDED
                : case_flag(l, "broken") ? PART_BROKEN
                                         : PART_WHOLE,
        .trial = case_flag(l, "trial"),
        .cell_trial = case_value(l, "trial"),
        .scope = case_flag(l, "model") ? SCOPE_MODEL : SCOPE_NONE,
        .sent = str_c(case_value(l, "sent") ? case_value(l, "sent") : ""),
        .message = (uint64_t)case_number(l, "message", 0),
        .poisoned = case_flag(l, "poisoned"),
        .left = !case_flag(l, "stays"),
        .overruled = case_flag(l, "overruled"),
        .page = case_flag(l, "page"),
        .nameless = case_value(l, "nameless"),
        .conversation = (uint64_t)case_number(l, "nameless", 0),
        .client = (uint64_t)case_number(l, "client", 0),
        .own_key = !case_flag(l, "clients"),
        .no_count_tokens = case_flag(l, "lacks"),
        .counted = case_flag(l, "counted"),
        .began_ms = case_number(l, "began", w->now),
    };
    const char *net = case_value(l, "net");
    if (net)
        r.net = (enum net_fault)case_choice(l, net, nets, COUNT_OF(nets));
    if (strcmp(l->word[first - 1], "bad") == 0)
        ep_verified(&w->s, &w->conf, false, &r, ctx, w->now, &w->ch);
    else
        ep_outcome(&w->s, &w->conf, &r, ctx, w->now, &w->ch);
}

/* Returns how many words it took. */
static int do_event(struct world *w, const struct case_line *l, int i)
{
    struct ep_ctx ctx = {.last = case_flag(l, "last")};
    const char *e = l->word[i];
    if (strcmp(e, "outcome") == 0) {
        do_outcome(w, l, i + 1, &ctx);
        return l->n;
    }
    if (strcmp(e, "bad") == 0) {
        if (i + 1 < l->n)
            do_outcome(w, l, i + 1, &ctx);
        else
            ep_verified(&w->s, &w->conf, false, NULL, &ctx, w->now, &w->ch);
        return l->n;
    }
    if (strcmp(e, "good") == 0)
        ep_verified(&w->s, &w->conf, true, NULL, &ctx, w->now, &w->ch);
    else if (strcmp(e, "verify") == 0)
        w->refused = !ep_verify_begin(&w->s, &w->conf, case_cell(l), w->now, &w->model, &w->ch);
    else if (strcmp(e, "lost") == 0)
        ep_verify_lost(&w->s, &w->conf, w->now, &w->ch);
    else if (strcmp(e, "tick") == 0)
        ep_tick(&w->s, &w->conf, &ctx, w->now, &w->ch);
    else if (strcmp(e, "lend") == 0)
        w->refused = !ep_lend(&w->s, case_cell(l), w->now, &w->ch);
    else if (strcmp(e, "begin") == 0)
        w->refused = !ep_trial_begin(&w->s, case_cell(l), &w->ch);
    else if (strcmp(e, "back") == 0)
        ep_trial_back(&w->s, case_cell(l), &w->ch);
    else if (strcmp(e, "ask") == 0)
        ep_operator(&w->s, &w->conf, EP_ACT_VERIFY, w->now, &w->ch);
    else if (strcmp(e, "configured=no") == 0 || strcmp(e, "configured=yes") == 0)
        ep_reconf(&w->s, &w->conf, e[11] == 'y', w->now, &w->ch);
    else if (strcmp(e, "last") != 0) {
        const char *actions[EP_ACTION__COUNT];
        for (int a = 0; a < EP_ACTION__COUNT; a++)
            actions[a] = ep_action_name((enum ep_action)a);
        ep_operator(&w->s, &w->conf, (enum ep_action)case_choice(l, e, actions, COUNT_OF(actions)),
                    w->now, &w->ch);
    }
    return i + 1;
}

static void show(const struct world *w, char out[static CASE_OUT])
{
    bool own;
    int64_t left = cooldown_left(&w->s.cooldown, w->now, &own);
    char cool[48] = "";
    if (left > 0)
        snprintf(cool, sizeof cool, "cool=%d %s", (int)left, own ? "own" : "untold");
    snprintf(out, CASE_OUT, "%s %s %s %s %s %s %s", ep_health_name(w->s.health),
             breaker_state_name(w->s.breaker.state), cool, ep_queued(&w->s) ? "queued" : "",
             w->s.in_reach ? "reach" : "", ep_enabled(&w->s) ? "" : ep_disabled_name(w->s.disabled),
             w->s.draining ? "draining" : "");
    assert_int_equal(ep_queued(&w->s), w->s.queued_why[0] != '\0');
}

/* Since the last look. */
static void show_notes(struct world *w, char out[static CASE_OUT])
{
    size_t at = 0;
    for (uint32_t i = 0; i < w->all.n; i++) {
        const struct ep_note *n = &w->all.note[i];
        assert_non_null(n->why);
        at += (size_t)snprintf(out + at, CASE_OUT - at, " %s:%s>%s", ep_what_name(n->what), n->from,
                               n->to);
    }
    if (w->refused)
        snprintf(out, CASE_OUT, "refused");
    w->all.n = 0;
}

static void do_line(void *ctx, const struct case_line *l, char out[static CASE_OUT])
{
    struct world *w = ctx;
    const char *verb = l->word[0];
    if (strcmp(verb, "case") == 0) {
        *w = (struct world){.conf = usual};
        ep_init(&w->s, true);
    } else if (strcmp(verb, "conf") == 0) {
        w->conf.failq.probe_off = case_flag(l, "off");
    } else if (strcmp(verb, "at") == 0) {
        w->now = case_parse(l, l->word[1]);
        w->ch = (struct ep_changes){0};
        w->refused = false;
        for (int i = 2; i < l->n;)
            i = do_event(w, l, i);
        for (uint32_t i = 0; i < w->ch.n && w->all.n < EP_NOTES; i++)
            w->all.note[w->all.n++] = w->ch.note[i];
        assert_true(w->ch.dirty || w->ch.n == 0);
        show(w, out);
    } else if (strcmp(verb, "wants") == 0) {
        static const char *const wants[] = {"nothing", "lend", "verify"};
        snprintf(out, CASE_OUT, "%s", wants[ep_wants(&w->s, &w->conf, case_cell(l), w->now)]);
    } else if (strcmp(verb, "next") == 0) {
        int64_t next = ep_next_event_ms(&w->s, &w->conf, w->now);
        snprintf(out, CASE_OUT, next == INT64_MAX ? "never" : "%d", (int)next);
    } else if (strcmp(verb, "notes") == 0) {
        show_notes(w, out);
    } else {
        case_unknown(l);
    }
}

static void cases(void **state)
{
    (void)state;
    struct world w = {0};
    case_run("tests/unit/data/endpoint_state", do_line, &w);
}

static void what_was_saved_comes_back(void **state)
{
    (void)state;
    struct ep_state s;
    ep_init(&s, true);
    ep_restore(&s, &usual, true, EP_ENABLED, true, 1000);
    assert_true(ep_queued(&s) && s.draining && s.queued_why[0]);
    assert_int_equal(s.health, EP_UNHEALTHY);
    assert_int_equal(ep_wants(&s, &usual, "", 1000), EP_WANT_VERIFY);
    ep_init(&s, true);
    ep_restore(&s, &usual, false, EP_BY_AUTH, false, 1000);
    assert_int_equal(ep_wants(&s, &usual, "", 600999), EP_WANT_NOTHING);
    assert_int_equal(ep_wants(&s, &usual, "", 601000), EP_WANT_VERIFY);
    ep_init(&s, false);
    ep_restore(&s, &usual, false, EP_ENABLED, false, 1000);
    assert_int_equal(s.disabled, EP_BY_CONFIG);
}

/* ---- a small world of endpoints, at random, against what must always hold */

enum { N = 4 };

struct sim {
    struct ep_state s[N];
    struct ep_conf conf;
    struct rnd rnd;
    int64_t now;
    int out[N];            /* trials lent or running */
    int64_t cool_until[N]; /* what a cooldown may not fall below */
};

static struct ep_ctx context(const struct sim *m, int i)
{
    struct ep_ctx ctx = {.last = true};
    for (int j = 0; j < N; j++)
        if (j != i && ep_usable(&m->s[j], m->now))
            ctx.last = false;
    return ctx;
}

static struct ep_report random_report(struct sim *m)
{
    uint64_t x = rnd_next(&m->rnd) >> 8;
    struct ep_report r = {
        .cls = (enum outcome)(x % OUTCOME__COUNT),
        .fault = (x >> 8) % 8 ? FAULT_ENDPOINT : FAULT_REQUEST,
        .retry_after_ms = (x >> 12) % 2 ? (int64_t)((x >> 13) % 40000) : -1,
        .left = (x >> 30) % 2,
        .overruled = (x >> 31) % 4 == 0,
        .nameless = (x >> 33) % 2,
        .page = (x >> 35) % 4 == 0,
        .own_key = (x >> 34) % 8 != 0,
        .conversation = (x >> 37) % 40,
        .began_ms = m->now - (int64_t)((x >> 45) % 5000),
    };
    return r;
}

static void check_one(struct sim *m, int i, bool forgiven)
{
    struct ep_state *s = &m->s[i];
    bool own;
    int64_t until = m->now + cooldown_left(&s->cooldown, m->now, &own);
    if (!forgiven && m->cool_until[i] > m->now)
        assert_true(until >= m->cool_until[i]);
    m->cool_until[i] = until;
    assert_int_equal(ep_queued(s), s->queued_why[0] != '\0');
    assert_true((s->failq.kind == FAILQ_DISABLED) == (s->disabled == EP_BY_AUTH) ||
                (s->failq.kind == FAILQ_DISABLED && s->verifying));
    assert_true(s->nameless.n <= NAMELESS_CONVERSATIONS);
    assert_true(s->breaker.state != BREAKER_CLOSED || s->breaker.trial == BREAKER_TRIAL_FREE);
    assert_true(s->health == EP_UNHEALTHY || !ep_queued(s));
    assert_true(ep_queued(s) || !s->in_reach);
    /* What time alone will change is announced. */
    int64_t next = ep_next_event_ms(s, &m->conf, m->now);
    if (s->health == EP_DEGRADED || s->breaker.state == BREAKER_OPEN || ep_queued(s))
        assert_true(next < INT64_MAX || s->verifying || !ep_enabled(s));
}

static bool step_one(struct sim *m, int i)
{
    struct ep_state *s = &m->s[i];
    struct ep_ctx ctx = context(m, i);
    struct ep_changes ch = {0};
    struct ep_state before = *s;
    uint64_t dice = rnd_next(&m->rnd) % 100;
    bool forgiven = false;
    if (dice < 55) {
        struct ep_report r = random_report(m);
        if (s->breaker.trial == BREAKER_TRIAL_RUNNING && s->verifying != EP_VERIFY_TRIAL)
            r.trial = dice % 2;
        forgiven = r.cls == OUTCOME_OK;
        ep_outcome(s, &m->conf, &r, &ctx, m->now, &ch);
        if (r.cls == OUTCOME_PERMANENT && !(r.overruled && (r.nameless || r.page)))
            assert_true(s->health == before.health && s->disabled == before.disabled &&
                        ep_queued(s) == ep_queued(&before));
        if (r.cls == OUTCOME_TRANSIENT)
            assert_true(ep_queued(s) == ep_queued(&before));
        if (r.cls == OUTCOME_RATE_LIMIT)
            assert_true(s->breaker.failures == before.breaker.failures);
        if (r.fault == FAULT_REQUEST && r.cls != OUTCOME_OK)
            assert_int_equal(ch.n, 0);
    } else if (dice < 70) {
        ep_tick(s, &m->conf, &ctx, m->now, &ch);
    } else if (dice < 76) {
        bool was_free = s->breaker.trial == BREAKER_TRIAL_FREE;
        if (ep_lend(s, "", m->now, &ch))
            assert_true(was_free && s->breaker.state != BREAKER_CLOSED);
    } else if (dice < 82) {
        bool was_lent = s->breaker.trial == BREAKER_TRIAL_LENT;
        assert_int_equal(ep_trial_begin(s, "", &ch), was_lent);
    } else if (dice < 84) {
        if (s->verifying != EP_VERIFY_TRIAL)
            ep_trial_back(s, "", &ch);
    } else if (dice < 97) {
        if (s->verifying != EP_VERIFY_NONE) {
            struct ep_report r = random_report(m);
            bool ok = dice % 3 == 0;
            if (dice == 96) {
                ep_verify_lost(s, &m->conf, m->now, &ch);
            } else {
                ep_verified(s, &m->conf, ok, dice % 2 ? &r : NULL, &ctx, m->now, &ch);
                forgiven = ok;
            }
            if (ok && dice != 96 && before.verifying != EP_VERIFY_VOID)
                assert_true(s->health == EP_HEALTHY && s->breaker.state == BREAKER_CLOSED &&
                            s->breaker.failures == 0 && !ep_queued(s) && s->disabled != EP_BY_AUTH);
            assert_int_equal(s->verifying, EP_VERIFY_NONE);
        } else if (ep_wants(s, &m->conf, "", m->now) == EP_WANT_VERIFY) {
            if (s->breaker.trial == BREAKER_TRIAL_LENT)
                ep_trial_back(s, "", &ch);
            const char *model;
            assert_true(ep_verify_begin(s, &m->conf, "", m->now, &model, &ch));
        }
    } else {
        enum ep_action a = (enum ep_action)(rnd_next(&m->rnd) % EP_ACTION__COUNT);
        ep_operator(s, &m->conf, a, m->now, &ch);
        forgiven = a == EP_ACT_RESET;
        if (a == EP_ACT_ENABLE || a == EP_ACT_RESET)
            assert_true(ep_enabled(s) && !s->draining);
    }
    /* It goes into the queue only while another is usable. */
    if (ep_queued(s) && !ep_queued(&before))
        assert_false(ctx.last);
    if (dice >= 55 && dice < 70)
        assert_int_equal(s->in_reach, ep_queued(s) && ep_enabled(s) && ctx.last);
    assert_true(ch.dirty || ch.n == 0);
    assert_true(ch.n < EP_NOTES);
    return forgiven;
}

static void long_random_runs(void **state)
{
    (void)state;
    for (uint64_t round = 1; round <= 60; round++) {
        struct sim m = {.conf = usual, .rnd = {{round, 99}}, .now = 1000000};
        m.conf.failq.probe_off = round % 5 == 0;
        for (int i = 0; i < N; i++)
            ep_init(&m.s[i], true);
        for (int step = 0; step < 8000; step++) {
            m.now += (int64_t)(rnd_next(&m.rnd) % 3000);
            int i = (int)(rnd_next(&m.rnd) % N);
            bool forgiven = step_one(&m, i);
            check_one(&m, i, forgiven);
        }
    }
}

/* Left to time alone, and verified well, every endpoint that people have not disabled comes back.
 */
static void nobody_is_lost(void **state)
{
    (void)state;
    for (uint64_t round = 1; round <= 200; round++) {
        struct sim m = {.conf = usual, .rnd = {{round, 77}}, .now = 1000000};
        for (int i = 0; i < N; i++)
            ep_init(&m.s[i], true);
        for (int step = 0; step < 200; step++) {
            m.now += (int64_t)(rnd_next(&m.rnd) % 1000);
            step_one(&m, (int)(rnd_next(&m.rnd) % N));
        }
        for (int i = 0; i < N; i++) {
            struct ep_state *s = &m.s[i];
            struct ep_changes ch = {0};
            ep_trial_back(s, "", &ch);
            ep_verify_lost(s, &m.conf, m.now, &ch);
            for (int turn = 0; turn < 100; turn++) {
                struct ep_ctx ctx = context(&m, i);
                ep_tick(s, &m.conf, &ctx, m.now, &ch);
                const char *model;
                enum ep_want want = ep_wants(s, &m.conf, "", m.now);
                if (want == EP_WANT_VERIFY) {
                    assert_true(ep_verify_begin(s, &m.conf, "", m.now, &model, &ch));
                    ep_verified(s, &m.conf, true, NULL, &ctx, m.now, &ch);
                }
                int64_t next = ep_next_event_ms(s, &m.conf, m.now);
                if (next == INT64_MAX)
                    break;
                m.now = next > m.now ? next : m.now + 1;
            }
            assert_true(s->disabled == EP_ENABLED || s->disabled == EP_BY_OPERATOR);
            if (ep_enabled(s))
                assert_true(!ep_queued(s) && ep_tier(s) != SEL_CIRCUIT_OPEN);
        }
    }
}

/* How and when a key was refused, by a request and by the verifications after it. */
static void test_refusal(void **state)
{
    (void)state;
    struct ep_state s;
    struct ep_changes ch = {0};
    const struct ep_ctx ctx = {0};
    const char *model;
    struct ep_report r = {.cls = OUTCOME_AUTH,
                          .fault = FAULT_ENDPOINT,
                          .retry_after_ms = -1,
                          .left = true,
                          .own_key = true,
                          .status = 401,
                          .wall_ms = 1700000000001};
    ep_init(&s, true);
    assert_int_equal(s.refused_status, 0);
    ep_outcome(&s, &usual, &r, &ctx, 1000, &ch);
    assert_int_equal(s.disabled, EP_BY_AUTH);
    assert_true(s.refused_status == 401 && s.refused_wall_ms == 1700000000001);
    r.status = 403;
    r.wall_ms++;
    assert_true(ep_verify_begin(&s, &usual, "", 1500, &model, &ch));
    ep_verified(&s, &usual, false, &r, &ctx, 2000, &ch);
    assert_true(s.refused_status == 403 && s.refused_wall_ms == 1700000000002);
    r.cls = OUTCOME_TRANSIENT; /* no word on the key */
    r.status = 503;
    assert_true(ep_verify_begin(&s, &usual, "", 1500, &model, &ch));
    ep_verified(&s, &usual, false, &r, &ctx, 3000, &ch);
    assert_int_equal(s.disabled, EP_BY_AUTH);
    assert_int_equal(s.refused_status, 403);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusal),
        cmocka_unit_test(cases),
        cmocka_unit_test(what_was_saved_comes_back),
        cmocka_unit_test(long_random_runs),
        cmocka_unit_test(nobody_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
