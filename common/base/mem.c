#include "common/base/mem.h"

#include "common/base/log.h"

#include <stdlib.h>
#include <string.h>

void *mem_zalloc(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (!p && n && size)
        die("out of memory (%zu x %zu bytes)", n, size);
    return p;
}

void *mem_realloc(void *p, size_t n, size_t size)
{
    void *q = reallocarray(p, n, size);
    if (!q && n && size)
        die("out of memory (%zu x %zu bytes)", n, size);
    return q;
}

char *mem_strdup(const char *s)
{
    return s ? mem_strndup(s, strlen(s)) : NULL;
}

char *mem_strndup(const char *s, size_t n)
{
    char *p = mem_zalloc(n + 1, 1);
    if (n)
        memcpy(p, s, n);
    return p;
}

void *mem_try(size_t size)
{
    return malloc(size);
}

void *mem_try_realloc(void *p, size_t size)
{
    return realloc(p, size);
}

void mem_free(void *p)
{
    free(p);
}

static void *heap_alloc(void *ctx, size_t size)
{
    (void)ctx;
    return mem_try(size);
}

static void heap_release(void *ctx, void *p)
{
    (void)ctx;
    mem_free(p);
}

const struct mem_source mem_heap = {heap_alloc, heap_release, NULL};
