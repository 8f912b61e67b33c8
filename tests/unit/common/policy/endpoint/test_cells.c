/* Cells of an endpoint, through the functions of endpoint_state: what a fault costs, and what it
 * does not; at random, against what must always hold. */
#include "common/policy/endpoint/endpoint_state.h"
#include "common/secret/rnd.h"
#include "tests/unit/case.h"

static const struct ep_conf usual = {
    .breaker = {.failure_threshold = 3, .open_ms = 60000, .max_open_ms = 600000},
    .cooldown = {.default_ms = 30000, .max_ms = 3600000},
    .failq = {.verify_ms = 60000, .verify_disabled_ms = 600000},
    .degraded_for_ms = 10000,
    .verifies = true,
    .block_ms = 3600000,
};

static void begin(struct ep_state *s, struct cell room[static CELLS_MAX])
{
    ep_init(s, true);
    s->cells.v = room;
    s->cells.room = CELLS_MAX;
}

/* ---- text cases */

/* Their times count from here: 0 is no time. */
enum { BASE = 1000000 };

struct world {
    struct ep_conf conf;
    struct ep_state s;
    struct cell room[CELLS_MAX]; /* of s */
    struct ep_changes ch;
    const char *model; /* what the last verification asks for */
    int64_t now;
    bool refused;
};

static struct ep_report report_of(const struct case_line *l, const char *sent, int64_t now)
{
    static const char *classes[OUTCOME__COUNT];
    for (int i = 0; i < OUTCOME__COUNT; i++)
        classes[i] = outcome_name((enum outcome)i);
    struct ep_report r = {
        .cls = (enum outcome)case_choice(l, case_value(l, "as") ? case_value(l, "as") : "ok",
                                         classes, COUNT_OF(classes)),
        .scope = case_flag(l, "endpoint") ? SCOPE_ENDPOINT : SCOPE_MODEL,
        .sent = str_c(strcmp(sent, "-") == 0 ? "" : sent),
        .retry_after_ms = case_number(l, "after", -1),
        .part = case_flag(l, "begun")    ? PART_BEGUN
                : case_flag(l, "ended")  ? PART_ENDED
                : case_flag(l, "broken") ? PART_BROKEN
                                         : PART_WHOLE,
        .trial = case_flag(l, "trial"),
        .cell_trial = case_value(l, "trial"),
        .left = !case_flag(l, "stays"),
        .own_key = true,
        .poisoned = case_flag(l, "poisoned"),
        .message = (uint64_t)case_number(l, "message", 0),
        .began_ms = BASE + case_number(l, "began", now - BASE),
    };
    r.fault = r.cls == OUTCOME_OK ? FAULT_NONE : FAULT_ENDPOINT;
    return r;
}

static void do_event(struct world *w, const struct case_line *l)
{
    struct ep_ctx ctx = {.last = case_flag(l, "last")};
    const char *e = l->word[2], *of = case_value(l, "cell") ? case_value(l, "cell") : "";
    int times = (int)case_number(l, "times", 1);
    for (int i = 0; strncmp(e, "sent=", 5) == 0 && i < times; i++) {
        struct ep_report r = report_of(l, e + 5, w->now);
        ep_outcome(&w->s, &w->conf, &r, &ctx, w->now, &w->ch);
    }
    if (strcmp(e, "tick") == 0) {
        ep_tick(&w->s, &w->conf, &ctx, w->now, &w->ch);
    } else if (strcmp(e, "lend") == 0) {
        w->refused = !ep_lend(&w->s, of, w->now, &w->ch) || !ep_trial_begin(&w->s, of, &w->ch);
    } else if (strcmp(e, "back") == 0) {
        ep_trial_back(&w->s, of, &w->ch);
    } else if (strcmp(e, "asked") == 0) {
        cells_asked(&w->s.cells, str_c(l->word[3]), w->now);
    } else if (strcmp(e, "verify") == 0) {
        w->refused = !ep_verify_begin(&w->s, &w->conf, of, w->now, &w->model, &w->ch);
    } else if (strcmp(e, "verified") == 0) {
        struct ep_report r = report_of(l, w->model, w->now);
        ep_verified(&w->s, &w->conf, r.cls == OUTCOME_OK, &r, &ctx, w->now, &w->ch);
    } else if (strcmp(e, "lost") == 0) {
        ep_verify_lost(&w->s, &w->conf, w->now, &w->ch);
    } else if (strcmp(e, "unserved") == 0) {
        ep_take_back(&w->s, (uint64_t)case_number(l, "message", 0), &w->ch);
    } else if (strcmp(e, "reset") == 0 && of[0]) {
        w->refused = !ep_reset_cell(&w->s, str_c(of), w->now, &w->ch);
    } else if (strcmp(e, "reset") == 0) {
        ep_operator(&w->s, &w->conf, EP_ACT_RESET, w->now, &w->ch);
    } else if (strncmp(e, "sent=", 5) != 0) {
        case_unknown(l);
    }
}

/* "healthy closed queued | opus open 3 | haiku cool=2000 untold": only cells that are not as new.
 */
static void show(const struct world *w, char out[static CASE_OUT])
{
    const struct ep_state *s = &w->s;
    bool own;
    size_t at = (size_t)snprintf(out, CASE_OUT, "%s %s", ep_health_name(s->health),
                                 breaker_state_name(s->breaker.state));
    if (s->breaker.failures)
        at += (size_t)snprintf(out + at, CASE_OUT - at, " %u", s->breaker.failures);
    if (ep_queued(s))
        at += (size_t)snprintf(out + at, CASE_OUT - at, " queued");
    if (cooldown_left(&s->cooldown, w->now, &own))
        at += (size_t)snprintf(out + at, CASE_OUT - at, " cool");
    for (uint32_t i = 0; i < s->cells.n; i++) {
        const struct cell *c = &s->cells.v[i];
        int64_t left = cooldown_left(&c->cooldown, w->now, &own);
        bool well = c->breaker.state == BREAKER_CLOSED && !c->breaker.failures && !left &&
                    cell_tier(c, w->now) == SEL_HEALTHY;
        if (well)
            continue;
        at += (size_t)snprintf(out + at, CASE_OUT - at, " | %s", c->family);
        if (c->breaker.state != BREAKER_CLOSED || c->breaker.failures)
            at += (size_t)snprintf(out + at, CASE_OUT - at, " %s %u",
                                   breaker_state_name(c->breaker.state), c->breaker.failures);
        if (c->degraded_until_ms > w->now)
            at += (size_t)snprintf(out + at, CASE_OUT - at, " degraded");
        if (left)
            at += (size_t)snprintf(out + at, CASE_OUT - at, " cool=%d%s", (int)left,
                                   own ? " own" : "");
    }
}

static void do_line(void *ctx, const struct case_line *l, char out[static CASE_OUT])
{
    struct world *w = ctx;
    const char *verb = l->word[0];
    char text[MODEL_NAME_MAX];
    if (strcmp(verb, "case") == 0) {
        *w = (struct world){.conf = usual};
        begin(&w->s, w->room);
    } else if (strcmp(verb, "keyless") == 0) {
        w->conf.verifies = false;
    } else if (strcmp(verb, "own") == 0) {
        uint64_t own[CELLS_OWN];
        uint32_t n = 0;
        for (int i = 1; i < l->n; i++)
            n = cells_own(own, n, str_c(l->word[i]));
        cells_configure(&w->s.cells, own, n, w->now);
    } else if (strcmp(verb, "of") == 0) {
        struct cell_names k = cells_names(&w->s.cells);
        struct str f = cells_family(&k, str_c(l->word[1]), text);
        snprintf(out, CASE_OUT, STR_FMT "%s", STR_ARG(f),
                 cells_unproven(&k, str_c(l->word[1])) ? " unproven" : "");
    } else if (strcmp(verb, "at") == 0) {
        w->now = BASE + case_parse(l, l->word[1]);
        w->ch = (struct ep_changes){0};
        w->refused = false;
        do_event(w, l);
        assert_true(w->ch.dirty || w->ch.n == 0);
        if (w->refused)
            snprintf(out, CASE_OUT, "refused");
        else
            show(w, out);
    } else if (strcmp(verb, "wants") == 0) {
        static const char *const wants[] = {"nothing", "lend", "verify"};
        snprintf(out, CASE_OUT, "%s",
                 wants[ep_wants(&w->s, &w->conf, l->n > 1 ? l->word[1] : "", w->now)]);
    } else if (strcmp(verb, "asks") == 0) {
        snprintf(out, CASE_OUT, "%s", w->model && w->model[0] ? w->model : "nothing");
    } else if (strcmp(verb, "wanted") == 0) {
        snprintf(out, CASE_OUT, "%s", cells_success_wanted(&w->s.cells) ? "yes" : "no");
    } else {
        case_unknown(l);
    }
}

static void cases(void **state)
{
    (void)state;
    struct world w = {0};
    case_run("tests/unit/data/cells", do_line, &w);
}

/* ---- bounds */

/* A client that invents models: the memory of cells and names is bounded, and what is in force is
 * never evicted for it. */
static void inventions_are_bounded_and_evict_nothing_in_force(void **state)
{
    (void)state;
    struct ep_state s;
    struct cell room[CELLS_MAX];
    struct ep_ctx ctx = {0};
    begin(&s, room);
    for (int i = 0; i < 3; i++) {
        struct ep_changes ch = {0};
        struct ep_report ok = {.cls = OUTCOME_OK, .sent = STR("kept"), .began_ms = 1000};
        struct ep_report bad = {.cls = OUTCOME_RATE_LIMIT,
                                .scope = SCOPE_MODEL,
                                .fault = FAULT_ENDPOINT,
                                .retry_after_ms = 3600000,
                                .sent = STR("kept"),
                                .began_ms = 1001};
        ep_outcome(&s, &usual, &ok, &ctx, 1000, &ch);
        ep_outcome(&s, &usual, &bad, &ctx, 1001, &ch);
    }
    for (int i = 0; i < 100000; i++) {
        char name[40];
        struct ep_changes ch = {0};
        snprintf(name, sizeof name, "model%d", i);
        struct ep_report r = {.cls = i % 2 ? OUTCOME_OK : OUTCOME_TRANSIENT,
                              .scope = SCOPE_MODEL,
                              .fault = i % 2 ? FAULT_NONE : FAULT_ENDPOINT,
                              .sent = str_c(name),
                              .began_ms = 2000 + i};
        ep_outcome(&s, &usual, &r, &ctx, 2000 + i, &ch);
        assert_true(s.cells.n <= CELLS_SERVED + 1 && s.cells.nnames <= CELLS_NAMES);
        assert_true(s.breaker.state == BREAKER_CLOSED && s.health == EP_HEALTHY);
    }
    struct cell *kept = cells_find(&s.cells, STR("kept"));
    assert_true(kept && kept->cooldown.own_until_ms == 1001 + 3600000);
}

static void names_of_the_configuration_are_bounded(void **state)
{
    (void)state;
    uint64_t own[CELLS_OWN];
    uint32_t n = 0;
    for (int i = 0; i < 3 * CELLS_OWN; i++) {
        char name[40];
        snprintf(name, sizeof name, "m%d", i);
        n = cells_own(own, n, str_c(name));
        n = cells_own(own, n, str_c(name));
    }
    assert_int_equal(n, CELLS_OWN);
    assert_int_equal(cells_own(own, 0, STR("gpt-*")), 0);
    assert_int_equal(cells_own(own, 0, STR("claude-opus-4-8")), 0); /* has a cell anyway */
    assert_int_equal(cells_own(own, 0, STR("other")), 0);
}

/* ---- at random */

static const char *const models[] = {
    "claude-opus-4-8", "claude-sonnet-4-5", "claude-haiku-4-5", "gpt-5", "gpt-6", "own-1"};

struct sim {
    struct ep_state s;
    struct cell room[CELLS_MAX]; /* of s */
    struct ep_conf conf;
    struct rnd rnd;
    int64_t now;
    char trial[MODEL_NAME_MAX + 1]; /* whose trial is out; "-": nobody's; "": the endpoint's */
    bool bad;                       /* a time in which everything fails */
    unsigned tripped, lent, verified;
};

static const char *some_model(struct sim *m)
{
    return models[rnd_next(&m->rnd) % COUNT_OF(models)];
}

/* What a cell is, without what says when it was used. */
static bool unchanged(const struct cell *a, const struct cell *b)
{
    return memcmp(&a->breaker, &b->breaker, sizeof a->breaker) == 0 &&
           memcmp(&a->cooldown, &b->cooldown, sizeof a->cooldown) == 0 &&
           a->degraded_until_ms == b->degraded_until_ms;
}

/* The narrowest scope: of all cells at most those of the name that was sent have changed, and the
 * endpoint only by two cells that are down. */
static void check_narrow(struct sim *m, const struct ep_state *was, const struct cell *cells,
                         uint32_t n, const struct ep_report *r)
{
    char text[MODEL_NAME_MAX];
    struct cell_names k = cells_names(&m->s.cells);
    struct str mine = cells_family(&k, r->sent, text);
    for (uint32_t i = 0; i < n; i++) {
        const struct cell *now = cells_find(&m->s.cells, str_c(cells[i].family));
        if (!now) {
            assert_false(cell_in_force(&cells[i], m->now));
        } else if (!str_eq(str_c(now->family), mine) && strcmp(now->family, CELL_OTHER) != 0 &&
                   !(r->cell_trial && strcmp(r->cell_trial, now->family) == 0)) {
            assert_true(unchanged(now, &cells[i]));
        }
    }
    if (r->cls == OUTCOME_OK || r->scope != SCOPE_MODEL)
        return;
    assert_true(m->s.health == was->health && ep_queued(&m->s) == ep_queued(was) &&
                m->s.disabled == was->disabled);
    assert_memory_equal(&m->s.cooldown, &was->cooldown, sizeof was->cooldown);
    if (m->s.breaker.state == BREAKER_OPEN && was->breaker.state == BREAKER_CLOSED) {
        assert_true(cells_down(&m->s.cells, m->now) >= 2);
        m->tripped++;
    } else if (!r->trial) {
        assert_int_equal(m->s.breaker.state, was->breaker.state);
        assert_int_equal(m->s.breaker.failures, was->breaker.failures);
    }
}

static void an_outcome(struct sim *m)
{
    static const enum outcome classes[] = {OUTCOME_OK, OUTCOME_TRANSIENT, OUTCOME_RATE_LIMIT,
                                           OUTCOME_UNKNOWN};
    uint64_t x = rnd_next(&m->rnd);
    bool trial = m->trial[0] != '-' && x % 3 == 0;
    struct ep_report r = {
        .cls = m->bad ? OUTCOME_TRANSIENT
                      : classes[(x >> 8) % 4 == 0 ? 0 : (x >> 10) % COUNT_OF(classes)],
        .scope = (x >> 12) % 16 || m->bad ? SCOPE_MODEL : SCOPE_ENDPOINT,
        .fault = FAULT_ENDPOINT,
        .sent = str_c(some_model(m)),
        .retry_after_ms = (x >> 16) % 2 ? (int64_t)((x >> 17) % 20000) : -1,
        .left = (x >> 40) % 2,
        .trial = trial && !m->trial[0],
        .cell_trial = trial && m->trial[0] ? m->trial : NULL,
        .began_ms = m->now - (int64_t)((x >> 44) % 4000),
    };
    struct cell cells[CELLS_MAX];
    uint32_t n = m->s.cells.n;
    if (n)
        memcpy(cells, m->s.cells.v, n * sizeof cells[0]);
    struct ep_state was = m->s;
    struct ep_ctx ctx = {.last = true};
    struct ep_changes ch = {0};
    ep_outcome(&m->s, &m->conf, &r, &ctx, m->now, &ch);
    check_narrow(m, &was, cells, n, &r);
    cells_asked(&m->s.cells, r.sent, m->now);
    if (trial) {
        assert_int_equal(ep_trial(&m->s, m->trial), BREAKER_TRIAL_FREE);
        memcpy(m->trial, "-", 2);
    }
    assert_true(ch.dirty || ch.n == 0);
}

/* Lends a trial wherever one is wanted, if nobody has one; only one is out in this world. */
static void a_trial(struct sim *m)
{
    struct ep_changes ch = {0};
    if (m->trial[0] != '-' || m->s.verifying != EP_VERIFY_NONE)
        return;
    const char *who = "";
    if (m->s.cells.n && rnd_next(&m->rnd) % 4)
        who = m->s.cells.v[rnd_next(&m->rnd) % m->s.cells.n].family;
    bool closed = m->s.breaker.state == BREAKER_CLOSED;
    if (!ep_lend(&m->s, who, m->now, &ch))
        return;
    bool own;
    const struct cell *c = who[0] ? cells_find(&m->s.cells, str_c(who)) : NULL;
    assert_int_equal(closed, who[0] != '\0'); /* cells lend only while the endpoint's is closed */
    cooldown_left(c ? &c->cooldown : &m->s.cooldown, m->now, &own);
    assert_false(own);
    assert_true(ep_trial_begin(&m->s, who, &ch));
    snprintf(m->trial, sizeof m->trial, "%s", who);
    m->lent++;
}

static void a_verification(struct sim *m)
{
    struct ep_changes ch = {0};
    struct ep_ctx ctx = {.last = true};
    const char *model;
    if (m->s.verifying != EP_VERIFY_NONE) {
        uint64_t x = rnd_next(&m->rnd);
        struct ep_report r = {.cls = x % 2 ? OUTCOME_OK : OUTCOME_TRANSIENT,
                              .scope = x % 3 ? SCOPE_MODEL : SCOPE_ENDPOINT,
                              .fault = FAULT_ENDPOINT,
                              .sent = str_c(some_model(m)),
                              .began_ms = m->now,
                              .retry_after_ms = -1};
        if (x % 7 == 0)
            ep_verify_lost(&m->s, &m->conf, m->now, &ch);
        else
            ep_verified(&m->s, &m->conf, r.cls == OUTCOME_OK, &r, &ctx, m->now, &ch);
        assert_int_equal(m->s.verifying, EP_VERIFY_NONE);
        return;
    }
    for (uint32_t i = 0; i < m->s.cells.n; i++) {
        char family[MODEL_NAME_MAX + 1];
        memcpy(family, m->s.cells.v[i].family, sizeof family);
        if (ep_wants(&m->s, &m->conf, family, m->now) != EP_WANT_VERIFY)
            continue;
        const struct cell *c = &m->s.cells.v[i];
        assert_true(c->asked_ms > c->opened_ms && c->breaker.state == BREAKER_HALF_OPEN);
        if (ep_verify_begin(&m->s, &m->conf, family, m->now, &model, &ch)) {
            assert_true(model[0] != '\0');
            m->verified++;
        }
        return;
    }
    if (ep_wants(&m->s, &m->conf, "", m->now) == EP_WANT_VERIFY && m->trial[0])
        m->verified += ep_verify_begin(&m->s, &m->conf, "", m->now, &model, &ch);
}

static void check_all(const struct sim *m)
{
    const struct cells *c = &m->s.cells;
    uint32_t served = 0, running = m->s.breaker.trial != BREAKER_TRIAL_FREE;
    assert_true(c->n <= CELLS_MAX && c->nnames <= CELLS_NAMES && c->nserved <= CELLS_SERVED);
    for (uint32_t i = 0; i < c->n; i++) {
        const struct cell *x = &c->v[i];
        served += x->kind == CELL_SERVED;
        running += x->breaker.trial != BREAKER_TRIAL_FREE;
        assert_true(x->breaker.state != BREAKER_CLOSED || x->breaker.trial == BREAKER_TRIAL_FREE);
        assert_true(x->breaker.state != BREAKER_CLOSED || x->row_ms || !x->breaker.failures);
        if (x->breaker.state == BREAKER_OPEN || x->degraded_until_ms)
            assert_true(ep_next_event_ms(&m->s, &m->conf, m->now) < INT64_MAX);
    }
    assert_int_equal(served, c->nserved);
    assert_true(running <= 2); /* the one that this world lends, and a verification */
}

static void long_random_runs(void **state)
{
    (void)state;
    struct sim sum = {0};
    for (uint64_t round = 1; round <= 60; round++) {
        uint64_t own[CELLS_OWN];
        struct sim m = {.conf = usual, .rnd = {{round, 5}}, .now = 1000000, .trial = "-"};
        begin(&m.s, m.room);
        cells_configure(&m.s.cells, own, cells_own(own, 0, STR("own-1")), m.now);
        for (int step = 0; step < 6000; step++) {
            struct ep_ctx ctx = {.last = true};
            struct ep_changes ch = {0};
            uint64_t dice = rnd_next(&m.rnd) % 10;
            if (step % 50 == 0)
                m.bad = rnd_next(&m.rnd) % 4 == 0;
            m.now += (int64_t)(rnd_next(&m.rnd) % (rnd_next(&m.rnd) % 50 ? 1500 : 90000));
            if (dice < 6)
                an_outcome(&m);
            else if (dice < 7)
                a_trial(&m);
            else if (dice < 8)
                a_verification(&m);
            else
                ep_tick(&m.s, &m.conf, &ctx, m.now, &ch);
            if (m.trial[0] != '-' && ep_trial(&m.s, m.trial) == BREAKER_TRIAL_FREE)
                memcpy(m.trial, "-", 2); /* its breaker was closed meanwhile */
            check_all(&m);
        }
        sum.tripped += m.tripped;
        sum.lent += m.lent;
        sum.verified += m.verified;
        /* Left to time alone all ends: cells are closed and cool no longer. */
        struct ep_changes ch = {0};
        struct ep_ctx ctx = {.last = true};
        ep_verify_lost(&m.s, &m.conf, m.now, &ch);
        if (m.trial[0] != '-')
            ep_trial_back(&m.s, m.trial, &ch);
        for (int i = 0; i < 3; i++) {
            m.now += 2 * usual.cooldown.max_ms;
            ep_tick(&m.s, &m.conf, &ctx, m.now, &ch);
        }
        for (uint32_t i = 0; i < m.s.cells.n; i++)
            assert_int_equal(cell_tier(&m.s.cells.v[i], m.now), SEL_HEALTHY);
    }
    assert_true(sum.tripped > 50 && sum.lent > 500 && sum.verified > 100); /* the world did turn */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases),
        cmocka_unit_test(inventions_are_bounded_and_evict_nothing_in_force),
        cmocka_unit_test(names_of_the_configuration_are_bounded),
        cmocka_unit_test(long_random_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
