#include "common/base/buf.h"

#include "common/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){0};
    buf_bound(b, max);
}

void buf_bound(struct buf *b, size_t max)
{
    b->max = (uint32_t)min_size(max, UINT32_MAX / 2);
}

void buf_free(struct buf *b)
{
    mem_free(b->p);
    buf_init(b, b->max);
}

bool buf_reserve(struct buf *b, size_t n)
{
    if (n > b->max || b->len > b->max - n)
        return false;
    if (b->cap - b->off - b->len >= n)
        return true;
    size_t need = (size_t)b->len + n;
    if (b->off && b->cap >= need && b->off >= b->cap / 2) {
        memmove(b->p, b->p + b->off, b->len);
        b->off = 0;
        return true;
    }
    size_t cap = b->cap ? b->cap : 256;
    while (cap < need)
        cap *= 2;
    if (cap > b->max)
        cap = max_size(b->max, need);
    if (b->off) {
        memmove(b->p, b->p + b->off, b->len);
        b->off = 0;
        if (b->cap >= need)
            return true;
    }
    char *p = realloc(b->p, cap);
    if (!p)
        return false;
    b->p = p;
    b->cap = (uint32_t)cap;
    return true;
}

bool buf_add(struct buf *b, const void *p, size_t n)
{
    if (n == 0)
        return true;
    if (!buf_reserve(b, n))
        return false;
    memcpy(buf_tail(b), p, n);
    b->len += (uint32_t)n;
    return true;
}

bool buf_str(struct buf *b, struct str s)
{
    return buf_add(b, s.p, s.n);
}

bool buf_u64(struct buf *b, uint64_t v)
{
    char text[20];
    return buf_add(b, text, str_put_u64(text, v));
}

bool buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !buf_reserve(b, (size_t)n + 1))
        return false;
    va_start(ap, fmt);
    vsnprintf(buf_tail(b), (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (uint32_t)n;
    return true;
}
