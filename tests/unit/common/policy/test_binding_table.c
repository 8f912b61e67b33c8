/* The table with endpoints by their ids: numbers are given, found again, and taken over only from
 * endpoints that no binding speaks of. */
#include "common/policy/binding_table.h"

#include "common/base/mem.h"
#include "common/secret/rnd.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void *take(void *ctx, size_t size)
{
    int *left = ctx;
    void *p = left && (*left)-- <= 0 ? NULL : mem_zalloc(1, size);
    if (p)
        memset(p, 0xa5, size); /* nobody may count on zeros */
    return p;
}

static void give(void *ctx, void *p)
{
    (void)ctx;
    mem_free(p);
}

static struct binding_table *make(uint32_t max)
{
    struct mem_source mem = {take, give, NULL};
    struct binding_table *b = NULL;
    assert_true(binding_table_ready(&b, max, &mem));
    return b;
}

static bool put(struct binding_table *b, uint64_t key, uint32_t endpoint, int64_t now)
{
    enum affinity_did did;
    return binding_table_bind(b, (uint64_t[]){key, ~key}, endpoint, 0, now, &did, NULL);
}

static uint32_t at(const struct binding_table *b, uint64_t key)
{
    const struct affinity_binding *x = affinity_find(&b->table, (uint64_t[]){key, ~key});
    return x ? binding_table_endpoint(b, x) : 0;
}

static void ids_go_in_and_come_out(void **state)
{
    (void)state;
    struct binding_table *b = make(100000);
    for (uint32_t i = 0; i < AFFINITY_ENDPOINTS; i++)
        assert_true(put(b, i, i * 0x01000193u + 7, i));
    for (uint32_t i = 0; i < AFFINITY_ENDPOINTS; i++) {
        assert_int_equal(at(b, i), i * 0x01000193u + 7);
        assert_int_equal(binding_table_count(b, i * 0x01000193u + 7), 1);
    }
    assert_int_equal(binding_table_count(b, 12345), 0);
    binding_table_drop(&b);
}

static void a_number_without_bindings_is_taken_over(void **state)
{
    (void)state;
    struct binding_table *b = make(100000);
    for (uint32_t i = 0; i < AFFINITY_ENDPOINTS; i++)
        assert_true(put(b, i, 1000 + i, i));
    assert_false(put(b, 99999, 999, 5000)); /* all have bindings */
    assert_int_equal(at(b, 99999), 0);
    assert_false(binding_table_unbind(b, (uint64_t[]){77, ~77ull}, 5));
    assert_true(binding_table_unbind(b, (uint64_t[]){77, ~77ull}, 1077));
    assert_true(put(b, 99999, 999, 5000));
    assert_int_equal(at(b, 99999), 999);
    assert_int_equal(binding_table_count(b, 1077), 0);
    for (uint32_t i = 0; i < AFFINITY_ENDPOINTS; i++)
        assert_int_equal(at(b, i), i == 77 ? 0 : 1000 + i);
    binding_table_drop(&b);
}

/* Endpoints come and go for ever, as keys are changed: against a plain table. */
static void agrees_with_a_plain_table(void **state)
{
    (void)state;
    enum { KEYS = 6000 };
    struct binding_table *b = make(KEYS);
    uint32_t *plain = mem_zalloc(KEYS, sizeof *plain);
    struct rnd r = {{1, 2}};
    for (int64_t t = 0; t < 120000; t++) {
        uint64_t key = rnd_next(&r) % KEYS;
        uint32_t endpoint = (uint32_t)(t / 10) + (uint32_t)(rnd_next(&r) % 50) + 1;
        if (rnd_next(&r) % 3 && put(b, key, endpoint, t))
            plain[key] = endpoint;
        else if (plain[key] && binding_table_unbind(b, (uint64_t[]){key, ~key}, plain[key]))
            plain[key] = 0;
        key = rnd_next(&r) % KEYS;
        assert_int_equal(at(b, key), plain[key]);
    }
    for (uint64_t key = 0; key < KEYS; key++)
        assert_int_equal(at(b, key), plain[key]);
    mem_free(plain);
    binding_table_drop(&b);
}

static void ids_are_eight_hex_digits(void **state)
{
    (void)state;
    uint32_t id = 1;
    assert_true(binding_table_id(STR("00000000"), &id) && id == 0);
    assert_true(binding_table_id(STR("ffffFFFF"), &id) && id == UINT32_MAX);
    assert_true(binding_table_id(STR("0a1b2c3d"), &id) && id == 0x0a1b2c3d);
    assert_false(binding_table_id(STR("0a1b2c3"), &id));
    assert_false(binding_table_id(STR("0a1b2c3d4"), &id));
    assert_false(binding_table_id(STR("0a1b2c3g"), &id));
    assert_false(binding_table_id(STR(""), &id));
}

static void frames_hold_whole_records(void **state)
{
    (void)state;
    static char blob[(BINDING_RECORDS + 1) * sizeof(struct binding_table_record)];
    struct binding_table_record r = {
        .key = {1, 2}, .used_ms = -5, .endpoint = 9, .op = BINDING_BOUND};
    size_t n;
    memcpy(blob + sizeof r, &r, sizeof r);
    assert_true(binding_table_records(str_make(blob, 2 * sizeof r), &n) && n == 2);
    struct binding_table_record got = binding_table_record(str_make(blob, 2 * sizeof r), 1);
    assert_memory_equal(&got, &r, sizeof r);
    assert_true(binding_table_records(str_make(blob, 0), &n) && n == 0);
    assert_false(binding_table_records(str_make(blob, sizeof r + 1), &n));
    assert_true(binding_table_records(str_make(blob, sizeof blob - sizeof r), &n));
    assert_false(binding_table_records(str_make(blob, sizeof blob), &n));
}

static void without_memory_there_is_no_table(void **state)
{
    (void)state;
    for (int calls = 0; calls < 6; calls++) {
        int left = calls;
        struct mem_source mem = {take, give, &left};
        struct binding_table *b = NULL;
        bool ok = binding_table_ready(&b, 1000, &mem);
        assert_int_equal(ok, b != NULL);
        assert_true(ok || calls < 5);
        binding_table_drop(&b);
        assert_null(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_go_in_and_come_out),
        cmocka_unit_test(a_number_without_bindings_is_taken_over),
        cmocka_unit_test(agrees_with_a_plain_table),
        cmocka_unit_test(ids_are_eight_hex_digits),
        cmocka_unit_test(frames_hold_whole_records),
        cmocka_unit_test(without_memory_there_is_no_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
