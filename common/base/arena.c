#include "common/base/arena.h"

#include "common/base/mem.h"
#include "common/base/slab.h"

#include <stdarg.h>
#include <stdio.h>

/* Bytes of one block: the notes of a usual request that is answered by its first endpoint fit; a
 * larger allocation gets a block of its own. */
enum { BLOCK = 512 - 32 };

struct arena_block {
    struct arena_block *next;
    size_t used, cap;
    _Alignas(max_align_t) char data[];
};

static struct slab blocks = SLAB_INIT(blocks, sizeof(struct arena_block) + BLOCK);

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max};
}

void arena_free(struct arena *a)
{
    struct arena_block *b = a->blocks;
    while (b) {
        struct arena_block *next = b->next;
        if (b->cap == BLOCK)
            slab_free(&blocks, b);
        else
            mem_free(b);
        b = next;
    }
    arena_init(a, a->max);
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (n > a->max - a->used)
        return NULL;
    n = (n + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
    if (n > a->max - a->used)
        return NULL;
    struct arena_block *b = a->blocks;
    if (!b || b->cap - b->used < n) {
        size_t cap = max_size(n, BLOCK);
        struct arena_block *nb = cap == BLOCK ? slab_zalloc(&blocks) : mem_try(sizeof *nb + cap);
        if (!nb)
            return NULL;
        nb->used = 0;
        nb->cap = cap;
        if (b && n > BLOCK / 2) { /* keep the half-filled block in front for small allocations */
            nb->next = b->next;
            b->next = nb;
        } else {
            nb->next = b;
            a->blocks = nb;
        }
        b = nb;
    }
    void *p = b->data + b->used;
    b->used += n;
    a->used += n;
    return p;
}

char *arena_strndup(struct arena *a, const char *p, size_t n)
{
    char *s = arena_alloc(a, n + 1);
    if (!s)
        return NULL;
    if (n)
        memcpy(s, p, n);
    s[n] = '\0';
    return s;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return NULL;
    char *s = arena_alloc(a, (size_t)n + 1);
    if (!s)
        return NULL;
    va_start(ap, fmt);
    vsnprintf(s, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return s;
}
