#include "worker/json/json_piece.h"

#include "worker/json/json_find.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static const struct str replacement = STR_LIT("\xef\xbf\xbd"); /* U+FFFD */

static bool is_high(unsigned v)
{
    return v >= 0xd800 && v <= 0xdbff;
}

static bool is_low(unsigned v)
{
    return v >= 0xdc00 && v <= 0xdfff;
}

/* ---- blanks */

/* Whether the character shows nothing: White_Space of Unicode, controls, those of no width. */
static bool is_blank(unsigned v)
{
    return v <= 0x20 || v == 0x85 || v == 0xa0 || v == 0x1680 || (v >= 0x2000 && v <= 0x200d) ||
           v == 0x2028 || v == 0x2029 || v == 0x202f || v == 0x205f || v == 0x2060 || v == 0x3000 ||
           v == 0xfeff;
}

/* The character at the front of s, in *len bytes of source text; one that is malformed counts as
 * U+FFFD. */
static unsigned char_at(struct str s, size_t *len)
{
    unsigned char c = (unsigned char)s.p[0];
    *len = 1;
    if (c == '\\') {
        *len = min_size(2, s.n);
        if (s.n >= 6 && s.p[1] == 'u') {
            int v = json_hex4(s.p + 2);
            *len = v < 0 ? 2 : 6;
            return v < 0 ? 0xfffd : (unsigned)v;
        }
        return s.n > 1 && memchr("bfnrt", s.p[1], 5) ? ' ' : '\\';
    }
    if (c < 0x80)
        return c;
    size_t n = str_utf8_len(s);
    *len = n ? n : 1;
    if (n == 2)
        return (c & 0x1fu) << 6 | ((unsigned char)s.p[1] & 0x3fu);
    if (n == 3)
        return (c & 0x0fu) << 12 | ((unsigned char)s.p[1] & 0x3fu) << 6 |
               ((unsigned char)s.p[2] & 0x3fu);
    return 0xfffd;
}

bool json_piece_visible(struct str raw)
{
    while (raw.n) {
        size_t len;
        if (!is_blank(char_at(raw, &len)))
            return true;
        raw = str_make(raw.p + len, raw.n - len);
    }
    return false;
}

/* ---- pieces */

/* The bytes at the front that stand for themselves: printable ASCII but the backslash. */
static size_t plain_run(const char *p, size_t n)
{
    size_t i = 0;
#if defined(__SSE2__)
    const __m128i low = _mm_set1_epi8(0x1f), slash = _mm_set1_epi8('\\');
    for (; n - i >= 16; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        /* signed: bytes from 0x80 on are below 0x1f too */
        unsigned good = (unsigned)_mm_movemask_epi8(_mm_cmpgt_epi8(v, low));
        unsigned bad = (~good & 0xffffu) | (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, slash));
        if (bad)
            return i + (size_t)__builtin_ctz(bad);
    }
#endif
    while (i < n && (signed char)p[i] > 0x1f && p[i] != '\\')
        i++;
    return i;
}

static size_t utf8_put(unsigned v, char out[static 4])
{
    size_t n = v < 0x80 ? 1 : v < 0x800 ? 2 : v < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--, v >>= 6)
        out[i] = (char)(0x80 | (v & 0x3f));
    out[0] = (char)(lead[n] | v);
    return n;
}

/* Appends a character that an escape \uXXXX stands for, which is no half of a pair. */
static bool put_char(unsigned v, const char *source, bool decode, struct buf *out)
{
    if (!decode)
        return buf_add(out, source, 6);
    char c[4];
    return buf_add(out, c, utf8_put(v, c));
}

/* Appends the pair, of which the low half has just come. */
static bool put_pair(unsigned high, unsigned low, bool decode, struct buf *out)
{
    if (decode) {
        char c[4];
        return buf_add(out, c, utf8_put(0x10000u + ((high - 0xd800) << 10) + (low - 0xdc00), c));
    }
    char text[12] = {'\\', 'u', 0, 0, 0, 0, '\\', 'u'};
    str_put_hex(text + 2, high, 4);
    str_put_hex(text + 8, low, 4);
    return buf_add(out, text, sizeof text);
}

/* Handles \uXXXX with the value v at `source`. */
static bool put_unicode(unsigned v, const char *source, bool decode, uint16_t *half,
                        struct buf *out)
{
    if (*half && is_low(v)) {
        unsigned high = *half;
        *half = 0;
        return put_pair(high, v, decode, out);
    }
    if (!json_piece_end(half, out))
        return false;
    if (is_high(v)) {
        *half = (uint16_t)v;
        return true;
    }
    return is_low(v) ? buf_str(out, replacement) : put_char(v, source, decode, out);
}

/* Handles the backslash at the front of *s and cuts what it escapes off. An escape that JSON does
 * not have stands for its character. */
static bool put_escape(struct str *s, bool decode, uint16_t *half, struct buf *out)
{
    static const char pairs[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    int v = s->n >= 6 && s->p[1] == 'u' ? json_hex4(s->p + 2) : -1;
    if (v >= 0) {
        const char *source = s->p;
        *s = str_make(s->p + 6, s->n - 6);
        return put_unicode((unsigned)v, source, decode, half, out);
    }
    if (!json_piece_end(half, out))
        return false;
    for (size_t i = 0; s->n >= 2 && i + 1 < sizeof pairs; i += 2) {
        if (pairs[i] != s->p[1])
            continue;
        bool ok = decode ? buf_add(out, pairs + i + 1, 1) : buf_add(out, s->p, 2);
        *s = str_make(s->p + 2, s->n - 2);
        return ok;
    }
    *s = str_make(s->p + 1, s->n - 1);
    return true;
}

/* Handles the byte at the front of *s that is neither plain nor a backslash. */
static bool put_odd(struct str *s, bool decode, struct buf *out)
{
    size_t len = str_utf8_len(*s);
    struct str c = len ? str_make(s->p, len) : replacement;
    bool ok = decode || len != 1 ? buf_str(out, c) : json_escape(c, out);
    *s = str_make(s->p + (len ? len : 1), s->n - (len ? len : 1));
    return ok;
}

static bool piece(struct str s, bool decode, uint16_t *half, struct buf *out)
{
    while (s.n) {
        size_t n = plain_run(s.p, s.n);
        if (n) {
            if ((*half && !json_piece_end(half, out)) || !buf_add(out, s.p, n))
                return false;
            s = str_make(s.p + n, s.n - n);
            continue;
        }
        if (s.p[0] == '\\') {
            if (!put_escape(&s, decode, half, out))
                return false;
        } else if (!json_piece_end(half, out) || !put_odd(&s, decode, out)) {
            return false;
        }
    }
    return true;
}

bool json_piece_clean(struct str raw, uint16_t *half, struct buf *out)
{
    return piece(raw, false, half, out);
}

bool json_piece_decode(struct str raw, uint16_t *half, struct buf *out)
{
    return piece(raw, true, half, out);
}

bool json_piece_end(uint16_t *half, struct buf *out)
{
    if (!*half)
        return true;
    *half = 0;
    return buf_str(out, replacement);
}
