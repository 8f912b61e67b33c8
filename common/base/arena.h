/* arena: memory of one request. Everything is freed at once; nothing singly. Has a ceiling. */
#ifndef QCC_COMMON_BASE_ARENA_H
#define QCC_COMMON_BASE_ARENA_H

#include "common/base/base.h"
#include "common/base/str.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    size_t used, max;           /* bytes handed out, and their ceiling */
};

/* An empty arena that allocates nothing yet. */
void arena_init(struct arena *a, size_t max);

/* Frees all; the arena may be used again. */
void arena_free(struct arena *a);

/* n bytes, aligned for any type, not zeroed. NULL when over the ceiling or out of memory. */
void *arena_alloc(struct arena *a, size_t n) MUST_CHECK;

/* A NUL-terminated copy of n bytes. NULL when over the ceiling or out of memory. */
char *arena_strndup(struct arena *a, const char *p, size_t n) MUST_CHECK;

/* Formatted text, NUL-terminated. NULL when over the ceiling or out of memory. */
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3) MUST_CHECK;

#endif
