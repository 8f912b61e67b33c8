/* price_wire: what is packed is unpacked the same; anything else is refused. */
#include "common/ipc/ipc.h"
#include "common/price/price_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static void put(struct price_table *t, const char *name, size_t n)
{
    struct price_row rows[PRICE_ROWS_MAX] = {0};
    struct price_model m = {.rows = rows, .n = n, .override = n & 1};
    for (size_t i = 0; i < n; i++) {
        rows[i] = (struct price_row){.from_s = i ? (int64_t)i : INT64_MIN,
                                     .base = {1, PRICE_NONE, 3, PRICE_TOKEN_MAX, i},
                                     .above_class = i % 4,
                                     .fast = PRICE_NONE,
                                     .batch = PRICE_TIMES_MAX,
                                     .geo_us = i,
                                     .web = PRICE_WEB_MAX};
        for (size_t k = 0; k < PRICE_TOKENS; k++)
            rows[i].above[k] = k & 1 ? PRICE_NONE : PRICE_TOKEN_MAX;
    }
    snprintf(m.name, sizeof m.name, "%s", name);
    memset(m.source, 's', PRICE_SOURCE_MAX);
    assert_true(price_table_put(t, &m));
}

static void same(const struct price_table *a, const struct price_table *b)
{
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->rows, b->rows);
    for (size_t i = 0; i < a->n; i++) {
        assert_string_equal(a->v[i]->name, b->v[i]->name);
        assert_string_equal(a->v[i]->source, b->v[i]->source);
        assert_int_equal(a->v[i]->override, b->v[i]->override);
        assert_int_equal(a->v[i]->n, b->v[i]->n);
        assert_memory_equal(a->v[i]->rows, b->v[i]->rows, a->v[i]->n * sizeof *a->v[i]->rows);
    }
}

static void there_and_back(void **state)
{
    (void)state;
    struct price_table t = {0}, back;
    struct buf b;
    buf_init(&b, IPC_PRICES_MAX);
    assert_true(price_pack(&t, &b));
    assert_true(price_unpack(buf_view(&b), &back));
    same(&t, &back);
    buf_free(&b);
    put(&t, "claude-a", 1);
    put(&t, "claude-b", 2);
    put(&t, "claude-c", PRICE_ROWS_MAX);
    assert_true(price_pack(&t, &b));
    assert_true(price_unpack(buf_view(&b), &back));
    same(&t, &back);
    price_table_free(&back);
    price_table_free(&t);
    buf_free(&b);
}

static void the_largest_table_fits(void **state)
{
    (void)state;
    struct price_table t = {0}, back;
    char name[MODEL_NAME_MAX + 1];
    struct buf b;
    buf_init(&b, IPC_PRICES_MAX);
    for (unsigned i = 0; i < PRICE_MODELS_MAX; i++) {
        memset(name, 'm', sizeof name);
        snprintf(name + MODEL_NAME_MAX - 4, 5, "%04u", i);
        put(&t, name, PRICE_ROWS_TOTAL / PRICE_MODELS_MAX);
    }
    assert_true(price_pack(&t, &b));
    assert_true(price_unpack(buf_view(&b), &back));
    same(&t, &back);
    price_table_free(&back);
    price_table_free(&t);
    buf_free(&b);
}

static void every_cut_and_every_other_byte(void **state)
{
    (void)state;
    struct price_table t = {0}, back;
    struct buf b;
    buf_init(&b, IPC_PRICES_MAX);
    put(&t, "claude-a", 1);
    put(&t, "claude-b", 3);
    assert_true(price_pack(&t, &b));
    char *p = buf_data(&b);
    for (size_t n = 0; n < b.len; n++) {
        char *cut = malloc(n + 1);
        memcpy(cut, p, n);
        assert_false(price_unpack(str_make(cut, n), &back));
        assert_int_equal(back.n, 0);
        free(cut);
    }
    for (size_t i = 0; i < b.len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            p[i] ^= (char)(1 << bit);
            if (price_unpack(buf_view(&b), &back))
                price_table_free(&back);
            p[i] ^= (char)(1 << bit);
        }
    }
    assert_true(buf_add(&b, "", 1));
    assert_false(price_unpack(buf_view(&b), &back));
    price_table_free(&t);
    buf_free(&b);
}

static void a_model_comes_once(void **state)
{
    (void)state;
    struct price_table t = {0}, back;
    struct buf b;
    buf_init(&b, IPC_PRICES_MAX);
    put(&t, "claude-a", 1);
    put(&t, "claude-b", 1);
    assert_true(price_pack(&t, &b));
    char *second = memmem(buf_data(&b), b.len, "claude-b", 8);
    second[7] = 'a';
    assert_false(price_unpack(buf_view(&b), &back));
    price_table_free(&t);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(the_largest_table_fits),
        cmocka_unit_test(every_cut_and_every_other_byte),
        cmocka_unit_test(a_model_comes_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
