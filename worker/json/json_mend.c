#include "worker/json/json_mend.h"

#include "worker/json/json_find.h"

/* What may come next. */
enum expect { EXPECT_KEY, EXPECT_COLON, EXPECT_VALUE, EXPECT_COMMA };

struct tidy {
    const unsigned char *p, *end;
    char *out;
    size_t n;
    char stack[TIDY_DEPTH];
    size_t depth;
    /* Length and depth of `out` at the last point where closing the open brackets makes valid
     * JSON. */
    size_t safe_n, safe_depth;
};

static void put(struct tidy *t, char c)
{
    t->out[t->n++] = c;
}

static void safe(struct tidy *t)
{
    t->safe_n = t->n;
    t->safe_depth = t->depth;
}

/* The UTF-16 code unit of the \uXXXX at p, or -1. */
static int unit(const unsigned char *p, const unsigned char *end)
{
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    return json_hex4((const char *)p + 2);
}

static void copy(struct tidy *t, size_t n)
{
    memcpy(t->out + t->n, t->p, n);
    t->n += n;
    t->p += n;
}

/* Copies an escape, mended if needed; t->p is at the backslash. */
static void escape(struct tidy *t)
{
    if (t->end - t->p < 2) {
        t->p = t->end;
        return;
    }
    if (t->p[1] != 'u') {
        if (memchr("\"\\/bfnrt", t->p[1], 8)) {
            copy(t, 2);
        } else { /* not an escape of JSON: taken for a literal backslash */
            put(t, '\\');
            put(t, '\\');
            t->p++;
        }
        return;
    }
    int u = unit(t->p, t->end), low = u >= 0 ? unit(t->p + 6, t->end) : -1;
    if (u < 0) {
        bool cut = t->end - t->p < 6;
        put(t, '?');
        t->p = cut ? t->end : t->p + 2;
    } else if (u >= 0xd800 && u <= 0xdbff && low >= 0xdc00 && low <= 0xdfff) {
        copy(t, 12);
    } else if (u == 0 || (u >= 0xd800 && u <= 0xdfff)) {
        put(t, '?');
        t->p += 6;
    } else {
        copy(t, 6);
    }
}

/* Copies a string; t->p is at its quote. False: the text ended in it. */
static bool string(struct tidy *t)
{
    put(t, '"');
    t->p++;
    while (t->p < t->end) {
        unsigned char c = *t->p;
        if (c == '"') {
            put(t, '"');
            t->p++;
            return true;
        }
        size_t n = str_utf8_len(str_make((const char *)t->p, (size_t)(t->end - t->p)));
        if (c == '\\') {
            escape(t);
        } else if (c < 0x20 || n == 0) {
            put(t, c < 0x20 ? ' ' : '?');
            t->p++;
        } else {
            copy(t, n);
        }
    }
    put(t, '"');
    return false;
}

/* Copies a number or a literal, replaced by null when it is neither. False: there is none, or it
 * may be incomplete. */
static bool word(struct tidy *t)
{
    const unsigned char *from = t->p;
    while (t->p < t->end && (memchr("+-.", *t->p, 3) || ascii_digit((char)*t->p) ||
                             (ascii_lower((char)*t->p) >= 'a' && ascii_lower((char)*t->p) <= 'z')))
        t->p++;
    size_t n = (size_t)(t->p - from);
    struct str s = str_make((const char *)from, n);
    if (n == 0 || t->p == t->end)
        return false;
    bool ok = str_eq(s, STR("true")) || str_eq(s, STR("false")) || str_eq(s, STR("null"));
    if (!ok) {
        /* A number of JSON with at most 15 digits, which no reader overflows on; all else is
         * null. */
        size_t i = s.p[0] == '-';
        size_t digits = i;
        while (i < n && ascii_digit(s.p[i]))
            i++;
        ok = i > digits && i - digits <= 15 && (s.p[digits] != '0' || i == digits + 1);
        if (ok && i < n && s.p[i] == '.') {
            size_t frac = ++i;
            while (i < n && ascii_digit(s.p[i]))
                i++;
            ok = i > frac;
        }
        ok = ok && i == n;
        if (!ok)
            s = STR("null");
    }
    memcpy(t->out + t->n, s.p, s.n);
    t->n += s.n;
    return true;
}

/* Copies the value at t->p, of an object or array the opening bracket only. False ends the
 * reading. */
static bool value(struct tidy *t, enum expect *e)
{
    char c = (char)*t->p;
    if (c == '{' || c == '[') {
        if (t->depth == TIDY_DEPTH)
            return false;
        t->stack[t->depth++] = c;
        put(t, c);
        t->p++;
        safe(t);
        *e = c == '{' ? EXPECT_KEY : EXPECT_VALUE;
        return true;
    }
    *e = EXPECT_COMMA;
    if (c == '"') {
        bool whole = string(t);
        safe(t);
        return whole;
    }
    if (!word(t))
        return false;
    safe(t);
    return true;
}

/* Handles one token; t->p is at a byte that is no blank. False ends the reading. */
static bool step(struct tidy *t, enum expect *e)
{
    char c = (char)*t->p;
    if (t->depth && (c == '}' || c == ']')) {
        char open = t->stack[t->depth - 1];
        if ((c == '}') != (open == '{') || *e == EXPECT_COLON ||
            (*e == EXPECT_VALUE && open == '{'))
            return false;
        t->n = t->safe_n; /* drops a comma before the bracket */
        t->depth--;
        put(t, c);
        t->p++;
        safe(t);
        *e = EXPECT_COMMA;
        return true;
    }
    switch (*e) {
    case EXPECT_KEY:
        *e = EXPECT_COLON;
        return c == '"' && string(t);
    case EXPECT_COLON:
        *e = EXPECT_VALUE;
        put(t, ':');
        t->p++;
        return c == ':';
    case EXPECT_VALUE:
        return value(t, e);
    case EXPECT_COMMA:
        *e = t->stack[t->depth - 1] == '{' ? EXPECT_KEY : EXPECT_VALUE;
        put(t, ',');
        t->p++;
        return c == ',';
    }
    return false;
}

/* Upper bound of the output in bytes: a backslash may be doubled, a word behind a comma, colon or
 * bracket may become null, open brackets are closed. */
static size_t room_for(struct str in)
{
    size_t grow = 0;
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        grow += c == '\\' ? 1 : c == ',' || c == ':' || c == '[' ? 3 : 0;
    }
    return in.n + grow + 2 * TIDY_DEPTH;
}

struct str json_mend(struct str in, struct arena *a)
{
    in = str_trim(in);
    if (in.n == 0 || (in.p[0] != '{' && in.p[0] != '[' && in.p[0] != '"'))
        return (struct str){0};
    struct tidy t = {.p = (const unsigned char *)in.p, .end = (const unsigned char *)in.p + in.n};
    t.out = arena_alloc(a, room_for(in));
    if (!t.out)
        return (struct str){0};
    enum expect e = EXPECT_VALUE;
    do {
        while (t.p < t.end && (*t.p == ' ' || *t.p == '\t' || *t.p == '\r' || *t.p == '\n'))
            t.p++;
    } while (t.p < t.end && step(&t, &e) && t.depth);
    t.n = t.safe_n;
    for (size_t d = t.safe_depth; d > 0; d--)
        put(&t, t.stack[d - 1] == '{' ? '}' : ']');
    return str_make(t.out, t.n);
}
