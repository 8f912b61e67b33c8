/* mem: allocation that aborts. For small, fixed-size objects of our own, where the only sane
 * answer to exhaustion is to die and be replaced. Never for a size that a peer chose: such
 * memory comes from buf or arena, which have a ceiling and can say no. */
#ifndef QCC_BASE_MEM_H
#define QCC_BASE_MEM_H

#include "common/base/base.h"

/* Zeroed memory for n elements; aborts when there is none. Freed with mem_free. */
void *mem_zalloc(size_t n, size_t size) MUST_CHECK;

/* n elements, content of `p` kept, new part not zeroed; aborts when there is none. */
void *mem_realloc(void *p, size_t n, size_t size) MUST_CHECK;

/* A copy of the string; aborts when there is no memory. NULL gives NULL. */
char *mem_strdup(const char *s) MUST_CHECK;

/* A NUL-terminated copy of n bytes. */
char *mem_strndup(const char *s, size_t n) MUST_CHECK;

/* May fail: memory of a size that input chose, already compared with its bound. */
void *mem_try(size_t size) MUST_CHECK;

/* Likewise, with the content of p kept; on failure p stays as it was. */
void *mem_try_realloc(void *p, size_t size) MUST_CHECK;

/* NULL is fine. */
void mem_free(void *p);

/* Where a table takes its memory from. alloc may return NULL; it need not be zeroed. */
struct mem_source {
    void *(*alloc)(void *ctx, size_t size);
    void (*release)(void *ctx, void *p);
    void *ctx;
};

/* mem_try and mem_free. */
extern const struct mem_source mem_heap;

#endif
