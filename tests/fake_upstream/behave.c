#include "tests/fake_upstream/behave.h"

#include "common/base/buf.h"
#include "common/base/mem.h"

#include <string.h>

enum { TEXT_MAX = 65536 };

static int hex(char c)
{
    if (ascii_digit(c))
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes percent escapes; NUL bytes can be written but end the text. */
static char *decode(struct str s)
{
    char *out = mem_zalloc(s.n + 1, 1);
    size_t w = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '%' && i + 2 < s.n && hex(s.p[i + 1]) >= 0 && hex(s.p[i + 2]) >= 0) {
            out[w++] = (char)(hex(s.p[i + 1]) * 16 + hex(s.p[i + 2]));
            i += 2;
        } else {
            out[w++] = s.p[i];
        }
    }
    return out;
}

static void set_text(char **slot, struct str value)
{
    char *text = decode(value);
    if (!*slot) {
        *slot = text;
        return;
    }
    struct buf b;
    buf_init(&b, TEXT_MAX);
    if (buf_printf(&b, "%s\r\n%s", *slot, text)) {
        mem_free(*slot);
        *slot = mem_strndup(buf_data(&b), b.len);
    }
    buf_free(&b);
    mem_free(text);
}

static bool set(struct behave *b, struct str key, struct str value, bool given, struct err *e)
{
#define NUMBER(n, dflt, bad)                                                                       \
    if (str_eq(key, STR(#n)))                                                                      \
        return str_to_u64(value, UINT64_MAX - 1, &b->n) || err_set(e, #n " wants a number");
#define FLAG(n, bad)                                                                               \
    if (str_eq(key, STR(#n))) {                                                                    \
        b->n = !given || !str_eq(value, STR("0"));                                                 \
        return true;                                                                               \
    }
#define TEXT(n, bad)                                                                               \
    if (str_eq(key, STR(#n))) {                                                                    \
        set_text(&b->n, value);                                                                    \
        return true;                                                                               \
    }
    BEHAVE_NUMBERS(NUMBER)
    BEHAVE_FLAGS(FLAG)
    BEHAVE_TEXTS(TEXT)
#undef NUMBER
#undef FLAG
#undef TEXT
    return err_set(e, "no such key: " STR_FMT, STR_ARG(key));
}

static struct behave *fresh(void)
{
    struct behave *b = mem_zalloc(1, sizeof *b);
    b->refs = 1;
#define NUMBER(n, dflt, bad) b->n = dflt;
    BEHAVE_NUMBERS(NUMBER)
#undef NUMBER
    return b;
}

struct behave *behave_new(struct str spec, struct err *e)
{
    struct behave *b = fresh();
    while (spec.n) {
        const char *comma = memchr(spec.p, ',', spec.n);
        size_t n = comma ? (size_t)(comma - spec.p) : spec.n;
        struct str item = str_trim(str_make(spec.p, n));
        n += comma ? 1 : 0;
        spec = str_make(spec.p + n, spec.n - n);
        if (!item.n)
            continue;
        const char *eq = memchr(item.p, '=', item.n);
        struct str key = str_make(item.p, eq ? (size_t)(eq - item.p) : item.n);
        struct str value = eq ? str_make(eq + 1, item.n - key.n - 1) : STR("");
        if (!set(b, key, value, eq != NULL, e)) {
            behave_unref(b);
            return NULL;
        }
    }
    return b;
}

struct behave *behave_well(const struct behave *from)
{
    struct behave *b = fresh();
#define COPY_NUMBER(n, dflt, bad)                                                                  \
    if (!(bad))                                                                                    \
        b->n = from->n;
#define COPY_FLAG(n, bad)                                                                          \
    if (!(bad))                                                                                    \
        b->n = from->n;
#define COPY_TEXT(n, bad)                                                                          \
    if (!(bad))                                                                                    \
        b->n = mem_strdup(from->n);
    BEHAVE_NUMBERS(COPY_NUMBER)
    BEHAVE_FLAGS(COPY_FLAG)
    BEHAVE_TEXTS(COPY_TEXT)
#undef COPY_NUMBER
#undef COPY_FLAG
#undef COPY_TEXT
    return b;
}

bool behave_fails(const struct behave *b)
{
    struct behave plain = *b;
    plain.trickle_ms = 0;
    plain.trickle_bytes = 1;
    bool fails = false;
#define FAILS_NUMBER(n, dflt, bad) fails = fails || ((bad) && plain.n != (dflt));
#define FAILS_SET(n, bad) fails = fails || ((bad) && plain.n);
    BEHAVE_NUMBERS(FAILS_NUMBER)
    BEHAVE_FLAGS(FAILS_SET)
    BEHAVE_TEXTS(FAILS_SET)
#undef FAILS_NUMBER
#undef FAILS_SET
    return fails;
}

struct behave *behave_ref(struct behave *b)
{
    b->refs++;
    return b;
}

void behave_unref(struct behave *b)
{
    if (!b || --b->refs)
        return;
#define DROP(n, bad) mem_free(b->n);
    BEHAVE_TEXTS(DROP)
#undef DROP
    mem_free(b);
}
