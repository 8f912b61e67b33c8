#include "common/ipc/wire.h"

#include "common/base/buf.h"

/* First bytes of the format (spec.md, "Formats"). */
enum {
    FIXMAP = 0x80,
    FIXARRAY = 0x90,
    FIXSTR = 0xa0,
    NIL = 0xc0,
    FALSE = 0xc2,
    TRUE = 0xc3,
    BIN8 = 0xc4, /* 0xc5, 0xc6: BIN16, BIN32 */
    U8 = 0xcc,   /* 0xcd to 0xcf: U16, U32, U64 */
    I8 = 0xd0,   /* 0xd1 to 0xd3: I16, I32, I64 */
    STR8 = 0xd9, /* 0xda, 0xdb: STR16, STR32 */
    ARRAY16 = 0xdc,
    ARRAY32 = 0xdd,
    MAP16 = 0xde,
    MAP32 = 0xdf,
    NEGFIX = 0xe0
};

void rd_init(struct rd *r, struct str s)
{
    r->p = (const uint8_t *)s.p;
    r->end = r->p + s.n;
}

static size_t left(const struct rd *r)
{
    return (size_t)(r->end - r->p);
}

/* The big-endian number of `width` bytes behind the first byte. */
static bool number(const struct rd *r, size_t width, uint64_t *v)
{
    if (left(r) < 1 + width)
        return false;
    uint64_t x = 0;
    for (size_t i = 1; i <= width; i++)
        x = x << 8 | r->p[i];
    *v = x;
    return true;
}

bool rd_u64(struct rd *r, uint64_t *v)
{
    if (left(r) == 0)
        return false;
    uint8_t c = *r->p;
    if (c < FIXMAP) {
        *v = c;
        r->p++;
        return true;
    }
    if (c >= U8 && c < U8 + 4) {
        size_t width = (size_t)1 << (c - U8);
        if (!number(r, width, v))
            return false;
        r->p += 1 + width;
        return true;
    }
    /* A writer may have used a signed form for a number that is not negative. */
    struct rd t = *r;
    int64_t i;
    if (c < I8 || c >= I8 + 4 || !rd_i64(&t, &i) || i < 0)
        return false;
    *v = (uint64_t)i;
    *r = t;
    return true;
}

bool rd_i64(struct rd *r, int64_t *v)
{
    if (left(r) == 0)
        return false;
    uint8_t c = *r->p;
    if (c >= NEGFIX) {
        *v = (int8_t)c;
        r->p++;
        return true;
    }
    if (c >= I8 && c < I8 + 4) {
        size_t width = (size_t)1 << (c - I8);
        uint64_t x;
        if (!number(r, width, &x))
            return false;
        unsigned shift = (unsigned)(64 - 8 * width);
        *v = (int64_t)(x << shift) >> shift; /* sign extended */
        r->p += 1 + width;
        return true;
    }
    struct rd t = *r;
    uint64_t u;
    if (!rd_u64(&t, &u) || u > INT64_MAX)
        return false;
    *v = (int64_t)u;
    *r = t;
    return true;
}

bool rd_flag(struct rd *r, bool *v)
{
    if (left(r) == 0 || (*r->p != FALSE && *r->p != TRUE))
        return false;
    *v = *r->p++ == TRUE;
    return true;
}

/* Content of n bytes behind a head of `head` bytes. */
static bool content(struct rd *r, size_t head, uint64_t n, size_t max, struct str *v)
{
    if (n > max || n > left(r) - head)
        return false;
    *v = str_make((const char *)r->p + head, (size_t)n);
    r->p += head + (size_t)n;
    return true;
}

/* str8..32 and bin8..32 differ in the first byte only. */
static bool counted(struct rd *r, uint8_t first, size_t max, struct str *v)
{
    uint64_t n;
    if (left(r) == 0 || *r->p < first || *r->p > first + 2)
        return false;
    size_t width = (size_t)1 << (*r->p - first);
    return number(r, width, &n) && content(r, 1 + width, n, max, v);
}

bool rd_str(struct rd *r, size_t max, struct str *v)
{
    if (left(r) && (*r->p & 0xe0) == FIXSTR)
        return content(r, 1, *r->p & 0x1f, max, v);
    return counted(r, STR8, max, v);
}

bool rd_bin(struct rd *r, size_t max, struct str *v)
{
    return counted(r, BIN8, max, v);
}

bool rd_nil(struct rd *r)
{
    if (left(r) == 0 || *r->p != NIL)
        return false;
    r->p++;
    return true;
}

/* Reads the head of an array or map. Each element takes `least` bytes or more: false when fewer
 * bytes are left than the announced elements need. */
static bool head(struct rd *r, uint8_t fix, uint8_t wide16, uint64_t max, uint64_t least,
                 uint32_t *n)
{
    if (left(r) == 0)
        return false;
    uint64_t count;
    size_t width = 0;
    if ((*r->p & 0xf0) == fix)
        count = *r->p & 0x0f;
    else if (*r->p == wide16 || *r->p == wide16 + 1)
        width = *r->p == wide16 ? 2 : 4;
    else
        return false;
    if (width && !number(r, width, &count))
        return false;
    if (count > max || count * least > left(r) - 1 - width)
        return false;
    *n = (uint32_t)count;
    r->p += 1 + width;
    return true;
}

bool rd_array(struct rd *r, uint32_t max, uint32_t *n)
{
    return head(r, FIXARRAY, ARRAY16, max, 1, n);
}

bool rd_map(struct rd *r, uint32_t max, uint32_t *n)
{
    return head(r, FIXMAP, MAP16, max, 2, n);
}

bool rd_end(const struct rd *r)
{
    return r->p == r->end;
}

int wire_write(void *buf, const char *p, size_t n)
{
    return buf_add(buf, p, n) ? 0 : -1;
}
