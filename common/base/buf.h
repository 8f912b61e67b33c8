/* buf: a growing byte buffer that is born with a ceiling. Bytes live in [p+off, p+off+len).
 * The owner calls buf_free; growth past the ceiling is refused, never an abort. */
#ifndef QCC_COMMON_BASE_BUF_H
#define QCC_COMMON_BASE_BUF_H

#include "common/base/base.h"
#include "common/base/str.h"

struct buf {
    char *p;
    size_t off, len, cap, max;
};

/* An empty buffer that allocates nothing yet and never holds more than max bytes. */
void buf_init(struct buf *b, size_t max);

/* Gives the memory back; the buffer is empty and may be used again with the same ceiling. */
void buf_free(struct buf *b);

/* Room for n more bytes behind the content. False: over the ceiling or out of memory. */
bool buf_reserve(struct buf *b, size_t n) MUST_CHECK;

/* Appends. False (and unchanged) when over the ceiling. */
bool buf_add(struct buf *b, const void *p, size_t n) MUST_CHECK;
bool buf_str(struct buf *b, struct str s) MUST_CHECK;
bool buf_u64(struct buf *b, uint64_t v) MUST_CHECK; /* in decimal */
bool buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3) MUST_CHECK;

static inline char *buf_data(const struct buf *b)
{
    return b->p + b->off;
}

static inline struct str buf_view(const struct buf *b)
{
    return str_make(b->p ? b->p + b->off : "", b->len);
}

/* Where new bytes may be written after buf_reserve, and how many fit. */
static inline char *buf_tail(const struct buf *b)
{
    return b->p + b->off + b->len;
}

static inline size_t buf_room(const struct buf *b)
{
    return b->cap - b->off - b->len;
}

/* n bytes were written at buf_tail. */
static inline void buf_added(struct buf *b, size_t n)
{
    b->len += n;
}

/* Drops n bytes from the front. */
static inline void buf_drop(struct buf *b, size_t n)
{
    b->off += n;
    b->len -= n;
    if (b->len == 0)
        b->off = 0;
}

#endif
