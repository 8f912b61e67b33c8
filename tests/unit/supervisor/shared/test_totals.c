/* totals: what workers tell is added up, by endpoint and in all. */
#include "supervisor/shared/totals.h"

#include "common/base/mem.h"
#include "supervisor/children/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct conf *conf_of(const char *const *ids, size_t n)
{
    struct conf *c = conf_new();
    for (size_t i = 0; i < n; i++) {
        struct conf_endpoint *e = conf_add_endpoint(c);
        snprintf(e->id, sizeof e->id, "%s", ids[i]);
    }
    return c;
}

static void use(struct totals *t, const char *const *ids, size_t n)
{
    struct conf *c = conf_of(ids, n);
    totals_conf(t, c);
    conf_unref(c);
}

static struct stats_record of(const char *id)
{
    struct stats_record r = {0};
    memcpy(r.id, id, sizeof r.id);
    return r;
}

static bool add(struct totals *t, unsigned slot, const struct stats_total *all,
                const struct stats_record *r, size_t n, int64_t now)
{
    /* Blobs stand anywhere in a frame: never aligned. */
    static char bytes[1 + sizeof *all + 8 * sizeof *r];
    memcpy(bytes + 1, all, sizeof *all);
    if (n)
        memcpy(bytes + 1 + sizeof *all, r, n * sizeof *r);
    return totals_add(t, slot, str_make(bytes + 1, sizeof *all),
                      str_make(bytes + 1 + sizeof *all, n * sizeof *r), now);
}

static const char *const abc[] = {"aaaaaaaa", "bbbbbbbb", "cccccccc"};
static const struct stats_total nothing;

static void workers_are_added_up(void **state)
{
    (void)state;
    struct totals t = {0};
    use(&t, abc, 3);
    struct stats_record r[2] = {of("cccccccc"), of("aaaaaaaa")};
    r[0].attempts[OUTCOME_OK] = 3;
    r[0].attempts[OUTCOME_TRANSIENT] = 1;
    r[0].charged = 1;
    r[0].open = 2;
    r[0].tokens[TOKENS_OUTPUT] = 100;
    r[1].tokens[TOKENS_OUTPUT] = 1;
    struct stats_total all = {.streams_open = 2, .bytes_in = 10, .bytes_out = 20};
    all.requests[2] = 3;
    all.requests[0] = 1;
    assert_true(add(&t, 0, &all, r, 2, 1));
    assert_true(add(&t, 7, &all, r, 1, 2));
    const struct totals_endpoint *c = &t.v[2];
    assert_int_equal(c->attempts[OUTCOME_OK], 6);
    assert_int_equal(c->attempts[OUTCOME_TRANSIENT], 2);
    assert_int_equal(c->tokens[TOKENS_OUTPUT], 200);
    assert_int_equal(totals_now(c).open, 4);
    assert_int_equal(totals_success(c), 750);
    assert_int_equal(totals_success(&t.v[1]), -1);
    assert_int_equal(totals_requests(&t), 8);
    assert_int_equal(t.requests[2], 6);
    assert_int_equal(t.bytes_in, 20);
    assert_int_equal(t.tokens[TOKENS_OUTPUT], 201);
    assert_int_equal(totals_streams(&t), 4);
    /* A gauge is not added, and goes with its worker; counts stay. */
    assert_true(add(&t, 7, &nothing, r, 0, 3));
    assert_int_equal(totals_streams(&t), 2);
    totals_gone(&t, 0);
    assert_int_equal(totals_now(c).open, 2);
    assert_int_equal(totals_streams(&t), 0);
    totals_gone(&t, 7);
    totals_gone(&t, 500);
    assert_int_equal(totals_now(c).open, 0);
    assert_int_equal(c->attempts[OUTCOME_OK], 6);
    totals_fini(&t);
}

static void reload_keeps_who_stays(void **state)
{
    (void)state;
    struct totals t = {0};
    use(&t, abc, 3);
    struct stats_record r[3] = {of("aaaaaaaa"), of("bbbbbbbb"), of("cccccccc")};
    for (unsigned i = 0; i < 3; i++) {
        r[i].attempts[OUTCOME_OK] = i + 1;
        r[i].open = 1;
        r[i].tokens[TOKENS_INPUT] = 10;
    }
    assert_true(add(&t, 1, &nothing, r, 3, 1));
    static const char *const next[] = {"cccccccc", "dddddddd", "aaaaaaaa"};
    use(&t, next, 3);
    assert_int_equal(t.n, 3);
    assert_int_equal(t.v[0].attempts[OUTCOME_OK], 3);
    assert_int_equal(totals_now(&t.v[0]).open, 1);
    assert_int_equal(t.v[1].attempts[OUTCOME_OK], 0);
    assert_int_equal(t.v[2].attempts[OUTCOME_OK], 1);
    /* What is told of one that has left still counts in the sum. */
    assert_true(add(&t, 1, &nothing, r, 3, 1));
    assert_int_equal(t.tokens[TOKENS_INPUT], 60);
    assert_int_equal(t.v[2].attempts[OUTCOME_OK], 2);
    totals_fini(&t);
}

static void what_no_worker_says(void **state)
{
    (void)state;
    struct totals t = {0};
    use(&t, abc, 1);
    char bytes[4096] = "";
    size_t all = sizeof(struct stats_total), one = sizeof(struct stats_record);
    assert_false(totals_add(&t, 0, str_make(bytes, all - 1), STR(""), 1));
    assert_false(totals_add(&t, 0, str_make(bytes, all + 1), STR(""), 1));
    assert_false(totals_add(&t, 0, str_make(bytes, all), str_make(bytes, one - 1), 1));
    assert_false(totals_add(&t, TOTALS_SLOTS, str_make(bytes, all), STR(""), 1));
    assert_true(totals_add(&t, TOTALS_SLOTS - 1, str_make(bytes, all), str_make(bytes, one), 1));
    totals_fini(&t);
}

static void quantiles_are_of_late(void **state)
{
    (void)state;
    struct totals t = {0};
    use(&t, abc, 1);
    enum { MINUTE = 60000 };
    struct stats_record slow = of("aaaaaaaa"), fast = of("aaaaaaaa");
    slow.first_byte[hist_bucket(4000000)] = 10;
    fast.first_byte[hist_bucket(4000)] = 1;
    assert_int_equal(totals_first_byte(&t.v[0], 500), -1);
    assert_true(add(&t, 0, &nothing, &slow, 1, 1000 * MINUTE));
    assert_true(totals_first_byte(&t.v[0], 500) > 3000000);
    assert_true(add(&t, 0, &nothing, &fast, 1, 1006 * MINUTE));
    assert_true(totals_first_byte(&t.v[0], 500) > 3000000);
    assert_true(add(&t, 0, &nothing, &fast, 1, 1012 * MINUTE));
    assert_true(totals_first_byte(&t.v[0], 990) <= 5000);
    /* Nothing came for long: of all time. */
    assert_true(add(&t, 0, &nothing, NULL, 0, 1030 * MINUTE));
    assert_true(totals_first_byte(&t.v[0], 500) > 3000000);
    totals_fini(&t);
}

static void quantiles_of_all_endpoints(void **state)
{
    (void)state;
    struct totals t = {0};
    use(&t, abc, 2);
    struct stats_record v[] = {of("aaaaaaaa"), of("bbbbbbbb")};
    v[0].first_byte[hist_bucket(4000)] = 3;
    v[1].first_byte[hist_bucket(4000000)] = 1;
    assert_int_equal(totals_first_byte_all(&t, 500), -1);
    assert_true(add(&t, 0, &nothing, v, 2, 1));
    assert_true(totals_first_byte_all(&t, 500) <= 5000);
    assert_true(totals_first_byte_all(&t, 990) > 3000000);
    totals_fini(&t);
}

static void saved_and_back(void **state)
{
    (void)state;
    struct totals t = {0}, u = {0};
    use(&t, abc, 2);
    use(&u, abc, 2);
    struct stats_record r = of("bbbbbbbb");
    r.attempts[OUTCOME_OK] = 9;
    r.attempts[OUTCOME_UNKNOWN] = 2;
    r.charged = 1;
    r.tokens[TOKENS_CACHE_WRITE] = 77;
    struct stats_total all = {.bytes_in = 5, .bytes_out = 6};
    all.requests[5] = 4;
    all.duration[STATS_STREAM][3] = 2;
    assert_true(add(&t, 0, &all, &r, 1, 1));
    assert_int_equal(t.duration[STATS_STREAM][3], 2);
    assert_int_equal(t.duration[STATS_WHOLE][3], 0);
    uint64_t sums[TOTALS_LASTING] = {0}, counts[TOTALS_LASTING_ENDPOINT] = {0};
    totals_save(&t, sums);
    totals_save_endpoint(&t, STR("bbbbbbbb"), counts);
    totals_restore(&u, sums);
    totals_restore_endpoint(&u, STR("bbbbbbbb"), counts);
    totals_restore_endpoint(&u, STR("eeeeeeee"), counts);
    assert_int_equal(u.requests[5], 4);
    assert_int_equal(u.bytes_out, 6);
    assert_int_equal(u.tokens[TOKENS_CACHE_WRITE], 77);
    assert_int_equal(u.v[1].attempts[OUTCOME_UNKNOWN], 2);
    assert_int_equal(u.v[1].tokens[TOKENS_CACHE_WRITE], 77);
    assert_int_equal(totals_success(&u.v[1]), 900);
    assert_int_equal(u.v[0].attempts[OUTCOME_OK], 0);
    totals_fini(&t);
    totals_fini(&u);
}

/* ---- series: what metrics show */

static void name(struct conf *c, size_t i, const char *id, const char *as)
{
    struct conf_endpoint *e = i < c->nendpoints ? &c->endpoints[i] : conf_add_endpoint(c);
    snprintf(e->id, sizeof e->id, "%s", id);
    e->name = mem_strdup(as);
}

static void use_named(struct totals *t, const char *const (*v)[2], size_t n)
{
    struct conf *c = conf_new();
    for (size_t i = 0; i < n; i++)
        name(c, i, v[i][0], v[i][1]);
    totals_conf(t, c);
    conf_unref(c);
}

static void count_one(struct totals *t, const char *id)
{
    struct stats_record r = of(id);
    r.attempts[OUTCOME_OK] = 1;
    r.dialled = 1;
    r.reused = 2;
    r.idle = 3;
    r.in_use = 4;
    r.first_byte[0] = 1;
    assert_true(add(t, 0, &nothing, &r, 1, 1));
}

static void series_never_fall(void **state)
{
    (void)state;
    static const char *const first[][2] = {{"aaaaaaaa", "relay"}, {"bbbbbbbb", "official"}};
    static const char *const other_key[][2] = {{"cccccccc", "official"}, {"dddddddd", "relay"}};
    static const char *const without[][2] = {{"cccccccc", "official"}};
    static const char *const swapped[][2] = {{"dddddddd", "official"}, {"cccccccc", "relay"}};
    struct totals t = {0};
    use_named(&t, first, 2);
    count_one(&t, "aaaaaaaa");
    assert_string_equal(t.series[0]->name, "relay");
    assert_int_equal(t.series[0]->attempts[OUTCOME_OK], 1);
    assert_int_equal(t.series[0]->dialled, 1);
    assert_int_equal(t.series[0]->reused, 2);
    assert_int_equal(totals_now(&t.v[0]).idle, 3);
    assert_int_equal(totals_now(&t.v[0]).in_use, 4);
    use_named(&t, other_key, 2);
    count_one(&t, "dddddddd");
    assert_int_equal(t.v[1].attempts[OUTCOME_OK], 1);
    assert_int_equal(t.series[1]->attempts[OUTCOME_OK], 2);
    assert_int_equal(t.series[1]->first_byte[0], 2);
    assert_int_equal(t.series[0]->attempts[OUTCOME_OK], 0);
    use_named(&t, without, 1);
    assert_int_equal(t.nseries, 2);
    use_named(&t, swapped, 2);
    count_one(&t, "cccccccc");
    assert_string_equal(t.series[1]->name, "relay");
    assert_int_equal(t.series[1]->attempts[OUTCOME_OK], 3);
    assert_int_equal(t.series[0]->attempts[OUTCOME_OK], 0);
    totals_verified(&t, STR("cccccccc"), true);
    totals_verified(&t, STR("cccccccc"), false);
    totals_verified(&t, STR("eeeeeeee"), false);
    totals_tripped(&t, STR("dddddddd"));
    assert_int_equal(t.series[1]->verified, 1);
    assert_int_equal(t.series[1]->verify_failed, 1);
    assert_int_equal(t.series[0]->tripped, 1);
    totals_fini(&t);
}

/* Whoever reloads for ever with new names: those that left first are forgotten. */
static void series_are_bounded(void **state)
{
    (void)state;
    struct totals t = {0};
    for (unsigned i = 0; i < TOTALS_LEFT_MAX + 50; i++) {
        char id[16], as[32];
        snprintf(id, sizeof id, "%08x", i);
        snprintf(as, sizeof as, "e%u", i);
        const char *const v[][2] = {{id, as}};
        use_named(&t, v, 1);
        count_one(&t, id);
        assert_true(t.nseries <= 1 + TOTALS_LEFT_MAX);
    }
    static const char *const two[][2] = {{"11111111", "e1000"}, {"22222222", "e3"}};
    use_named(&t, two, 2);
    assert_int_equal(t.series[0]->attempts[OUTCOME_OK], 1);
    assert_int_equal(t.series[1]->attempts[OUTCOME_OK], 0);
    totals_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_are_added_up), cmocka_unit_test(reload_keeps_who_stays),
        cmocka_unit_test(what_no_worker_says),  cmocka_unit_test(quantiles_are_of_late),
        cmocka_unit_test(saved_and_back),       cmocka_unit_test(series_never_fall),
        cmocka_unit_test(series_are_bounded),   cmocka_unit_test(quantiles_of_all_endpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
