#include "common/policy/choice/ranking.h"
#include "tests/unit/case.h"

#include "common/secret/rnd.h"

#include <math.h>

enum { EPS = 80, EXCEPT = 6 };

/* Endpoints as select_pick sees them, and the ranking of the same. */
struct world {
    struct rnd rnd;
    struct sel_conf conf;
    struct ranking_ep conf_eps[EPS];
    struct sel_ep eps[EPS];
    int64_t until_ms[EPS]; /* of the cooldown */
    size_t n;
    int64_t now_ms;
    struct ranking ranking;
};

static uint64_t below(struct world *w, uint64_t n)
{
    return rnd_next(&w->rnd) % n;
}

static bool one_in(struct world *w, uint64_t n)
{
    return below(w, n) == 0;
}

static void begin(struct world *w, size_t n, enum sel_strategy strategy)
{
    w->n = n;
    w->now_ms = 1000000;
    w->conf =
        (struct sel_conf){.strategy = strategy, .use_priority = one_in(w, 2), .cache_ttl_ms = 1000};
    for (size_t i = 0; i < n; i++)
        w->conf_eps[i] =
            (struct ranking_ep){.id_hash = rnd_next(&w->rnd),
                                .weight = one_in(w, 9) ? 0 : (uint32_t)below(w, 200),
                                .priority = one_in(w, 4) ? 1 + (uint32_t)below(w, 3) : 1,
                                .offers = !one_in(w, 10)};
    ranking_begin(&w->ranking, &mem_heap, &w->conf, w->conf_eps, n);
}

/* Gives endpoint i a new state at random, at both. */
static void change(struct world *w, size_t i)
{
    const struct ranking_ep *c = &w->conf_eps[i];
    bool ill = one_in(w, 3);
    w->until_ms[i] = ill && one_in(w, 2) ? w->now_ms + 1 + (int64_t)below(w, 500) : 0;
    w->eps[i] = (struct sel_ep){
        .id_hash = c->id_hash,
        .weight = c->weight,
        .priority = c->priority,
        .open = (uint32_t)below(w, 4),
        .ttfb_us = (uint32_t)below(w, 3) * 1000,
        .cooling_ms = w->until_ms[i] ? w->until_ms[i] - w->now_ms : 0,
        .own_word = one_in(w, 2),
        .tier = ill ? (uint8_t)below(w, SEL_TIER__COUNT) : SEL_HEALTHY,
        .trial = (uint8_t)below(w, 3),
        .enabled = !ill || !one_in(w, 6),
        .queued = ill && one_in(w, 6),
        .draining = ill && one_in(w, 6),
        .full = one_in(w, 10),
        .model_ok = c->offers,
    };
    ranking_put(&w->ranking, i, &w->eps[i], w->until_ms[i] ? w->until_ms[i] : INT64_MAX);
}

/* Time goes on: cooldowns end, and the ranking is told of those alone that it asks for. */
static void pass_time(struct world *w)
{
    w->now_ms += (int64_t)below(w, 200);
    for (size_t i = 0; i < w->n; i++) {
        int64_t left = w->until_ms[i] - w->now_ms;
        w->eps[i].cooling_ms = left > 0 ? left : 0;
    }
    uint32_t from = UINT32_MAX;
    for (int i; (i = ranking_due(&w->ranking, w->now_ms, &from)) != -1;) {
        assert_true(w->until_ms[i] && w->until_ms[i] <= w->now_ms);
        w->until_ms[i] = 0;
        ranking_put(&w->ranking, (size_t)i, &w->eps[i], INT64_MAX);
    }
}

static bool is_other_trial(const struct sel_ep *e)
{
    return e->tier == SEL_CIRCUIT_OPEN && e->trial != SEL_TRIAL_MINE;
}

/* Everything that the ranking knows, counted anew. */
static void check_all(const struct world *w)
{
    static const struct sel_req nobody = {.bound = -1};
    const struct ranking *r = &w->ranking;
    bool heap = w->conf.strategy == SEL_ROUND_ROBIN || w->conf.strategy == SEL_LEAST_CONNECTIONS;
    uint32_t members = 0, timed = 0;
    for (uint32_t k = 0; k < r->nbuckets; k++) {
        const struct ranking_bucket *b = &r->buckets[k];
        assert_true(b->n > 0 && (k == 0 || b[-1].rank < b->rank));
        members += b->n;
        for (uint32_t at = 0; at < b->n; at++) {
            assert_int_equal(r->v[b->v[at]].at, at);
            assert_true(r->v[b->v[at]].rank == b->rank);
            assert_true(!heap || r->v[b->v[(at ? at - 1 : 0) / 2]].key <= r->v[b->v[at]].key);
        }
    }
    assert_int_equal(members, w->n);
    bool trial = false;
    for (size_t i = 0; i < w->n; i++) {
        const struct sel_ep *e = &w->eps[i];
        bool out = is_other_trial(e) || select_check(e, 0, &nobody) != SEL_SKIP_NO;
        assert_true(r->v[i].rank == (out ? RANKED_OUT : select_rank(&w->conf, e)));
        timed += w->until_ms[i] != 0;
        trial |= !out && e->tier == SEL_CIRCUIT_OPEN;
    }
    assert_int_equal(r->ntimed, timed);
    assert_int_equal(ranking_has_trial(r), trial);
    bool above = false;
    for (size_t i = 0; i < w->n; i++)
        above |= r->v[i].rank < SEL_RANK_CIRCUIT && w->eps[i].tier <= SEL_DEGRADED &&
                 w->eps[i].cooling_ms == 0 && w->eps[i].weight > 0 && w->eps[i].priority < 2;
    bool grouped = w->conf.use_priority || w->conf.strategy == SEL_PRIORITY_FAILOVER;
    if (grouped)
        assert_int_equal(ranking_above(r, SEL_DEGRADED, 2), above);
}

/* Makes a choice at both. */
static void choose(struct world *w)
{
    uint32_t except[EXCEPT];
    struct sel_ep eps[EPS];
    memcpy(eps, w->eps, w->n * sizeof *eps);
    struct ranking_ask q = {.except = except};
    for (size_t k = below(w, EXCEPT + 1); k > 0; k--) {
        size_t i = below(w, w->n);
        if (eps[i].tried || eps[i].marked)
            continue;
        if (one_in(w, 2))
            eps[i].tried = true;
        else
            eps[i].marked = 1 + MARK_BETA;
        except[q.nexcept++] = (uint32_t)i;
    }
    struct sel_req r = {.conversation = one_in(w, 2),
                        .bound = -1,
                        .key = {rnd_next(&w->rnd), rnd_next(&w->rnd)},
                        .rnd = {rnd_next(&w->rnd), rnd_next(&w->rnd)}};
    q.r = &r;
    struct sel_result out;
    select_pick(&w->conf, eps, w->n, &r, &out, NULL);
    int at = ranking_pick(&w->ranking, &q);
    bool behind = out.at == -1 || select_rank(&w->conf, &eps[out.at]) >= SEL_RANK_BEHIND;
    assert_int_equal(at == -1, behind);
    if (at == -1)
        return;
    assert_int_equal(select_check(eps, (size_t)at, &r), SEL_SKIP_NO);
    assert_true(select_rank(&w->conf, &eps[at]) == select_rank(&w->conf, &eps[out.at]));
    if (r.conversation)
        assert_int_equal(at, out.at); /* all workers agree, whichever way each has gone */
    if (w->conf.strategy == SEL_LEAST_CONNECTIONS)
        assert_true((uint64_t)eps[at].open * (eps[out.at].weight ? eps[out.at].weight : 1) ==
                    (uint64_t)eps[out.at].open * (eps[at].weight ? eps[at].weight : 1));
    ranking_taken(&w->ranking, (size_t)at);
}

static void every_choice_is_as_select_makes_it(void **state)
{
    (void)state;
    struct world w = {.rnd = {{11, 12}}};
    for (int round = 0; round < 600; round++) {
        begin(&w, 1 + below(&w, one_in(&w, 2) ? 6 : EPS),
              (enum sel_strategy)below(&w, SEL_STRATEGY__COUNT));
        for (size_t i = 0; i < w.n; i++)
            change(&w, i);
        for (int step = 0; step < 60; step++) {
            change(&w, below(&w, w.n));
            if (one_in(&w, 3))
                pass_time(&w);
            check_all(&w);
            choose(&w);
        }
        ranking_free(&w.ranking);
    }
}

/* ---- shares */

/* n endpoints that are well, with weights 1 to 4 times 50. */
static void begin_well(struct world *w, size_t n, enum sel_strategy strategy)
{
    w->n = n;
    w->conf = (struct sel_conf){.strategy = strategy};
    for (size_t i = 0; i < n; i++) {
        w->conf_eps[i] = (struct ranking_ep){.id_hash = 0x1000 + i,
                                             .weight = 50 * (1 + (uint32_t)i % 4),
                                             .priority = 1,
                                             .offers = true};
        w->eps[i] = (struct sel_ep){.weight = w->conf_eps[i].weight,
                                    .priority = 1,
                                    .id_hash = 0x1000 + i,
                                    .enabled = true,
                                    .model_ok = true};
    }
    ranking_begin(&w->ranking, &mem_heap, &w->conf, w->conf_eps, n);
    for (size_t i = 0; i < n; i++)
        ranking_put(&w->ranking, i, &w->eps[i], INT64_MAX);
}

static void set_queued(struct world *w, size_t i, bool queued)
{
    w->eps[i].queued = queued;
    ranking_put(&w->ranking, i, &w->eps[i], INT64_MAX);
}

static int pick(struct world *w, bool conversation, const uint64_t key[2])
{
    struct sel_req r = {.conversation = conversation,
                        .bound = -1,
                        .key = {key[0], key[1]},
                        .rnd = {rnd_next(&w->rnd), rnd_next(&w->rnd)}};
    struct ranking_ask q = {.r = &r};
    return ranking_pick(&w->ranking, &q);
}

static void assert_shares(struct world *w, bool conversation)
{
    enum { ROUNDS = 40000 };
    int hits[EPS] = {0};
    double total = 0;
    for (size_t i = 0; i < w->n; i++)
        total += w->eps[i].queued ? 0 : w->eps[i].weight;
    for (int k = 0; k < ROUNDS; k++) {
        uint64_t key[2] = {rnd_next(&w->rnd), rnd_next(&w->rnd)};
        hits[pick(w, conversation, key)]++;
    }
    for (size_t i = 0; i < w->n; i++) {
        double p = w->eps[i].queued ? 0 : w->eps[i].weight / total;
        double off = fabs(hits[i] - ROUNDS * p), sigma = sqrt(ROUNDS * p * (1 - p));
        if (off > 5 * sigma + 1)
            fail_msg("endpoint %zu: %d, expected %.0f", i, hits[i], ROUNDS * p);
    }
}

static void shares_follow_the_weights(void **state)
{
    (void)state;
    struct world w = {.rnd = {{13, 14}}};
    static const size_t sizes[] = {5, SELECT_RENDEZVOUS_MAX, SELECT_RENDEZVOUS_MAX + 1, EPS};
    for (size_t s = 0; s < COUNT_OF(sizes); s++)
        for (int conversation = 0; conversation < 2; conversation++) {
            begin_well(&w, sizes[s], SEL_WEIGHTED);
            assert_shares(&w, conversation);
            /* few are left, which draws among all hardly find */
            for (size_t i = 3; i < w.n; i++)
                set_queued(&w, i, true);
            assert_shares(&w, conversation);
            ranking_free(&w.ranking);
        }
}

static void only_the_lost_ones_move(void **state)
{
    (void)state;
    struct world w = {.rnd = {{15, 16}}};
    for (int few = 0; few < 2; few++) {
        begin_well(&w, EPS, SEL_WEIGHTED);
        for (size_t i = 5; few && i < w.n; i++)
            set_queued(&w, i, true);
        for (int k = 0; k < 3000; k++) {
            uint64_t key[2] = {rnd_next(&w.rnd), rnd_next(&w.rnd)};
            int at = pick(&w, true, key);
            set_queued(&w, 3, true);
            int without = pick(&w, true, key);
            set_queued(&w, 3, false);
            assert_true(at == 3 ? without != 3 : without == at);
            assert_int_equal(pick(&w, true, key), at);
        }
        ranking_free(&w.ranking);
    }
}

/* ---- turns */

static int turn(struct world *w)
{
    uint64_t none[2] = {0};
    int at = pick(w, false, none);
    ranking_taken(&w->ranking, (size_t)at);
    return at;
}

static void round_robin_goes_round_by_weight(void **state)
{
    (void)state;
    struct world w = {.rnd = {{17, 18}}};
    begin_well(&w, 8, SEL_ROUND_ROBIN);
    int hits[8] = {0}, last = -1, row = 0;
    for (int k = 0; k < 100 * 20; k++) { /* the weights are 1, 2, 3, 4, 1, 2, 3, 4 times 50 */
        int at = turn(&w);
        hits[at]++;
        row = at == last ? row + 1 : 1;
        assert_true(row <= 2);
        last = at;
    }
    for (int i = 0; i < 8; i++)
        assert_in_range(hits[i], 100 * (1 + i % 4) - 1, 100 * (1 + i % 4) + 1);
    ranking_free(&w.ranking);
}

/* One that was out for long gets its share from then on, not what it has missed. */
static void who_comes_back_is_not_flooded(void **state)
{
    (void)state;
    struct world w = {.rnd = {{19, 20}}};
    begin_well(&w, 8, SEL_ROUND_ROBIN);
    set_queued(&w, 3, true);
    for (int k = 0; k < 1000; k++)
        assert_int_not_equal(turn(&w), 3);
    set_queued(&w, 3, false);
    int hits = 0;
    for (int k = 0; k < 100; k++)
        hits += turn(&w) == 3;
    assert_in_range(hits, 19, 21);
    ranking_free(&w.ranking);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_choice_is_as_select_makes_it),
        cmocka_unit_test(shares_follow_the_weights),
        cmocka_unit_test(only_the_lost_ones_move),
        cmocka_unit_test(round_robin_goes_round_by_weight),
        cmocka_unit_test(who_comes_back_is_not_flooded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
