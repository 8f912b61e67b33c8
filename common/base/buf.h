/* buf: a growing byte buffer with a ceiling, below 4 GiB. Its bytes are [p+off, p+off+len).
 * The owner calls buf_free; growth past the ceiling is refused, never an abort. */
#ifndef QCC_COMMON_BASE_BUF_H
#define QCC_COMMON_BASE_BUF_H

#include "common/base/base.h"
#include "common/base/str.h"

struct buf {
    char *p;
    uint32_t off, len, cap, max;
};

/* An empty buffer that allocates nothing yet and never holds more than max bytes. */
void buf_init(struct buf *b, size_t max);

/* Another ceiling; what the buffer holds stays. */
void buf_bound(struct buf *b, size_t max);

/* Gives the memory back; the buffer is empty and may be used again with the same ceiling. */
void buf_free(struct buf *b);

/* Room for n more bytes behind the content. False: over the ceiling or out of memory. */
bool buf_reserve(struct buf *b, size_t n) MUST_CHECK;

/* buf_add appends n bytes, buf_str the bytes of s, buf_u64 the number v in decimal. False when over
 * the ceiling or out of memory; the buffer is then unchanged. */
bool buf_add(struct buf *b, const void *p, size_t n) MUST_CHECK;
bool buf_str(struct buf *b, struct str s) MUST_CHECK;
bool buf_u64(struct buf *b, uint64_t v) MUST_CHECK;
bool buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3) MUST_CHECK;

/* The first byte of the content. Valid until the buffer is changed. */
static inline char *buf_data(const struct buf *b)
{
    return b->p + b->off;
}

/* The content, borrowed. Valid until the buffer is changed. */
static inline struct str buf_view(const struct buf *b)
{
    return str_make(b->p ? b->p + b->off : "", b->len);
}

/* Where new bytes may be written after buf_reserve; buf_room says how many fit. */
static inline char *buf_tail(const struct buf *b)
{
    return b->p + b->off + b->len;
}

/* Bytes that fit at buf_tail without another allocation. */
static inline size_t buf_room(const struct buf *b)
{
    return b->cap - b->off - b->len;
}

/* Counts n bytes, which the caller has written at buf_tail, as content. */
static inline void buf_added(struct buf *b, size_t n)
{
    b->len += (uint32_t)n;
}

/* Shortens the content to its first n bytes. */
static inline void buf_cut(struct buf *b, size_t n)
{
    b->len = (uint32_t)n;
}

/* Drops n bytes from the front. */
static inline void buf_drop(struct buf *b, size_t n)
{
    b->off += (uint32_t)n;
    b->len -= (uint32_t)n;
    if (b->len == 0)
        b->off = 0;
}

#endif
