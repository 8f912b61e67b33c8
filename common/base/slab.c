#include "common/base/slab.h"

#include "common/base/log.h"
#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

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

/* Blocks are aligned to their size, so that a cell's address tells its block. */
enum { BLOCK = 64 << 10 };

struct cell {
    struct cell *next;
};

struct block {
    struct list node; /* in slab.some, unless all cells are used */
    struct cell *free;
    unsigned used, cells;
};

static size_t cell_size(const struct slab *s)
{
    size_t a = _Alignof(max_align_t);
    return (s->size + a - 1) & ~(a - 1);
}

static struct block *new_block(struct slab *s)
{
    struct block *b = aligned_alloc(BLOCK, BLOCK);
    if (!b)
        die("out of memory");
    size_t size = cell_size(s), at = (sizeof *b + 63) & ~(size_t)63;
    *b = (struct block){.cells = (unsigned)((BLOCK - at) / size)};
    for (unsigned i = b->cells; i > 0; i--) {
        struct cell *c = (void *)((char *)b + at + (i - 1) * size);
        c->next = b->free;
        b->free = c;
    }
    list_push_front(&s->some, &b->node);
    s->empty++;
    return b;
}

void *slab_zalloc(struct slab *s)
{
    struct block *b =
        list_empty(&s->some) ? new_block(s) : LIST_ENTRY(s->some.next, struct block, node);
    struct cell *c = b->free;
    b->free = c->next;
    if (b->used++ == 0)
        s->empty--;
    if (!b->free)
        list_remove(&b->node);
    return memset(c, 0, s->size);
}

void slab_free(struct slab *s, void *p)
{
    if (!p)
        return;
    struct block *b = (void *)((uintptr_t)p & ~((uintptr_t)BLOCK - 1));
    struct cell *c = p;
    if (!b->free)
        list_push_front(&s->some, &b->node);
    c->next = b->free;
    b->free = c;
    if (--b->used)
        return;
    if (s->empty > 0) {
        list_remove(&b->node);
        free(b);
        return;
    }
    s->empty++;
}

#endif
