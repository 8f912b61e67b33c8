#include "common/base/slab.h"

#include "common/base/log.h"
#include "common/base/mem.h"

#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)

void *slab_zalloc(struct slab *s)
{
    return mem_zalloc(1, s->size);
}

void slab_free(struct slab *s, void *p)
{
    (void)s;
    mem_free(p);
}

#else

/* Blocks are aligned to their size, so that a cell's address tells its block. They are mapped: the
 * heap would keep the pages of one that is freed. */
enum { BLOCK = 64 << 10 };

struct cell {
    struct cell *next;
};

struct block {
    struct list node;  /* in slab.some, unless all cells are used */
    struct cell *free; /* cells that were given back */
    /* Of all `cells`, the first `carved` have been handed out once: the pages behind them are
     * untouched, so a slab costs what it has needed and not whole blocks. */
    unsigned used, carved, cells;
};

static size_t cell_size(const struct slab *s)
{
    size_t a = _Alignof(max_align_t);
    return (s->size + a - 1) & ~(a - 1);
}

enum { FIRST_CELL = (sizeof(struct block) + 63) & ~(size_t)63 };

/* BLOCK zeroed bytes, aligned to BLOCK. */
static void *map_block(void)
{
    size_t size = 2 * (size_t)BLOCK;
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        die("out of memory");
    size_t before = -(uintptr_t)p & (BLOCK - 1), after = size - BLOCK - before;
    if (before)
        (void)munmap(p, before);
    if (after)
        (void)munmap(p + before + BLOCK, after);
    return p + before;
}

static struct block *new_block(struct slab *s)
{
    struct block *b = map_block();
    b->cells = (unsigned)((BLOCK - FIRST_CELL) / cell_size(s));
    list_push_front(&s->some, &b->node);
    s->empty++;
    return b;
}

static bool is_full(const struct block *b)
{
    return !b->free && b->carved == b->cells;
}

void *slab_zalloc(struct slab *s)
{
    struct block *b =
        list_empty(&s->some) ? new_block(s) : LIST_ENTRY(s->some.next, struct block, node);
    struct cell *c = b->free;
    if (c)
        b->free = c->next;
    else
        c = (void *)((char *)b + FIRST_CELL + b->carved++ * cell_size(s));
    if (b->used++ == 0)
        s->empty--;
    if (is_full(b))
        list_remove(&b->node);
    return memset(c, 0, s->size);
}

void slab_free(struct slab *s, void *p)
{
    if (!p)
        return;
    struct block *b = (void *)((uintptr_t)p & ~((uintptr_t)BLOCK - 1));
    struct cell *c = p;
    if (is_full(b))
        list_push_front(&s->some, &b->node);
    c->next = b->free;
    b->free = c;
    if (--b->used)
        return;
    if (s->empty > 0) {
        list_remove(&b->node);
        (void)munmap(b, BLOCK);
        return;
    }
    s->empty++;
}

#endif
