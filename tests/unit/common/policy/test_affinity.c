#include "common/policy/affinity.h"

#include "common/base/mem.h"
#include "common/secret/rnd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* ---- memory that counts, and that can be refused */

struct purse {
    size_t bytes, peak; /* handed out */
    uint32_t pieces, calls;
    uint32_t refuse_after; /* calls that are served; 0: all */
};

static void *purse_alloc(void *ctx, size_t size)
{
    struct purse *p = ctx;
    p->calls++;
    if (p->refuse_after && p->calls > p->refuse_after)
        return NULL;
    size_t *m = mem_zalloc(1, size + 16);
    m[0] = size;
    memset(m + 2, 0xa5, size); /* nobody may count on zeros */
    p->bytes += size;
    p->peak = p->bytes > p->peak ? p->bytes : p->peak;
    p->pieces++;
    return m + 2;
}

static void purse_release(void *ctx, void *mem)
{
    struct purse *p = ctx;
    size_t *m = (size_t *)mem - 2;
    p->bytes -= m[0];
    p->pieces--;
    mem_free(m);
}

static struct mem_source mem_of(struct purse *p)
{
    return (struct mem_source){purse_alloc, purse_release, p};
}

static struct affinity *make(struct purse *p, uint32_t max)
{
    struct affinity *a = mem_zalloc(1, sizeof *a);
    struct mem_source mem = mem_of(p);
    assert_true(affinity_init(a, max, &mem));
    return a;
}

static void unmake(struct affinity *a, struct purse *p)
{
    affinity_fini(a);
    mem_free(a);
    assert_int_equal(p->bytes, 0);
    assert_int_equal(p->pieces, 0);
}

/* The n-th conversation. Not by chance, so that chains can be told in advance. */
static const uint64_t *key(uint64_t n)
{
    static uint64_t k[2];
    uint64_t x = n * 0x9e3779b97f4a7c15u;
    k[0] = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9u;
    k[1] = ~n;
    return k;
}

/* ---- the plain things */

/* As bindings_sweep does: at most `budget` that were last used at or before `until_ms`, or that are
 * too many. */
static uint32_t sweep(struct affinity *a, int64_t until_ms, uint32_t budget)
{
    uint32_t n = 0;
    for (const struct affinity_binding *b; n < budget && (b = affinity_oldest(a)); n++) {
        if (b->used_ms > until_ms && a->count <= a->max)
            break;
        uint64_t k[2] = {b->key[0], b->key[1]};
        assert_true(affinity_unbind(a, k));
    }
    return n;
}

static void binds_finds_moves_and_forgets(void **state)
{
    (void)state;
    struct purse p = {0};
    struct affinity *a = make(&p, 100);
    assert_null(affinity_find(a, key(1)));
    assert_null(affinity_oldest(a));
    assert_int_equal(affinity_bind(a, key(1), 3, 7, 1000, NULL), AFFINITY_NEW);
    const struct affinity_binding *b = affinity_find(a, key(1));
    assert_non_null(b);
    assert_true(b->endpoint == 3 && b->flags == 7 && b->used_ms == 1000);
    assert_int_equal(affinity_bind(a, key(1), 3, 7, 2000, NULL), AFFINITY_KEPT);
    assert_int_equal(affinity_bind(a, key(1), 4, 0, 3000, NULL), AFFINITY_MOVED);
    b = affinity_find(a, key(1));
    assert_true(b->endpoint == 4 && b->flags == 0 && b->used_ms == 3000);
    assert_int_equal(affinity_count(a, 3), 0);
    assert_int_equal(affinity_count(a, 4), 1);
    assert_true(affinity_use(a, key(1), 4000));
    assert_int_equal(affinity_find(a, key(1))->used_ms, 4000);
    assert_false(affinity_use(a, key(2), 4000));
    assert_false(affinity_unbind(a, key(2)));
    assert_true(affinity_unbind(a, key(1)));
    assert_null(affinity_find(a, key(1)));
    assert_int_equal(a->count, 0);
    unmake(a, &p);
}

/* Keys that share all the bits that the index looks at are told apart by the rest. */
static void keys_are_compared_whole(void **state)
{
    (void)state;
    struct purse p = {0};
    struct affinity *a = make(&p, 100);
    uint64_t k[4][2] = {{5, 1}, {5, 2}, {5 + ((uint64_t)1 << 40), 1}, {5, 1 + ((uint64_t)1 << 40)}};
    for (uint16_t i = 0; i < 4; i++)
        assert_int_equal(affinity_bind(a, k[i], i, 0, 1, NULL), AFFINITY_NEW);
    for (uint16_t i = 0; i < 4; i++)
        assert_int_equal(affinity_find(a, k[i])->endpoint, i);
    assert_true(affinity_unbind(a, k[1]));
    assert_null(affinity_find(a, k[1]));
    for (uint16_t i = 0; i < 4; i++)
        if (i != 1)
            assert_int_equal(affinity_find(a, k[i])->endpoint, i);
    unmake(a, &p);
}

static void the_least_recently_used_goes(void **state)
{
    (void)state;
    struct purse p = {0};
    struct affinity *a = make(&p, 3);
    struct affinity_binding gone = {0};
    for (uint64_t i = 0; i < 3; i++)
        affinity_bind(a, key(i), (uint16_t)i, 0, (int64_t)i, NULL);
    assert_true(affinity_use(a, key(0), 10));
    assert_int_equal(affinity_bind(a, key(7), 7, 0, 11, &gone), AFFINITY_EVICTED);
    assert_memory_equal(gone.key, key(1), 16);
    assert_int_equal(gone.endpoint, 1);
    assert_int_equal(gone.used_ms, 1);
    assert_null(affinity_find(a, key(1)));
    assert_non_null(affinity_find(a, key(0)));
    assert_int_equal(a->count, 3);
    unmake(a, &p);
}

static void sweeps_what_has_expired_in_pieces(void **state)
{
    (void)state;
    struct purse p = {0};
    struct affinity *a = make(&p, 1000);
    for (uint64_t i = 0; i < 100; i++)
        affinity_bind(a, key(i), 0, 0, (int64_t)i * 10, NULL);
    assert_true(affinity_use(a, key(5), 2000));
    assert_int_equal(sweep(a, 500, 20), 20);
    assert_int_equal(sweep(a, 500, 20), 20);
    assert_int_equal(sweep(a, 500, 20), 10); /* 51 of them, without the one used since */
    assert_int_equal(sweep(a, 500, 20), 0);
    assert_non_null(affinity_find(a, key(5)));
    assert_non_null(affinity_find(a, key(51)));
    assert_null(affinity_find(a, key(50)));
    assert_int_equal(a->count, 50);
    assert_int_equal(sweep(a, 1 << 20, 1000), 50);
    assert_null(affinity_oldest(a));
    unmake(a, &p);
}

static void a_new_ceiling(void **state)
{
    (void)state;
    struct purse p = {0};
    struct affinity *a = make(&p, 10000);
    for (uint64_t i = 0; i < 12000; i++)
        affinity_bind(a, key(i), 1, 0, (int64_t)i, NULL);
    assert_int_equal(a->count, 10000);
    assert_true(affinity_set_max(a, 4000));
    assert_int_equal(sweep(a, -1, 5000), 5000);
    assert_int_equal(sweep(a, -1, 5000), 1000);
    assert_int_equal(sweep(a, -1, 5000), 0);
    assert_null(affinity_find(a, key(7999)));
    assert_non_null(affinity_find(a, key(8000)));
    assert_true(affinity_set_max(a, 50000));
    for (uint64_t i = 20000; i < 70000; i++)
        affinity_bind(a, key(i), 2, 0, (int64_t)i, NULL);
    assert_int_equal(a->count, 50000);
    assert_int_equal(affinity_count(a, 1), 0);
    for (uint64_t i = 20000; i < 70000; i++)
        assert_non_null(affinity_find(a, key(i)));
    unmake(a, &p);
}

/* ---- when memory is refused */

static void starts_whole_or_not_at_all(void **state)
{
    (void)state;
    for (uint32_t served = 1;; served++) {
        struct purse p = {.refuse_after = served};
        struct affinity *a = mem_zalloc(1, sizeof *a);
        struct mem_source mem = mem_of(&p);
        bool ok = affinity_init(a, 100000, &mem);
        if (ok)
            affinity_fini(a);
        mem_free(a);
        assert_int_equal(p.bytes, 0);
        if (ok)
            break;
        assert_true(served < 10);
    }
}

static void without_memory_the_oldest_make_room(void **state)
{
    (void)state;
    for (uint32_t served = 4; served < 20; served++) {
        struct purse p = {.refuse_after = served};
        struct affinity *a = make(&p, 1000000);
        uint32_t evicted = 0;
        for (uint64_t i = 0; i < 60000; i++)
            evicted += affinity_bind(a, key(i), 1, 0, (int64_t)i, NULL) == AFFINITY_EVICTED;
        assert_int_equal(a->count + evicted, 60000);
        assert_true(a->count >= 4096);
        for (uint64_t i = 0; i < 60000; i++)
            assert_int_equal(affinity_find(a, key(i)) != NULL, i >= evicted);
        assert_false(affinity_set_max(a, 2000000));
        unmake(a, &p);
    }
}

/* ---- long random runs against a list in order of use */

enum { KEYS = 700, CEILING = 256 };

struct model {
    struct {
        uint64_t n;
        uint16_t endpoint;
        int64_t used_ms;
    } row[KEYS]; /* oldest first */
    int count;
};

static int model_find(const struct model *m, uint64_t n)
{
    for (int i = 0; i < m->count; i++)
        if (m->row[i].n == n)
            return i;
    return -1;
}

static void model_remove(struct model *m, int i)
{
    memmove(&m->row[i], &m->row[i + 1], (size_t)(m->count - i - 1) * sizeof m->row[0]);
    m->count--;
}

static void model_append(struct model *m, uint64_t n, uint16_t endpoint, int64_t now)
{
    m->row[m->count].n = n;
    m->row[m->count].endpoint = endpoint;
    m->row[m->count++].used_ms = now;
}

static void compare(const struct affinity *a, const struct model *m)
{
    uint32_t counts[8] = {0}, at = 0, met = 0;
    assert_int_equal(a->count, m->count);
    const struct affinity_binding *b = affinity_oldest(a);
    for (int i = 0; i < m->count; i++, b = affinity_newer(a, b)) {
        assert_non_null(b);
        assert_memory_equal(b->key, key(m->row[i].n), 16);
        assert_int_equal(b->endpoint, m->row[i].endpoint);
        assert_int_equal(b->used_ms, m->row[i].used_ms);
        assert_ptr_equal(affinity_find(a, key(m->row[i].n)), b);
        counts[b->endpoint]++;
    }
    assert_null(b);
    for (uint16_t e = 0; e < 8; e++)
        assert_int_equal(affinity_count(a, e), counts[e]);
    while ((b = affinity_walk(a, &at))) {
        assert_ptr_equal(affinity_find(a, b->key), b);
        met++;
    }
    assert_int_equal(met, m->count);
}

static void random_step(struct affinity *a, struct model *m, struct rnd *rnd, int64_t now)
{
    uint64_t n = rnd_next(rnd) % KEYS;
    uint16_t endpoint = (uint16_t)((rnd_next(rnd) >> 8) % 8);
    int i = model_find(m, n);
    switch ((rnd_next(rnd) >> 8) % 8) {
    case 0:
        assert_int_equal(affinity_unbind(a, key(n)), i >= 0);
        if (i >= 0)
            model_remove(m, i);
        break;
    case 1:
    case 2:
        assert_int_equal(affinity_use(a, key(n), now), i >= 0);
        if (i >= 0) {
            endpoint = m->row[i].endpoint;
            model_remove(m, i);
            model_append(m, n, endpoint, now);
        }
        break;
    case 3:
        if (rnd_next(rnd) % 64 == 0) {
            int64_t until = now - (int64_t)(rnd_next(rnd) % 1000);
            uint32_t swept = sweep(a, until, 50), expected = 0;
            for (; expected < 50 && m->count > 0 && m->row[0].used_ms <= until; expected++)
                model_remove(m, 0);
            assert_int_equal(swept, expected);
        }
        break;
    default: {
        enum affinity_did expected = i < 0                            ? AFFINITY_NEW
                                     : m->row[i].endpoint == endpoint ? AFFINITY_KEPT
                                                                      : AFFINITY_MOVED;
        struct affinity_binding gone;
        if (i >= 0) {
            model_remove(m, i);
        } else if (m->count == CEILING) {
            expected = AFFINITY_EVICTED;
        }
        assert_int_equal(affinity_bind(a, key(n), endpoint, 0, now, &gone), expected);
        if (expected == AFFINITY_EVICTED) {
            assert_memory_equal(gone.key, key(m->row[0].n), 16);
            model_remove(m, 0);
        }
        model_append(m, n, endpoint, now);
        break;
    }
    }
}

static void long_random_runs(void **state)
{
    (void)state;
    struct rnd rnd = {{41, 42}};
    static const uint32_t expected[] = {0, 1, CEILING / 2, UINT32_MAX};
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        struct purse p = {0};
        struct affinity *a = make(&p, CEILING);
        static struct model m;
        memset(&m, 0, sizeof m);
        affinity_expect(a, expected[i]);
        for (int step = 0; step < 60000; step++) {
            random_step(a, &m, &rnd, step);
            if (step % 50 == 0)
                compare(a, &m);
        }
        compare(a, &m);
        unmake(a, &p);
    }
}

/* The index is made before them, as far as memory and the ceiling let it, and not with each. */
static void what_is_expected_finds_its_index(void **state)
{
    (void)state;
    struct purse p = {0};
    struct affinity *a = make(&p, 20000);
    affinity_expect(a, 10000);
    assert_int_equal(a->buckets, 10000);
    for (uint64_t i = 0; i < 10000; i++)
        affinity_bind(a, key(i), 0, 0, 0, NULL);
    assert_int_equal(a->buckets, 10000);
    affinity_bind(a, key(10000), 0, 0, 0, NULL);
    assert_int_equal(a->buckets, 10001);
    affinity_expect(a, 20000); /* too late: it is in use */
    assert_int_equal(a->buckets, 10001);
    for (uint64_t i = 0; i <= 10000; i++)
        assert_non_null(affinity_find(a, key(i)));
    unmake(a, &p);
    a = make(&p, 5000);
    affinity_expect(a, 10000);
    assert_int_equal(a->buckets, 5000);
    unmake(a, &p);
}

/* What is there all along is met once by a walk in pieces, whatever comes and goes meanwhile. */
static void a_walk_survives_changes(void **state)
{
    (void)state;
    struct purse p = {0};
    struct affinity *a = make(&p, 100000);
    static uint8_t met[20000];
    memset(met, 0, sizeof met);
    for (uint64_t i = 0; i < 20000; i++)
        affinity_bind(a, key(i), (uint16_t)(i % 2), 0, 0, NULL);
    uint32_t at = 0;
    uint64_t turn = 0;
    for (const struct affinity_binding *b; (b = affinity_walk(a, &at)); turn++) {
        uint64_t n = ~b->key[1];
        if (n < 20000)
            met[n]++;
        affinity_unbind(a, key(turn % 20000 / 2 * 2 + 1)); /* odd ones go */
        affinity_bind(a, key(100000 + turn), 0, 0, 1, NULL);
        affinity_use(a, key(turn % 20000 / 2 * 2), 2); /* even ones stay */
    }
    for (int i = 0; i < 20000; i += 2)
        assert_int_equal(met[i], 1);
    unmake(a, &p);
}

/* ---- a million */

static void a_million_bindings_fit(void **state)
{
    (void)state;
    enum { MILLION = 1000000 };
    struct purse p = {0};
    struct affinity *a = make(&p, MILLION);
    uint32_t before = p.calls, most = 0;
    for (uint64_t i = 0; i < MILLION + 50000; i++) {
        affinity_bind(a, key(i), (uint16_t)(i % 5), 0, (int64_t)i, NULL);
        most = p.calls - before > most ? p.calls - before : most;
        before = p.calls;
    }
    assert_int_equal(a->count, MILLION);
    assert_true(most <= 2); /* no operation makes the table anew: a chunk and a segment at most */
    assert_true(p.peak + sizeof *a <= (size_t)64 << 20);
    assert_int_equal(a->buckets, MILLION);
    uint32_t longest = 0, at = 0;
    for (const struct affinity_binding *b; (b = affinity_walk(a, &at));) {
        uint32_t n = 1;
        for (uint32_t i = b->chain; i != AFFINITY_END; n++)
            i = a->chunks[i >> 12][i & 4095].chain;
        longest = n > longest ? n : longest;
    }
    assert_true(longest <= 16);
    assert_null(affinity_find(a, key(49999)));
    for (uint64_t i = 50000; i < MILLION + 50000; i += 7)
        assert_int_equal(affinity_find(a, key(i))->endpoint, i % 5);
    unmake(a, &p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binds_finds_moves_and_forgets),
        cmocka_unit_test(keys_are_compared_whole),
        cmocka_unit_test(the_least_recently_used_goes),
        cmocka_unit_test(sweeps_what_has_expired_in_pieces),
        cmocka_unit_test(a_new_ceiling),
        cmocka_unit_test(starts_whole_or_not_at_all),
        cmocka_unit_test(without_memory_the_oldest_make_room),
        cmocka_unit_test(long_random_runs),
        cmocka_unit_test(what_is_expected_finds_its_index),
        cmocka_unit_test(a_walk_survives_changes),
        cmocka_unit_test(a_million_bindings_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
