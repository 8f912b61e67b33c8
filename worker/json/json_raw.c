#include "worker/json/json_raw.h"

#include "worker/json/json_find.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static const struct str replacement = STR_LIT("\xef\xbf\xbd"); /* U+FFFD */

/* Bytes at the front that are ASCII without backslash, and with `quoting` none that a string must
 * escape. */
static size_t plain_run(struct str s, bool quoting)
{
    size_t i = 0;
#if defined(__SSE2__)
    const __m128i slash = _mm_set1_epi8('\\'), quote = _mm_set1_epi8('"'),
                  control = _mm_set1_epi8(0x1f);
    for (; s.n - i >= 16; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(s.p + i));
        __m128i stop = _mm_or_si128(_mm_cmpeq_epi8(v, slash), v); /* top bit: beyond ASCII */
        if (quoting)
            stop = _mm_or_si128(stop, _mm_or_si128(_mm_cmpeq_epi8(v, quote),
                                                   _mm_cmpeq_epi8(_mm_min_epu8(v, control), v)));
        unsigned bits = (unsigned)_mm_movemask_epi8(stop);
        if (bits)
            return i + (size_t)__builtin_ctz(bits);
    }
#endif
    for (; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x80 || c == '\\' || (quoting && (c == '"' || c < 0x20)))
            break;
    }
    return i;
}

/* The code unit of the \uXXXX at the front of s; -1: there is none. */
static int unit_at(struct str s)
{
    return s.n >= 6 && s.p[0] == '\\' && s.p[1] == 'u' ? json_hex4(s.p + 2) : -1;
}

/* Bytes of the escape or the character at the front of s, which is not plain. *keep: it may stay
 * as it is, else U+FFFD stands for it. */
static size_t unit_length(struct str s, bool *keep)
{
    *keep = true;
    if (s.p[0] != '\\') {
        size_t n = str_utf8_len(s);
        *keep = n > 0;
        return n ? n : 1;
    }
    int u = unit_at(s);
    if (u < 0xd800 || u > 0xdfff)
        return u < 0 ? min_size(2, s.n) : 6;
    int low = u <= 0xdbff ? unit_at(str_make(s.p + 6, s.n - 6)) : -1;
    *keep = low >= 0xdc00 && low <= 0xdfff;
    return *keep ? 12 : 6;
}

bool json_raw_copy(struct str raw, struct buf *out)
{
    size_t from = 0, i = 0;
    if (!buf_reserve(out, raw.n))
        return false;
    while ((i += plain_run(str_make(raw.p + i, raw.n - i), false)) < raw.n) {
        bool keep;
        size_t n = unit_length(str_make(raw.p + i, raw.n - i), &keep);
        if (!keep) {
            if (!buf_add(out, raw.p + from, i - from) || !buf_str(out, replacement))
                return false;
            from = i + n;
        }
        i += n;
    }
    return buf_add(out, raw.p + from, raw.n - from);
}

bool json_raw_quote(struct str raw, struct buf *out)
{
    if (!buf_reserve(out, raw.n))
        return false;
    for (size_t i = 0; i < raw.n;) {
        size_t run = plain_run(str_make(raw.p + i, raw.n - i), true), n = 1;
        if (!buf_add(out, raw.p + i, run))
            return false;
        i += run;
        if (i == raw.n)
            break;
        bool keep = true;
        if (raw.p[i] == '\\' || (unsigned char)raw.p[i] >= 0x80)
            n = unit_length(str_make(raw.p + i, raw.n - i), &keep);
        bool ok = !keep                             ? buf_str(out, replacement)
                  : (unsigned char)raw.p[i] >= 0x80 ? buf_add(out, raw.p + i, n)
                                                    : json_escape(str_make(raw.p + i, n), out);
        if (!ok)
            return false;
        i += n;
    }
    return true;
}

bool json_raw_plain(struct str raw)
{
    return plain_run(raw, false) == raw.n;
}

struct str json_raw_decode(struct str raw, char *room)
{
    if (json_raw_plain(raw))
        return raw;
    size_t n = 0;
    while (raw.n) {
        struct str c = raw;
        char decoded[4];
        size_t len = raw.p[0] == '\\' ? json_escape_cut(&raw, decoded) : 0;
        if (len) {
            c = str_make(decoded, len);
        } else {
            c.n = str_utf8_len(raw);
            raw = str_make(raw.p + max_size(c.n, 1), raw.n - max_size(c.n, 1));
            if (!c.n)
                c = replacement;
        }
        memcpy(room + n, c.p, c.n);
        n += c.n;
    }
    return str_make(room, n);
}

/* Whether the UTF-8 character is white space of Unicode. */
static bool is_space(struct str c)
{
    static const struct str wide[] = {
        STR_LIT("\xc2\x85"),     STR_LIT("\xc2\xa0"),     STR_LIT("\xe1\x9a\x80"),
        STR_LIT("\xe2\x80\xa8"), STR_LIT("\xe2\x80\xa9"), STR_LIT("\xe2\x80\xaf"),
        STR_LIT("\xe2\x81\x9f"), STR_LIT("\xe3\x80\x80"), STR_LIT("\xef\xbb\xbf"),
    };
    unsigned char first = (unsigned char)c.p[0];
    if (c.n == 1)
        return first == ' ' || (first >= 9 && first <= 13) || (first >= 0x1c && first <= 0x1f);
    if (c.n == 3 && first == 0xe2 && (unsigned char)c.p[1] == 0x80 &&
        (unsigned char)c.p[2] <= 0x8a) /* U+2000 to U+200A */
        return true;
    for (size_t i = 0; i < COUNT_OF(wide); i++)
        if (str_eq(c, wide[i]))
            return true;
    return false;
}

bool json_raw_blank(struct str raw)
{
    while (raw.n) {
        struct str c = raw;
        char decoded[4];
        if (raw.p[0] == '\\') {
            c = str_make(decoded, json_escape_cut(&raw, decoded));
        } else {
            c.n = str_utf8_len(raw);
            raw = str_make(raw.p + c.n, raw.n - c.n);
        }
        if (!c.n || !is_space(c))
            return false;
    }
    return true;
}

/* Removes the text from the front of the raw one. False: it does not begin so. */
static bool cut_front(struct str *raw, struct str text)
{
    while (text.n) {
        char c[4];
        size_t n = 1;
        if (!raw->n)
            return false;
        if (raw->p[0] == '\\') {
            n = json_escape_cut(raw, c);
        } else {
            c[0] = raw->p[0];
            *raw = str_make(raw->p + 1, raw->n - 1);
        }
        if (!n || n > text.n || memcmp(c, text.p, n) != 0)
            return false;
        text = str_make(text.p + n, text.n - n);
    }
    return true;
}

bool json_raw_starts(struct str raw, struct str prefix)
{
    return cut_front(&raw, prefix);
}

bool json_raw_is(struct str raw, struct str text)
{
    return cut_front(&raw, text) && !raw.n;
}
