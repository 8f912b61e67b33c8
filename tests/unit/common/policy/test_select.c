#include "common/policy/select.h"
#include "tests/unit/case.h"

#include "common/secret/rnd.h"
#include "common/conf/conf.h"

#include <math.h>

/* Workers hand the configuration's word over as it is. */
_Static_assert((int)SEL_WEIGHTED == (int)STRATEGY_WEIGHTED &&
                   (int)SEL_ROUND_ROBIN == (int)STRATEGY_ROUND_ROBIN &&
                   (int)SEL_RANDOM == (int)STRATEGY_RANDOM &&
                   (int)SEL_LEAST_CONNECTIONS == (int)STRATEGY_LEAST_CONNECTIONS &&
                   (int)SEL_PRIORITY_FAILOVER == (int)STRATEGY_PRIORITY_FAILOVER &&
                   (int)SEL_LEAST_LATENCY == (int)STRATEGY_LEAST_LATENCY,
               "same order");

enum { EPS = 64 };

static const char *const tiers[] = {"healthy", "degraded", "unhealthy", "circuit_open"};
static const char *const trials[] = {"none", "mine", "busy"};
static const char *const strategies[SEL_STRATEGY__COUNT] = {
    [SEL_WEIGHTED] = "weighted",
    [SEL_ROUND_ROBIN] = "round_robin",
    [SEL_RANDOM] = "random",
    [SEL_LEAST_CONNECTIONS] = "least_connections",
    [SEL_PRIORITY_FAILOVER] = "priority_failover",
    [SEL_LEAST_LATENCY] = "least_latency",
};

/* ---- text cases */

struct world {
    struct sel_conf conf;
    struct sel_ep eps[EPS];
    int64_t turns[EPS];
    char names[EPS][8];
    size_t n;
    uint8_t why[EPS];
    struct rnd rnd;
};

static int find(struct world *w, const char *name)
{
    for (size_t i = 0; i < w->n; i++)
        if (strcmp(w->names[i], name) == 0)
            return (int)i;
    return -1;
}

static int word_of(const struct case_line *l, const char *key, const char *const *names, size_t n)
{
    const char *v = case_value(l, key);
    return v ? case_choice(l, v, names, n) : 0;
}

static void do_ep(struct world *w, const struct case_line *l)
{
    int i = find(w, l->word[1]);
    if (i == -1) {
        i = (int)w->n++;
        snprintf(w->names[i], sizeof w->names[i], "%s", l->word[1]);
    }
    w->eps[i] = (struct sel_ep){
        .id_hash = (uint64_t)l->word[1][0],
        .turn = &w->turns[i],
        .cooling_ms = case_number(l, "cooling", 0),
        .weight = (uint32_t)case_number(l, "weight", 100),
        .priority = (uint32_t)case_number(l, "priority", 1),
        .open = (uint32_t)case_number(l, "open", 0),
        .ttfb_us = (uint32_t)case_number(l, "ttfb", 0),
        .tier = (uint8_t)word_of(l, "tier", tiers, COUNT_OF(tiers)),
        .trial = (uint8_t)word_of(l, "trial", trials, COUNT_OF(trials)),
        .enabled = !case_flag(l, "disabled"),
        .queued = case_flag(l, "queued"),
        .draining = case_flag(l, "draining"),
        .own_word = case_flag(l, "own"),
        .full = case_flag(l, "full"),
        .model_ok = !case_flag(l, "nomodel"),
        .tried = case_flag(l, "tried"),
        .used_up = case_flag(l, "used_up"),
        .refused = case_flag(l, "refused"),
        .marked = case_flag(l, "marked") ? 1 + MARK_BETA : 0,
        .cell_tier = case_flag(l, "cell_tier"),
        .cell_cools = case_flag(l, "cell_cools"),
    };
}

static struct sel_result pick(struct world *w, const struct case_line *l)
{
    const char *bound = case_value(l, "bound");
    struct sel_req r = {
        .conversation = case_value(l, "conversation"),
        .may_try = case_flag(l, "try"),
        .opinion = case_flag(l, "opinion"),
        .bound = bound ? find(w, bound) : -1,
        .bound_idle_ms = case_number(l, "idle", 0),
        .key = {(uint64_t)case_number(l, "conversation", 0), 7},
        .rnd = {rnd_next(&w->rnd), rnd_next(&w->rnd)},
    };
    struct sel_result out, again;
    select_pick(&w->conf, w->eps, w->n, &r, &out, w->why);
    if (w->conf.strategy != SEL_ROUND_ROBIN) {
        select_pick(&w->conf, w->eps, w->n, &r, &again, NULL);
        assert_memory_equal(&out, &again, sizeof out);
    }
    return out;
}

static void case_line_done(void *ctx, const struct case_line *l, char out[static CASE_OUT])
{
    static const char *const bounds[] = {"", " bound", " spared", " left"};
    struct world *w = ctx;
    char text[SEL_SKIP_TEXT];
    const char *verb = l->word[0];
    size_t at = 0;
    if (strcmp(verb, "case") == 0) {
        *w = (struct world){.rnd = {{1, 2}}};
    } else if (strcmp(verb, "conf") == 0) {
        w->conf = (struct sel_conf){
            .strategy = (enum sel_strategy)word_of(l, "strategy", strategies, COUNT_OF(strategies)),
            .use_priority = case_flag(l, "use_priority"),
            .cache_ttl_ms = case_number(l, "cache_ttl", 300000),
        };
    } else if (strcmp(verb, "ep") == 0) {
        do_ep(w, l);
    } else if (strcmp(verb, "pick") == 0) {
        struct sel_result r = pick(w, l);
        at += (size_t)snprintf(out, CASE_OUT, "%s", select_end_text(r.end));
        if (r.at != -1)
            at += (size_t)snprintf(out + at, CASE_OUT - at, " %s", w->names[r.at]);
        if (r.end == SEL_ALL_COOLING)
            at += (size_t)snprintf(out + at, CASE_OUT - at, " wait=%d", (int)r.wait_ms);
        bool waits = r.full && r.end != SEL_CHOSEN;
        snprintf(out + at, CASE_OUT - at, "%s%s%s", r.trial ? " trial" : "", waits ? " places" : "",
                 bounds[r.bound]);
    } else if (strcmp(verb, "picks") == 0) {
        for (int64_t i = case_number(l, "n", 1); i > 0; i--) {
            struct sel_result r = pick(w, l);
            at += (size_t)snprintf(out + at, CASE_OUT - at, " %s", r.at < 0 ? "?" : w->names[r.at]);
        }
    } else if (strcmp(verb, "why") == 0) {
        for (size_t i = 0; i < w->n; i++)
            at += (size_t)snprintf(out + at, CASE_OUT - at, " %s:%s", w->names[i],
                                   select_skip_put(w->why[i], STR(""), text));
    } else {
        case_unknown(l);
    }
}

static void cases(void **state)
{
    (void)state;
    struct world w;
    case_run("tests/unit/data/select", case_line_done, &w);
}

/* ---- what chance does */

static void fill(struct sel_ep *eps, size_t n, uint64_t first_id)
{
    for (size_t i = 0; i < n; i++)
        eps[i] = (struct sel_ep){.id_hash = first_id + i,
                                 .weight = 100,
                                 .priority = 1,
                                 .enabled = true,
                                 .model_ok = true};
}

/* Within 5 standard deviations of n trials with probability p. */
static void assert_share(int hits, int n, double p)
{
    double off = fabs(hits - n * p), sigma = sqrt(n * p * (1 - p));
    if (off > 5 * sigma + 1)
        fail_msg("%d of %d, expected %.0f", hits, n, n * p);
}

static void count(const struct sel_conf *c, const struct sel_ep *eps, size_t n, bool conversations,
                  int rounds, int *hits)
{
    struct rnd rnd = {{3, 4}};
    memset(hits, 0, n * sizeof *hits);
    for (int i = 0; i < rounds; i++) {
        struct sel_req r = {.conversation = conversations,
                            .bound = -1,
                            .key = {rnd_next(&rnd), rnd_next(&rnd)},
                            .rnd = {rnd_next(&rnd), rnd_next(&rnd)}};
        struct sel_result out;
        select_pick(c, eps, n, &r, &out, NULL);
        assert_int_equal(out.end, SEL_CHOSEN);
        hits[out.at]++;
    }
}

static void shares_follow_the_weights(void **state)
{
    (void)state;
    static const uint32_t weights[] = {100, 50, 1, 0, 849};
    struct sel_ep eps[COUNT_OF(weights)];
    int hits[COUNT_OF(weights)];
    fill(eps, COUNT_OF(weights), 0xabcdef00);
    for (size_t i = 0; i < COUNT_OF(weights); i++)
        eps[i].weight = weights[i];
    for (int conversations = 0; conversations < 2; conversations++) {
        struct sel_conf c = {.strategy = SEL_WEIGHTED};
        count(&c, eps, COUNT_OF(weights), conversations, 100000, hits);
        for (size_t i = 0; i < COUNT_OF(weights); i++)
            assert_share(hits[i], 100000, weights[i] / 1000.0);
        c.strategy = SEL_RANDOM;
        count(&c, eps, COUNT_OF(weights), conversations, 100000, hits);
        for (size_t i = 0; i < COUNT_OF(weights); i++)
            assert_share(hits[i], 100000, weights[i] ? 0.25 : 0);
    }
}

static void ties_are_left_to_chance(void **state)
{
    (void)state;
    static const enum sel_strategy with_ties[] = {SEL_LEAST_CONNECTIONS, SEL_PRIORITY_FAILOVER,
                                                  SEL_LEAST_LATENCY};
    struct sel_ep eps[4];
    int hits[4];
    fill(eps, 4, 1);
    for (size_t s = 0; s < COUNT_OF(with_ties); s++)
        for (int conversations = 0; conversations < 2; conversations++) {
            struct sel_conf c = {.strategy = with_ties[s]};
            count(&c, eps, 4, conversations, 20000, hits);
            for (int i = 0; i < 4; i++)
                assert_share(hits[i], 20000, 0.25);
        }
}

/* Of four with one slow, two choices take the slow one only when it meets itself: never. */
static void two_choices_avoid_the_slow_one(void **state)
{
    (void)state;
    struct sel_ep eps[4];
    int hits[4];
    fill(eps, 4, 1);
    for (int i = 0; i < 4; i++)
        eps[i].ttfb_us = i == 2 ? 5000000 : 300000;
    struct sel_conf c = {.strategy = SEL_LEAST_LATENCY};
    for (int conversations = 0; conversations < 2; conversations++) {
        count(&c, eps, 4, conversations, 10000, hits);
        assert_int_equal(hits[2], 0);
    }
}

/* ---- rendezvous */

static int home(const struct sel_conf *c, const struct sel_ep *eps, size_t n, uint64_t key,
                uint64_t rnd)
{
    struct sel_req r = {.conversation = true, .bound = -1, .key = {key, ~key}, .rnd = {rnd, ~rnd}};
    struct sel_result out;
    select_pick(c, eps, n, &r, &out, NULL);
    assert_int_equal(out.end, SEL_CHOSEN);
    return out.at;
}

static void workers_agree_and_only_the_lost_ones_move(void **state)
{
    (void)state;
    static const enum sel_strategy agreed[] = {SEL_WEIGHTED, SEL_RANDOM, SEL_ROUND_ROBIN,
                                               SEL_PRIORITY_FAILOVER};
    struct sel_ep eps[8], other[8];
    struct rnd rnd = {{5, 6}};
    for (size_t s = 0; s < COUNT_OF(agreed); s++) {
        struct sel_conf c = {.strategy = agreed[s]};
        fill(eps, 8, 0x1000);
        for (int i = 0; i < 8; i++)
            eps[i].weight = (uint32_t)(50 + 25 * i);
        int moved = 0;
        for (int k = 0; k < 4000; k++) {
            uint64_t key = rnd_next(&rnd);
            int at = home(&c, eps, 8, key, rnd_next(&rnd));
            /* Another worker: other chance, other order of the list. */
            for (int i = 0; i < 8; i++)
                other[i] = eps[7 - i];
            assert_int_equal(home(&c, other, 8, key, rnd_next(&rnd)), 7 - at);
            /* Without number 3 only its conversations move; it comes back, so do they. */
            eps[3].queued = true;
            int without = home(&c, eps, 8, key, rnd_next(&rnd));
            eps[3].queued = false;
            assert_true(at == 3 ? without != 3 : without == at);
            moved += at == 3;
            assert_int_equal(home(&c, eps, 8, key, rnd_next(&rnd)), at);
        }
        double share = agreed[s] == SEL_RANDOM ? 1 / 8.0 : 125 / 1100.0;
        assert_share(moved, 4000, share);
    }
}

/* More weight for one takes conversations from the others and moves none between them. */
static void more_weight_only_attracts(void **state)
{
    (void)state;
    struct sel_conf c = {.strategy = SEL_WEIGHTED};
    struct sel_ep eps[5];
    for (uint64_t key = 1; key <= 5000; key++) {
        fill(eps, 5, 77);
        int before = home(&c, eps, 5, key * 0x9e3779b97f4a7c15u, 0);
        eps[1].weight = 300;
        int after = home(&c, eps, 5, key * 0x9e3779b97f4a7c15u, 0);
        assert_true(after == before || after == 1);
    }
}

/* ---- long random runs against the rules, said plainly */

static void random_ep(struct rnd *rnd, struct sel_ep *e, int64_t *turn)
{
    uint64_t x = rnd_next(rnd) >> 8;
    *e = (struct sel_ep){
        .id_hash = rnd_next(rnd),
        .turn = turn,
        .cooling_ms = x % 4 == 0 ? (int64_t)(x % 9000) + 1 : 0,
        .weight = x % 7 == 0 ? 0 : (uint32_t)(x % 200),
        .priority = (uint32_t)(x >> 8) % 3,
        .open = (uint32_t)(x >> 10) % 5,
        .ttfb_us = (uint32_t)(x >> 13) % 3 * 1000,
        .tier = (uint8_t)((x >> 16) % 4),
        .trial = (uint8_t)((x >> 18) % 3),
        .enabled = (x >> 20) % 8 != 0,
        .queued = (x >> 23) % 8 == 0,
        .draining = (x >> 26) % 8 == 0,
        .own_word = (x >> 29) % 2,
        .full = (x >> 30) % 6 == 0,
        .model_ok = (x >> 33) % 8 != 0,
        .tried = (x >> 36) % 5 == 0,
        .used_up = (x >> 39) % 6 == 0,
        .marked = (x >> 42) % 4 == 0 ? 1 + MARK_TOOL : 0,
    };
}

static bool candidate(const struct sel_ep *e, bool bound)
{
    return e->enabled && !e->queued && e->model_ok && !e->used_up && !e->full &&
           !(e->cooling_ms > 0 && e->own_word) && (!e->draining || bound) &&
           !(e->tier == SEL_CIRCUIT_OPEN && e->trial == SEL_TRIAL_BUSY);
}

/* e must not be passed over for `taken`. */
static bool better(const struct sel_conf *c, const struct sel_ep *e, const struct sel_ep *taken,
                   bool rendezvous)
{
    bool out = e->tier == SEL_CIRCUIT_OPEN, taken_out = taken->tier == SEL_CIRCUIT_OPEN;
    if (out != taken_out)
        return taken_out;
    if (out && (e->trial == SEL_TRIAL_MINE) != (taken->trial == SEL_TRIAL_MINE))
        return e->trial == SEL_TRIAL_MINE;
    if (e->tried != taken->tried)
        return taken->tried;
    if (!e->marked != !taken->marked)
        return taken->marked;
    if (e->tier != taken->tier)
        return e->tier < taken->tier;
    if ((e->cooling_ms > 0) != (taken->cooling_ms > 0))
        return taken->cooling_ms > 0;
    if ((e->weight == 0) != (taken->weight == 0))
        return taken->weight == 0;
    bool groups = c->use_priority || c->strategy == SEL_PRIORITY_FAILOVER;
    if (groups && e->priority != taken->priority)
        return e->priority < taken->priority;
    if (c->strategy == SEL_LEAST_CONNECTIONS && !rendezvous && e->weight && taken->weight)
        return (double)e->open / e->weight < (double)taken->open / taken->weight - 1e-9;
    return false;
}

static void check_choice(const struct sel_conf *c, const struct sel_ep *eps, size_t n,
                         const struct sel_req *r, const struct sel_result *out)
{
    bool full = false, cooling = false, open_busy = false, any = false;
    for (size_t i = 0; i < n; i++) {
        struct sel_ep plain = eps[i];
        plain.full = false;
        plain.trial = SEL_TRIAL_NONE;
        full |= eps[i].full && candidate(&plain, r->bound == (int)i);
        plain = eps[i];
        plain.trial = SEL_TRIAL_NONE;
        open_busy |= eps[i].trial == SEL_TRIAL_BUSY && candidate(&plain, r->bound == (int)i);
        plain = eps[i];
        plain.own_word = plain.full = false;
        plain.trial = SEL_TRIAL_NONE;
        cooling |= eps[i].own_word && plain.cooling_ms && candidate(&plain, r->bound == (int)i);
        any |= candidate(&eps[i], r->bound == (int)i) && eps[i].tier != SEL_CIRCUIT_OPEN;
    }
    if (out->at == -1) {
        assert_false(any);
        assert_true(out->end != SEL_CHOSEN && out->end != SEL_NEED_TRIAL);
        assert_true(out->end != SEL_ALL_FULL || full);
        assert_true(out->end != SEL_ALL_COOLING || (cooling && out->wait_ms > 0));
        assert_true(out->end != SEL_WAIT_TRIAL || open_busy);
        assert_true(out->end != SEL_NONE || (!full && !open_busy));
        return;
    }
    const struct sel_ep *taken = &eps[out->at];
    assert_true(candidate(taken, r->bound == out->at));
    bool mine = taken->tier == SEL_CIRCUIT_OPEN && taken->trial == SEL_TRIAL_MINE;
    assert_int_equal(out->trial, mine);
    assert_int_equal(out->end,
                     taken->tier == SEL_CIRCUIT_OPEN && !mine ? SEL_NEED_TRIAL : SEL_CHOSEN);
    if (out->bound == SEL_BOUND_USED) {
        assert_int_equal(out->at, r->bound);
        assert_true(taken->cooling_ms == 0 && taken->tier != SEL_CIRCUIT_OPEN && !taken->tried &&
                    !taken->marked);
        return;
    }
    if (mine && r->may_try)
        return;
    for (size_t i = 0; i < n; i++)
        if (candidate(&eps[i], r->bound == (int)i))
            assert_false(better(c, &eps[i], taken, out->bound == SEL_BOUND_SPARED));
}

static void every_choice_keeps_the_order(void **state)
{
    (void)state;
    struct rnd rnd = {{7, 8}};
    struct sel_ep eps[12];
    int64_t turns[12] = {0};
    uint8_t why[12];
    for (int round = 0; round < 200000; round++) {
        size_t n = rnd_next(&rnd) % 13;
        for (size_t i = 0; i < n; i++)
            random_ep(&rnd, &eps[i], &turns[i]);
        struct sel_conf c = {.strategy = (enum sel_strategy)(rnd_next(&rnd) % SEL_STRATEGY__COUNT),
                             .use_priority = rnd_next(&rnd) % 2,
                             .cache_ttl_ms = 1000};
        struct sel_req r = {.conversation = rnd_next(&rnd) % 2,
                            .may_try = rnd_next(&rnd) % 2,
                            .bound = -1,
                            .bound_idle_ms = (int64_t)(rnd_next(&rnd) % 2000),
                            .key = {rnd_next(&rnd), rnd_next(&rnd)},
                            .rnd = {rnd_next(&rnd), rnd_next(&rnd)}};
        if (r.conversation && n > 0 && rnd_next(&rnd) % 2)
            r.bound = (int)(rnd_next(&rnd) % n);
        struct sel_result out;
        select_pick(&c, eps, n, &r, &out, why);
        check_choice(&c, eps, n, &r, &out);
        int taken = 0;
        for (size_t i = 0; i < n; i++)
            if (why[i] == SEL_SKIP_NO) {
                taken++;
                assert_int_equal(out.at, i);
            }
        assert_int_equal(taken, out.end == SEL_CHOSEN);
        if (out.end == SEL_NEED_TRIAL)
            assert_int_equal(why[out.at], SEL_SKIP_TRIAL_NEEDED);
    }
}

/* ---- reasons */

static void a_cells_reason_names_its_family(void **state)
{
    (void)state;
    char text[SEL_SKIP_TEXT];
    struct str opus = STR("claude-opus-4-8");
    assert_string_equal(select_skip_put(SEL_SKIP_CELL_COOLING_TOLD_NOTHING, opus, text),
                        "opus: cooling");
    assert_string_equal(select_skip_put(SEL_SKIP_CELL_COOLING, opus, text), "opus: told to wait");
    assert_string_equal(select_skip_put(SEL_SKIP_CELL_CIRCUIT, STR("glm-4.6"), text),
                        "glm-4-6: circuit open");
    assert_string_equal(select_skip_put(SEL_SKIP_CELL_TRIAL_BUSY, opus, text),
                        "opus: trial under way");
    assert_string_equal(select_skip_put(SEL_SKIP_CELL_TRIAL_NEEDED, opus, text),
                        "opus: circuit open, trial needed");
    assert_string_equal(select_skip_put(SEL_SKIP_CIRCUIT, opus, text), "circuit open");
    assert_string_equal(select_skip_put(SEL_SKIP_CELL_CIRCUIT, STR(""), text),
                        "the model's circuit is open");
    assert_string_equal(select_skip_put(SEL_SKIP__COUNT, opus, text), "?");
}

/* ---- what is left */

static void others_are_counted_by_what_retry_wants_to_know(void **state)
{
    (void)state;
    struct sel_ep eps[7];
    fill(eps, 7, 1);
    struct sel_req r = {.bound = -1};
    eps[0].tried = true; /* the one that failed */
    eps[1].tier = SEL_DEGRADED;
    eps[2].full = true;
    eps[3].tier = SEL_CIRCUIT_OPEN;
    eps[4].tried = true;
    eps[5].own_word = true;
    eps[5].cooling_ms = 700;
    eps[6].queued = true;
    struct sel_others o = select_others(eps, 7, &r, 0);
    assert_int_equal(o.untried, 1);
    assert_int_equal(o.full, 1);
    assert_int_equal(o.circuit, 1);
    assert_int_equal(o.again, 1);
    assert_int_equal(o.again_full, 0);
    assert_int_equal(o.cool_ms, 700);
    assert_int_equal(o.cool_unmarked_ms, 700);
    assert_true(o.self);
    eps[3].full = eps[4].full = true;
    eps[0].own_word = true;
    eps[0].cooling_ms = 300;
    o = select_others(eps, 7, &r, 0);
    assert_int_equal(o.circuit, 0);
    assert_int_equal(o.again, 0);
    assert_int_equal(o.again_full, 1);
    assert_int_equal(o.cool_ms, 300);
    assert_int_equal(o.cool_unmarked_ms, 300);
    eps[0].marked = true;
    assert_int_equal(select_others(eps, 7, &r, 0).cool_unmarked_ms, 700);
    eps[5].marked = true;
    assert_int_equal(select_others(eps, 7, &r, 0).cool_unmarked_ms, -1);
    assert_false(o.self); /* it cools by its own word */
    o = select_others(eps, 1, &r, 0);
    assert_int_equal(o.untried + o.circuit + o.again + o.full + o.again_full, 0);
    eps[0].own_word = false;
    eps[0].full = true;
    o = select_others(eps, 1, &r, 0);
    assert_false(o.self);
    assert_int_equal(o.again_full, 1);
    eps[0].used_up = true;
    assert_int_equal(select_others(eps, 1, &r, 0).again_full, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases),
        cmocka_unit_test(shares_follow_the_weights),
        cmocka_unit_test(ties_are_left_to_chance),
        cmocka_unit_test(two_choices_avoid_the_slow_one),
        cmocka_unit_test(workers_agree_and_only_the_lost_ones_move),
        cmocka_unit_test(more_weight_only_attracts),
        cmocka_unit_test(every_choice_keeps_the_order),
        cmocka_unit_test(a_cells_reason_names_its_family),
        cmocka_unit_test(others_are_counted_by_what_retry_wants_to_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
