#include "worker/dialect/refusal_words.h"

#include "worker/json/json_find.h"
#include "worker/json/json_raw.h"
#include "worker/json/json_valid.h"

/* DEPTH: levels that are looked at. PIECE: bytes of one string. NESTED: JSON in strings of JSON,
 * the body itself included. */
enum { DEPTH = 8, PIECE = 4096, NESTED = 3 };

struct reading {
    struct refusal_words *w;
    unsigned depth, nested;
};

static void append(char *to, size_t *n, struct str text)
{
    for (size_t i = 0; i < text.n && *n < REFUSAL_WORDS_MAX; i++)
        to[(*n)++] = ascii_lower(text.p[i]);
}

/* Where a list of what would have been accepted begins: names in it are no complaint. */
static size_t list_begins(struct str text)
{
    static const struct str phrases[] = {
        STR_LIT("expected one of"),       STR_LIT(", expected `"),
        STR_LIT("did you mean"),          STR_LIT("valid parameters"),
        STR_LIT("allowed parameters"),    STR_LIT("accepted parameters"),
        STR_LIT(" supported parameters"), STR_LIT("permitted parameters"),
    };
    size_t first = text.n;
    for (size_t i = 0; i < COUNT_OF(phrases); i++) {
        ptrdiff_t at = str_find_nocase(text, phrases[i]);
        if (at >= 0)
            first = min_size(first, (size_t)at);
    }
    return first;
}

static void add_words(struct refusal_words *w, struct str text)
{
    append(w->text, &w->ntext, text);
    append(w->text, &w->ntext, STR("\n"));
    append(w->named, &w->nnamed, str_make(text.p, list_begins(text)));
    append(w->named, &w->nnamed, STR("\n"));
}

static void read_value(struct reading *r, struct str key, const struct json_hit *v);

static void read_text(struct reading *r, struct str text)
{
    struct json_hit whole = {.raw = text};
    if (text.n && (text.p[0] == '{' || text.p[0] == '[') && r->nested < NESTED &&
        json_valid(text) == JSON_VALID) {
        whole.kind = text.p[0] == '{' ? JSON_IS_OBJECT : JSON_IS_ARRAY;
        r->nested++;
        read_value(r, STR(""), &whole);
        r->nested--;
    } else {
        add_words(r->w, text);
    }
}

static void read_string(struct reading *r, struct str raw)
{
    char room[PIECE * JSON_RAW_GROWTH];
    raw.n = min_size(raw.n, PIECE);
    read_text(r, str_trim(json_raw_decode(raw, room)));
}

static bool is_one_of(struct str key, const struct str *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(key, v[i]))
            return true;
    return false;
}

static bool read_member(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    (void)escaped;
    read_value(ctx, name, v);
    return true;
}

/* An element of `loc`: a path, of which each name is a word. */
static bool read_location(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    struct reading *r = ctx;
    (void)name, (void)escaped;
    if (v->kind == JSON_IS_STRING)
        read_string(r, v->raw);
    return true;
}

/* Keeps the path of the field; some makers write a sentence in its place. */
static void keep_param(struct refusal_words *w, struct str s)
{
    if (w->nparam || s.n > REFUSAL_PARAM_MAX)
        return;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == ' ' || s.p[i] == '\\' || (unsigned char)s.p[i] >= 0x80)
            return;
    memcpy(w->param, s.p, s.n);
    w->nparam = s.n;
}

static void read_value(struct reading *r, struct str key, const struct json_hit *v)
{
    static const struct str texts[] = {STR_LIT(""),        STR_LIT("message"), STR_LIT("msg"),
                                       STR_LIT("error"),   STR_LIT("errors"),  STR_LIT("detail"),
                                       STR_LIT("details"), STR_LIT("raw"),     STR_LIT("reason"),
                                       STR_LIT("code"),    STR_LIT("param")};
    static const struct str trees[] = {STR_LIT(""),       STR_LIT("error"),   STR_LIT("errors"),
                                       STR_LIT("detail"), STR_LIT("details"), STR_LIT("metadata"),
                                       STR_LIT("raw"),    STR_LIT("message"), STR_LIT("data")};
    static const struct str location = STR_LIT("loc");
    if (v->kind == JSON_IS_STRING && is_one_of(key, texts, COUNT_OF(texts))) {
        if (str_eq(key, STR("param")))
            keep_param(r->w, v->raw);
        read_string(r, v->raw);
    } else if (v->kind == JSON_IS_ARRAY && str_eq(key, location)) {
        json_each(v->raw, read_location, r);
    } else if ((v->kind == JSON_IS_OBJECT || v->kind == JSON_IS_ARRAY) && r->depth < DEPTH &&
               is_one_of(key, trees, COUNT_OF(trees))) {
        r->depth++;
        json_each(v->raw, read_member, r);
        r->depth--;
    }
}

void refusal_words_read(struct refusal_words *w, struct str body)
{
    struct reading r = {.w = w};
    w->ntext = w->nnamed = w->nparam = 0;
    read_text(&r, str_trim(str_make(body.p, min_size(body.n, REFUSAL_READ_MAX))));
}

bool refusal_says(const struct refusal_words *w, struct str text)
{
    return str_find(str_make(w->text, w->ntext), text) >= 0;
}

static bool is_word_byte(char c)
{
    return ascii_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || c == '_';
}

bool refusal_names(const struct refusal_words *w, struct str name)
{
    struct str left = str_make(w->named, w->nnamed);
    for (size_t at = 0;;) {
        ptrdiff_t found = str_find(str_make(left.p + at, left.n - at), name);
        if (found < 0)
            return false;
        at += (size_t)found;
        size_t behind = at + name.n;
        if ((at == 0 || !is_word_byte(left.p[at - 1])) &&
            (behind == left.n || !is_word_byte(left.p[behind])))
            return true;
        at++;
    }
}
