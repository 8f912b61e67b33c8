/* slab: cells of mapped blocks, as they are in a release build: a sanitizer build takes each object
 * from malloc, so the file is compiled here without its mark, under names of its own. */
#undef __SANITIZE_ADDRESS__
#define slab_zalloc mapped_zalloc
#define slab_free mapped_free
#include "common/base/slab.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SIZE = 100, MANY = 3000 }; /* MANY cells need several blocks */

static struct slab slab = SLAB_INIT(slab, SIZE);
static unsigned char *v[MANY];

static unsigned blocks(void)
{
    unsigned n = 0;
    for (struct list *l = slab.some.next; l != &slab.some; l = l->next)
        n++;
    return n;
}

static void take(size_t i)
{
    static const unsigned char zeros[SIZE];
    v[i] = slab_zalloc(&slab);
    assert_int_equal((uintptr_t)v[i] % _Alignof(max_align_t), 0);
    assert_memory_equal(v[i], zeros, SIZE);
    memset(v[i], (int)(i % 251 + 1), SIZE);
}

static void give(size_t i)
{
    for (size_t at = 0; at < SIZE; at++)
        assert_int_equal(v[i][at], i % 251 + 1);
    slab_free(&slab, v[i]);
    v[i] = NULL;
}

/* Objects are zeroed and keep apart, in whatever order they come and go. */
static void random_order(void **state)
{
    (void)state;
    unsigned seed = 1;
    size_t live = 0;
    for (unsigned step = 0; step < 200000; step++) {
        seed = seed * 1103515245 + 12345;
        size_t i = (seed >> 16) % MANY;
        if (v[i]) {
            give(i);
            live--;
        } else {
            take(i);
            live++;
        }
    }
    assert_true(live > MANY / 4);
    for (size_t i = 0; i < MANY; i++)
        if (v[i])
            give(i);
    /* one empty block is kept for the next object */
    assert_int_equal(slab.empty, 1);
    assert_int_equal(blocks(), 1);
}

/* What was never used is not touched: a first object costs the first pages of its block. */
static void carved_as_needed(void **state)
{
    (void)state;
    for (size_t i = 0; i < MANY; i++)
        take(i);
    struct block *last = (void *)((uintptr_t)v[MANY - 1] & ~((uintptr_t)BLOCK - 1));
    assert_in_range(last->carved, 1, last->cells - 1);
    const unsigned char *rest =
        (unsigned char *)last + FIRST_CELL + last->carved * cell_size(&slab);
    for (const unsigned char *p = rest; p < (unsigned char *)last + BLOCK; p++)
        assert_int_equal(*p, 0);
    for (size_t i = MANY; i-- > 0;)
        give(i);
    assert_int_equal(blocks(), 1);
}

static void nothing(void **state)
{
    (void)state;
    slab_free(&slab, NULL);
    assert_in_range(blocks(), 0, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing), cmocka_unit_test(random_order),
                                       cmocka_unit_test(carved_as_needed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
