#include "worker/json/json_valid.h"

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* What may come next. */
enum expect {
    EXPECT_VALUE,
    EXPECT_FIRST_KEY,   /* behind {: or } */
    EXPECT_FIRST_VALUE, /* behind [: or ] */
    EXPECT_KEY,
    EXPECT_MORE /* behind a value */
};

struct valid {
    const char *p, *end;
    unsigned depth;
    uint64_t objects[JSON_VALID_DEPTH / 64 + 1]; /* bit: the level is an object */
};

/* Moves behind bytes that stand for themselves in a string. */
static void skip_plain(struct valid *v)
{
#if defined(__SSE2__)
    const __m128i slash = _mm_set1_epi8('\\'), quote = _mm_set1_epi8('"'),
                  control = _mm_set1_epi8(0x1f);
    for (; v->end - v->p >= 16; v->p += 16) {
        __m128i b = _mm_loadu_si128((const __m128i *)(const void *)v->p);
        __m128i stop = _mm_or_si128(_mm_cmpeq_epi8(b, slash), _mm_cmpeq_epi8(b, quote));
        stop = _mm_or_si128(stop, _mm_cmpeq_epi8(_mm_min_epu8(b, control), b));
        unsigned bits = (unsigned)_mm_movemask_epi8(stop);
        if (bits) {
            v->p += __builtin_ctz(bits);
            return;
        }
    }
#endif
    while (v->p < v->end && *v->p != '"' && *v->p != '\\' && (unsigned char)*v->p >= 0x20)
        v->p++;
}

/* v->p stands behind the opening quote and is moved behind the closing one. */
static bool string(struct valid *v)
{
    for (;;) {
        skip_plain(v);
        if (v->p == v->end || (unsigned char)*v->p < 0x20)
            return false;
        if (*v->p++ == '"')
            return true;
        if (v->p == v->end)
            return false;
        char c = *v->p++;
        if (c == 'u') {
            for (int i = 0; i < 4; i++, v->p++)
                if (v->p == v->end || ascii_hex(*v->p) < 0)
                    return false;
        } else if (!c || !strchr("\"\\/bfnrt", c)) {
            return false;
        }
    }
}

static bool digits(struct valid *v)
{
    const char *from = v->p;
    while (v->p < v->end && ascii_digit(*v->p))
        v->p++;
    return v->p > from;
}

static bool number(struct valid *v)
{
    if (*v->p == '-')
        v->p++;
    const char *from = v->p;
    if (!digits(v) || (*from == '0' && v->p > from + 1))
        return false;
    if (v->p < v->end && *v->p == '.') {
        v->p++;
        if (!digits(v))
            return false;
    }
    if (v->p < v->end && (*v->p == 'e' || *v->p == 'E')) {
        v->p++;
        if (v->p < v->end && (*v->p == '+' || *v->p == '-'))
            v->p++;
        return digits(v);
    }
    return true;
}

static bool word(struct valid *v, struct str w)
{
    if ((size_t)(v->end - v->p) < w.n || memcmp(v->p, w.p, w.n) != 0)
        return false;
    v->p += w.n;
    return true;
}

static void skip_blank(struct valid *v)
{
    while (v->p < v->end && (*v->p == ' ' || *v->p == '\n' || *v->p == '\r' || *v->p == '\t'))
        v->p++;
}

/* A value that is no object and no array. */
static bool scalar(struct valid *v)
{
    switch (*v->p) {
    case '"':
        v->p++;
        return string(v);
    case 't':
        return word(v, STR("true"));
    case 'f':
        return word(v, STR("false"));
    case 'n':
        return word(v, STR("null"));
    default:
        return number(v);
    }
}

static bool key(struct valid *v)
{
    if (*v->p++ != '"' || !string(v))
        return false;
    skip_blank(v);
    return v->p < v->end && *v->p++ == ':';
}

static bool in_object(const struct valid *v)
{
    return (v->objects[(v->depth - 1) / 64] >> (v->depth - 1) % 64 & 1) != 0;
}

static void open_level(struct valid *v, bool object)
{
    uint64_t bit = (uint64_t)1 << v->depth % 64;
    uint64_t *word_of = &v->objects[v->depth / 64];
    *word_of = object ? *word_of | bit : *word_of & ~bit;
    v->depth++;
}

/* Behind a value: a comma, or brackets that close. False: neither. */
static bool more(struct valid *v, enum expect *e)
{
    bool object = in_object(v);
    char c = *v->p++;
    if (c == ',') {
        *e = object ? EXPECT_KEY : EXPECT_VALUE;
        return true;
    }
    v->depth--;
    return c == (object ? '}' : ']');
}

enum json_validity json_valid(struct str text)
{
    struct valid v = {.p = text.p, .end = text.p + text.n};
    enum expect e = EXPECT_VALUE;
    do {
        skip_blank(&v);
        if (v.p == v.end)
            return JSON_MALFORMED;
        if (e == EXPECT_MORE) {
            if (!more(&v, &e))
                return JSON_MALFORMED;
            continue;
        }
        if ((e == EXPECT_FIRST_KEY && *v.p == '}') || (e == EXPECT_FIRST_VALUE && *v.p == ']')) {
            v.p++;
            v.depth--;
            e = EXPECT_MORE;
            continue;
        }
        if (e == EXPECT_FIRST_KEY || e == EXPECT_KEY) {
            if (!key(&v))
                return JSON_MALFORMED;
            skip_blank(&v);
            if (v.p == v.end)
                return JSON_MALFORMED;
        }
        if (*v.p == '{' || *v.p == '[') {
            if (v.depth == JSON_VALID_DEPTH)
                return JSON_TOO_DEEP;
            e = *v.p == '{' ? EXPECT_FIRST_KEY : EXPECT_FIRST_VALUE;
            open_level(&v, *v.p++ == '{');
            continue;
        }
        if (!scalar(&v))
            return JSON_MALFORMED;
        e = EXPECT_MORE;
    } while (v.depth || e != EXPECT_MORE);
    skip_blank(&v);
    return v.p == v.end ? JSON_VALID : JSON_MALFORMED;
}
