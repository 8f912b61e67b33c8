/* mem: allocation that aborts. For small objects of fixed size: a process that has no memory for
 * them ends and is replaced. Never for a size that a peer chose: such memory comes from buf, arena
 * or mem_try, which are bounded and can fail. */
#ifndef QCC_COMMON_BASE_MEM_H
#define QCC_COMMON_BASE_MEM_H

#include "common/base/base.h"

/* Zeroed memory for n elements; aborts when there is none. Freed with mem_free. */
void *mem_zalloc(size_t n, size_t size) MUST_CHECK;

/* n elements, content of `p` kept, new part not zeroed; aborts when there is none. */
void *mem_realloc(void *p, size_t n, size_t size) MUST_CHECK;

/* A copy of the string; aborts when there is no memory. NULL gives NULL. */
char *mem_strdup(const char *s) MUST_CHECK;

/* A NUL-terminated copy of n bytes; aborts when there is no memory. */
char *mem_strndup(const char *s, size_t n) MUST_CHECK;

/* Memory of a size that input chose, already compared with its bound; not zeroed. NULL when there
 * is none. */
void *mem_try(size_t size) MUST_CHECK;

/* p with a new size that input chose, already compared with its bound; the content is kept. NULL
 * when there is no memory: p stays as it was. */
void *mem_try_realloc(void *p, size_t size) MUST_CHECK;

/* Frees memory of any mem_ function. NULL: nothing is done. */
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
