#include "worker/json/json_find.h"

#include "worker/json/json_skip.h"

#include <limits.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { WANTS_MAX = 16 };

/* State of one walk over an object and the wanted objects in it. */
struct walk {
    const struct json_skip *skip;
    const char *p, *end; /* next byte; end of the text */
    const struct json_want *want;
    struct json_hit *hits;
    size_t n;
    uint64_t filter;    /* the name_bit() of all wanted names, outer and inner */
    json_each_fn *each; /* NULL: no member is told, or no more are wanted */
    void *ctx;
};

/* Inlined at each place: a call costs a tenth of the time of a small body. */
#define HOT static inline __attribute__((always_inline))

/* ---- strings */

int json_hex4(const char *p)
{
    int v = 0;
    for (int i = 0; i < 4 && v >= 0; i++) {
        int digit = ascii_hex(p[i]);
        v = digit < 0 ? -1 : v << 4 | digit;
    }
    return v;
}

static size_t utf8_put(unsigned v, char out[static 4])
{
    if (v < 0x80) {
        out[0] = (char)v;
        return 1;
    }
    if (v < 0x800) {
        out[0] = (char)(0xc0 | v >> 6);
        out[1] = (char)(0x80 | (v & 0x3f));
        return 2;
    }
    if (v < 0x10000) {
        out[0] = (char)(0xe0 | v >> 12);
        out[1] = (char)(0x80 | (v >> 6 & 0x3f));
        out[2] = (char)(0x80 | (v & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | v >> 18);
    out[1] = (char)(0x80 | (v >> 12 & 0x3f));
    out[2] = (char)(0x80 | (v >> 6 & 0x3f));
    out[3] = (char)(0x80 | (v & 0x3f));
    return 4;
}

size_t json_escape_cut(struct str *s, char out[static 4])
{
    static const char plain[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    if (s->n < 2)
        return 0;
    char c = s->p[1];
    if (c != 'u') {
        for (size_t i = 0; i + 1 < sizeof plain; i += 2) {
            if (plain[i] == c) {
                out[0] = plain[i + 1];
                *s = str_make(s->p + 2, s->n - 2);
                return 1;
            }
        }
        return 0;
    }
    if (s->n < 6)
        return 0;
    int v = json_hex4(s->p + 2);
    if (v < 0)
        return 0;
    *s = str_make(s->p + 6, s->n - 6);
    if (v >= 0xd800 && v <= 0xdbff && s->n >= 6 && s->p[0] == '\\' && s->p[1] == 'u') {
        int low = json_hex4(s->p + 2);
        if (low >= 0xdc00 && low <= 0xdfff) {
            *s = str_make(s->p + 6, s->n - 6);
            return utf8_put(0x10000u + ((unsigned)(v - 0xd800) << 10) + (unsigned)(low - 0xdc00),
                            out);
        }
    }
    return utf8_put(v >= 0xd800 && v <= 0xdfff ? 0xfffdu : (unsigned)v, out);
}

bool json_unescape(struct str raw, struct buf *out)
{
    buf_drop(out, out->len);
    while (raw.n) {
        const char *slash = memchr(raw.p, '\\', raw.n);
        size_t plain = slash ? (size_t)(slash - raw.p) : raw.n;
        if (!buf_add(out, raw.p, plain))
            return false;
        raw = str_make(raw.p + plain, raw.n - plain);
        if (!raw.n)
            break;
        char c[4];
        size_t len = json_escape_cut(&raw, c);
        if (!len || !buf_add(out, c, len))
            return false;
    }
    return true;
}

bool json_escape(struct str text, struct buf *out)
{
    static const char hex[] = "0123456789abcdef";
    static const char short_of[0x20] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    size_t from = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        char esc[6] = {'\\', (char)c};
        size_t len = 2;
        if (c < 0x20 && short_of[c]) {
            esc[1] = short_of[c];
        } else if (c < 0x20) {
            memcpy(esc + 1, "u00", 3);
            esc[4] = hex[c >> 4];
            esc[5] = hex[c & 15];
            len = 6;
        }
        if (!buf_add(out, text.p + from, i - from) || !buf_add(out, esc, len))
            return false;
        from = i + 1;
    }
    return buf_add(out, text.p + from, text.n - from);
}

/* name_is for a name with escapes. */
static bool decoded_name_is(struct str raw, struct str name)
{
    while (raw.n && name.n) {
        char c[4] = {raw.p[0]};
        size_t len = 1;
        if (c[0] == '\\')
            len = json_escape_cut(&raw, c);
        else
            raw = str_make(raw.p + 1, raw.n - 1);
        if (!len || len > name.n || memcmp(c, name.p, len) != 0)
            return false;
        name = str_make(name.p + len, name.n - len);
    }
    return !raw.n && !name.n;
}

/* Whether the member name `raw` (as it stands in the text) equals `name` when decoded. Each member
 * is compared with each wanted name: most differ in length or first byte. */
static inline bool name_is(struct str raw, bool escaped, struct str name)
{
    if (__builtin_expect(escaped, false))
        return decoded_name_is(raw, name);
    return raw.n == name.n &&
           (!raw.n || (raw.p[0] == name.p[0] && memcmp(raw.p, name.p, raw.n) == 0));
}

/* ---- the walk */

static void skip_blank(struct walk *w)
{
    while (w->p < w->end && (*w->p == ' ' || *w->p == '\n' || *w->p == '\r' || *w->p == '\t'))
        w->p++;
}

/* Consumes the next byte that is no blank and returns it; -1 at the end. */
HOT int next_byte(struct walk *w)
{
    skip_blank(w);
    return w->p < w->end ? (unsigned char)*w->p++ : -1;
}

/* Reads a string: w->p stands behind the opening quote and is moved behind the closing one. */
static bool read_string(struct walk *w, struct str *raw, bool *escaped)
{
#if defined(__SSE2__)
    /* Names are short, and seldom escaped. */
    if (w->end - w->p >= 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)w->p);
        unsigned quote = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')));
        unsigned slash = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
        if (quote && !(slash & (quote ^ (quote - 1)))) {
            *escaped = false;
            *raw = str_make(w->p, (size_t)__builtin_ctz(quote));
            w->p += raw->n + 1;
            return true;
        }
    }
#endif
    size_t len = w->skip->string(w->p, (size_t)(w->end - w->p), escaped);
    if (len == JSON_NO_END)
        return false;
    *raw = str_make(w->p, len);
    w->p += len + 1;
    return true;
}

static bool read_word(struct walk *w, struct str word)
{
    if ((size_t)(w->end - w->p) < word.n || memcmp(w->p, word.p, word.n) != 0)
        return false;
    w->p += word.n;
    return true;
}

static void skip_number(struct walk *w)
{
    while (w->p < w->end && (ascii_digit(*w->p) || *w->p == '-' || *w->p == '+' || *w->p == '.' ||
                             *w->p == 'e' || *w->p == 'E'))
        w->p++;
}

/* Reads one value as a whole, without its members. */
HOT bool read_value(struct walk *w, struct json_hit *hit)
{
    *hit = (struct json_hit){.kind = JSON_IS_ABSENT};
    skip_blank(w);
    if (w->p == w->end)
        return false;
    const char *from = w->p;
    enum json_kind kind;
    switch (*from) {
    case '"':
        w->p++;
        if (!read_string(w, &hit->raw, &hit->escaped))
            return false;
        hit->kind = JSON_IS_STRING;
        return true;
    case '{':
    case '[': {
        size_t len = w->skip->nested(from + 1, (size_t)(w->end - from) - 1, UINT_MAX);
        /* Of the text skipped, only the kind of the last bracket is checked. */
        if (len == JSON_NO_END || from[len] != *from + 2)
            return false;
        w->p = from + len + 1;
        kind = *from == '{' ? JSON_IS_OBJECT : JSON_IS_ARRAY;
        break;
    }
    case 't':
        if (!read_word(w, STR("true")))
            return false;
        kind = JSON_IS_TRUE;
        break;
    case 'f':
        if (!read_word(w, STR("false")))
            return false;
        kind = JSON_IS_FALSE;
        break;
    case 'n':
        if (!read_word(w, STR("null")))
            return false;
        kind = JSON_IS_NULL;
        break;
    default:
        if (*from != '-' && !ascii_digit(*from))
            return false;
        skip_number(w);
        kind = JSON_IS_NUMBER;
        break;
    }
    hit->kind = kind;
    hit->raw = str_make(from, (size_t)(w->p - from));
    return true;
}

/* Hashes a name to one bit, by its length and first letter: most unwanted names share no bit with
 * the wanted ones. */
static uint64_t name_bit(struct str name)
{
    return name.n ? (uint64_t)1 << ((name.n * 11 + (unsigned char)name.p[0]) & 63) : 1;
}

/* False: the name is certainly not wanted. */
static bool may_be_wanted(const struct walk *w, struct str name, bool escaped)
{
    return escaped || (w->filter & name_bit(name)) != 0;
}

/* Whether members of the member `name` are wanted. Hits of an earlier member of that name are
 * dropped. */
static bool look_inside(struct walk *w, struct str name, bool escaped)
{
    bool any = false;
    for (size_t i = 0; i < w->n; i++) {
        if (w->want[i].inner.n && name_is(name, escaped, w->want[i].name)) {
            w->hits[i] = (struct json_hit){.kind = JSON_IS_ABSENT};
            any = true;
        }
    }
    return any;
}

/* Reads the members of an object: w->p stands behind its '{' and is moved behind its '}'. outer:
 * the object's name, NULL for the outermost. */
static bool read_members(struct walk *w, const struct str *outer, bool outer_escaped)
{
    int c = next_byte(w);
    if (c == '}')
        return true;
    for (;; c = next_byte(w)) {
        struct str name;
        bool escaped;
        if (c != '"' || !read_string(w, &name, &escaped) || next_byte(w) != ':')
            return false;
        struct json_hit hit;
        bool wanted = may_be_wanted(w, name, escaped);
        skip_blank(w);
        if (wanted && !outer && look_inside(w, name, escaped) && w->p < w->end && *w->p == '{') {
            const char *from = w->p++;
            if (!read_members(w, &name, escaped))
                return false;
            hit = (struct json_hit){.kind = JSON_IS_OBJECT,
                                    .raw = str_make(from, (size_t)(w->p - from))};
        } else if (!read_value(w, &hit)) {
            return false;
        }
        for (size_t i = 0; wanted && i < w->n; i++) {
            const struct json_want *want = &w->want[i];
            if (outer ? want->inner.n && name_is(name, escaped, want->inner) &&
                            name_is(*outer, outer_escaped, want->name)
                      : !want->inner.n && name_is(name, escaped, want->name))
                w->hits[i] = hit;
        }
        if (w->each && !outer && !w->each(w->ctx, name, escaped, &hit))
            w->each = NULL;
        c = next_byte(w);
        if (c == '}')
            return true;
        if (c != ',')
            return false;
    }
}

static bool find(struct walk w, struct str body)
{
    if (w.n)
        memset(w.hits, 0, w.n * sizeof *w.hits);
    if (w.n > WANTS_MAX || !body.n)
        return false;
    w.p = body.p;
    w.end = body.p + body.n;
    for (size_t i = 0; i < w.n; i++)
        w.filter |= name_bit(w.want[i].name) | (w.want[i].inner.n ? name_bit(w.want[i].inner) : 0);
    if (next_byte(&w) != '{' || !read_members(&w, NULL, false))
        return false;
    skip_blank(&w);
    return w.p == w.end;
}

bool json_find_by(const struct json_skip *by, struct str body, const struct json_want *want,
                  struct json_hit *hits, size_t n)
{
    return find((struct walk){.skip = by, .want = want, .hits = hits, .n = n}, body);
}

bool json_find(struct str body, const struct json_want *want, struct json_hit *hits, size_t n)
{
    return json_find_by(json_skip_best(), body, want, hits, n);
}

bool json_find_each(struct str body, const struct json_want *want, struct json_hit *hits, size_t n,
                    json_each_fn *each, void *ctx)
{
    struct walk w = {.skip = json_skip_best(), .want = want, .hits = hits, .n = n};
    w.each = each;
    w.ctx = ctx;
    return find(w, body);
}

void json_each(struct str text, json_each_fn *fn, void *ctx)
{
    struct walk w = {.skip = json_skip_best(), .p = text.p, .end = text.p + text.n};
    int open = text.n ? next_byte(&w) : -1;
    if (open != '{' && open != '[')
        return;
    for (int c = ','; c == ','; c = next_byte(&w)) {
        struct str name = {0};
        bool escaped = false;
        if (open == '{' &&
            (next_byte(&w) != '"' || !read_string(&w, &name, &escaped) || next_byte(&w) != ':'))
            return;
        struct json_hit hit;
        if (!read_value(&w, &hit) || !fn(ctx, name, escaped, &hit))
            return;
    }
}
