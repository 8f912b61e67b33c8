/* Bindings per family, and those that were made before families were told apart. */
#include "worker/shared/binding_replica.h"

#include "common/base/clock.h"
#include "common/conf/conf.h"
#include "worker/loop/uplink.h"
#include "worker/shared/replica.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { A = 0xa, B = 0xb };

struct world {
    struct conf conf;
    struct ep ep[2], *eps[2];
    uint32_t by_hash[2];
    struct replica replica;
    struct uplink uplink;
    struct binding_replica g;
    uint64_t conversation[2], opus[2], haiku[2];
};

static int begin(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    *state = w;
    w->conf.affinity.enabled = true;
    w->conf.affinity.ttl = w->conf.affinity.cache_ttl = 60000;
    w->conf.affinity.max_sessions = 100;
    w->ep[0].id_hash = A;
    w->ep[1].id_hash = B;
    w->ep[1].index = w->by_hash[1] = 1;
    w->eps[0] = &w->ep[0];
    w->eps[1] = &w->ep[1];
    w->replica.eps = w->eps;
    w->replica.by_hash = w->by_hash;
    w->replica.n = 2;
    w->conversation[0] = 17;
    w->conversation[1] = 4;
    affinity_key(w->conversation, model_hash(STR("opus")), w->opus);
    affinity_key(w->conversation, model_hash(STR("haiku")), w->haiku);
    binding_replica_start(&w->g, ev_default_loop(EVFLAG_AUTO), &w->uplink, &w->replica);
    binding_replica_configure(&w->g, &w->conf);
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    buf_drop(&w->g.moves, w->g.moves.len); /* there is nobody to report to */
    buf_drop(&w->g.uses, w->g.uses.len);
    binding_replica_stop(&w->g);
    free(w);
    return 0;
}

/* The supervisor's BINDINGS: the conversation was bound there `ago_ms` ago. */
static void bound_before(struct world *w, uint32_t endpoint, int64_t ago_ms)
{
    struct err e;
    struct binding_table_record r = {.key = {w->conversation[0], w->conversation[1]},
                                     .used_ms = clock_boot_ms() - ago_ms,
                                     .endpoint = endpoint,
                                     .op = BINDING_BOUND};
    assert_true(binding_replica_learn(&w->g, str_make((const char *)&r, sizeof r), &e));
}

/* The endpoint to which the family is bound; 0: to none. */
static uint32_t at(struct world *w, const uint64_t key[2])
{
    struct binding_at out = {.at = -1};
    return binding_replica_look(&w->g, key, w->conversation, &out) ? out.id : 0;
}

static void families_are_bound_apart(void **state)
{
    struct world *w = *state;
    uint64_t none[2];
    affinity_key(w->conversation, 0, none);
    binding_replica_served(&w->g, w->opus, A, SEL_BOUND_NO, 0);
    assert_int_equal(at(w, w->opus), A);
    assert_int_equal(at(w, w->haiku), 0);
    assert_int_equal(at(w, none), 0);
    binding_replica_served(&w->g, w->haiku, B, SEL_BOUND_NO, 0);
    assert_int_equal(at(w, w->opus), A);
    assert_int_equal(at(w, w->haiku), B);
    /* one moves, the other stays */
    binding_replica_served(&w->g, w->opus, B, SEL_BOUND_LEFT, A);
    binding_replica_served(&w->g, w->haiku, A, SEL_BOUND_SPARED, B);
    assert_int_equal(at(w, w->opus), B);
    assert_int_equal(at(w, w->haiku), B);
}

static void an_old_binding_counts_for_each_family_until_there_is_one(void **state)
{
    struct world *w = *state;
    bound_before(w, A, 1000);
    assert_int_equal(at(w, w->opus), A);
    assert_int_equal(at(w, w->haiku), A);
    /* passed over for want of a place: it stays */
    binding_replica_served(&w->g, w->opus, B, SEL_BOUND_SPARED, A);
    assert_int_equal(at(w, w->opus), A);
    /* given up: for that family alone */
    binding_replica_served(&w->g, w->opus, B, SEL_BOUND_LEFT, A);
    assert_int_equal(at(w, w->opus), B);
    assert_int_equal(at(w, w->haiku), A);
    /* used: from then on the family has its own */
    binding_replica_served(&w->g, w->haiku, A, SEL_BOUND_USED, A);
    bound_before(w, B, 0);
    assert_int_equal(at(w, w->haiku), A);
}

static void an_old_binding_expires(void **state)
{
    struct world *w = *state;
    bound_before(w, A, 60001);
    assert_int_equal(at(w, w->opus), 0);
}

/* Numbers of state files. */
static void the_key_stays_the_same(void **state)
{
    (void)state;
    const uint64_t conversation[2] = {1, 2};
    uint64_t key[2];
    affinity_key(conversation, model_hash(STR("opus")), key);
    assert_true(key[0] == 0xa742554ea9d65cb0u && key[1] == 0xcc40f8b4d13ddfdcu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(families_are_bound_apart, begin, end),
        cmocka_unit_test_setup_teardown(an_old_binding_counts_for_each_family_until_there_is_one,
                                        begin, end),
        cmocka_unit_test_setup_teardown(an_old_binding_expires, begin, end),
        cmocka_unit_test(the_key_stays_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
