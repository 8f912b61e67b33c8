#include "worker/json/json_end.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* The first quote or backslash in [p, end), or end. */
static const char *plain_end(const char *p, const char *end)
{
#if defined(__SSE2__)
    const __m128i slash = _mm_set1_epi8('\\'), quote = _mm_set1_epi8('"');
    for (; end - p >= 16; p += 16) {
        __m128i b = _mm_loadu_si128((const __m128i *)(const void *)p);
        unsigned bits = (unsigned)_mm_movemask_epi8(
            _mm_or_si128(_mm_cmpeq_epi8(b, slash), _mm_cmpeq_epi8(b, quote)));
        if (bits)
            return p + __builtin_ctz(bits);
    }
#endif
    while (p < end && *p != '"' && *p != '\\')
        p++;
    return p;
}

/* Takes a byte that stands outside of strings. */
static void outside(struct json_end *e, char c)
{
    switch (c) {
    case '"':
        e->string = true;
        break;
    case '\\':
        e->escape = true; /* not valid JSON; json_skip sees it alike */
        break;
    case '{':
    case '[':
        e->depth++;
        break;
    case '}':
    case ']':
        if (e->depth && --e->depth == 0)
            e->whole = true;
        break;
    default:
        break;
    }
}

void json_end_feed(struct json_end *e, struct str piece)
{
    const char *p = piece.p, *end = piece.p + piece.n;
    while (p < end && !e->whole) {
        if (e->escape) {
            e->escape = false;
            if (e->string || *p == '"' || *p == '\\') {
                p++;
                continue;
            }
        }
        if (!e->string) {
            outside(e, *p++);
            continue;
        }
        p = plain_end(p, end);
        if (p == end)
            break;
        e->escape = *p == '\\';
        e->string = e->escape;
        p++;
    }
}
