#include "common/policy/feature.h"

enum {
    PROBES = 32 /* slots that are looked at for one word: a text made to collide loses words */
};

/* ---- the words of the text */

static bool letter(char c)
{
    return ascii_digit(c) || c == '_' || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

/* Whether the byte at i is inside a word: a letter, a digit, '_', '-', or '.' between two of
 * them. */
static bool inside(struct str s, size_t i)
{
    return letter(s.p[i]) || s.p[i] == '-' || (s.p[i] == '.' && i + 1 < s.n && letter(s.p[i + 1]));
}

/* Whether the whole string is one word. */
static bool is_word(struct str s)
{
    if (s.n == 0 || s.n > MARK_ITEM_MAX || !letter(s.p[0]) || !letter(s.p[s.n - 1]))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!inside(s, i))
            return false;
    return true;
}

/* The same for both cases of letters. */
static uint32_t slot_of(struct str word)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < word.n; i++)
        h = (h ^ (uint8_t)ascii_lower(word.p[i])) * 0x100000001b3u;
    return (uint32_t)((h ^ h >> 32) & (FEATURE_SLOTS - 1));
}

static void keep_word(struct feature *f, size_t at, size_t n)
{
    struct str word = str_make(f->text.p + at, n);
    uint32_t s = slot_of(word);
    for (int i = 0; i < PROBES; i++, s = (s + 1) & (FEATURE_SLOTS - 1)) {
        if (f->at[s] && !(f->len[s] == n && memcmp(f->text.p + f->at[s] - 1, word.p, n) == 0))
            continue;
        f->at[s] = (uint16_t)(at + 1);
        f->len[s] = (uint8_t)n;
        return;
    }
}

static bool has_word(const struct feature *f, struct str word, bool nocase)
{
    uint32_t s = slot_of(word);
    for (int i = 0; i < PROBES && f->at[s]; i++, s = (s + 1) & (FEATURE_SLOTS - 1)) {
        struct str w = str_make(f->text.p + f->at[s] - 1, f->len[s]);
        if (nocase ? str_eq_nocase(w, word) : str_eq(w, word))
            return true;
    }
    return false;
}

static bool named(const struct feature *f, struct str word)
{
    return is_word(word) && has_word(f, word, false);
}

static bool named_nocase(const struct feature *f, struct str word)
{
    return is_word(word) && has_word(f, word, true);
}

/* Bytes of the escape at i, whose backslash is there: its letter is none of a word. */
static size_t escape_len(struct str s, size_t i)
{
    return i + 1 < s.n && s.p[i + 1] == 'u' ? 6 : 2;
}

/* Keeps the words from `at` up to `end`. */
static void keep_words(struct feature *f, size_t at, size_t end)
{
    struct str s = str_make(f->text.p, end);
    while (at < end) {
        if (s.p[at] == '\\') {
            at += escape_len(s, at);
            continue;
        }
        if (!letter(s.p[at])) {
            at++;
            continue;
        }
        size_t n = 1;
        while (at + n < end && inside(s, at + n))
            n++;
        size_t whole = n;
        while (s.p[at + whole - 1] == '-')
            whole--;
        if (whole <= MARK_ITEM_MAX)
            keep_word(f, at, whole);
        at += n;
    }
}

/* Where the string that begins at i ends: at its quote, or at the end of the text. */
static size_t string_end(struct str s, size_t i)
{
    while (i < s.n && s.p[i] != '"')
        i += s.p[i] == '\\' ? 2 : 1;
    return min_size(i, s.n);
}

/* Whether a member's name ends with the quote at i. */
static bool is_name(struct str s, size_t i)
{
    i++;
    while (i < s.n && memchr(" \t\r\n", s.p[i], 4))
        i++;
    return i < s.n && s.p[i] == ':';
}

static void read_json(struct feature *f, size_t at)
{
    while (at < f->text.n) {
        const char *quote = memchr(f->text.p + at, '"', f->text.n - at);
        if (!quote)
            return;
        size_t from = (size_t)(quote - f->text.p) + 1, end = string_end(f->text, from);
        if (!is_name(f->text, end))
            keep_words(f, from, end);
        at = end + 1;
    }
}

void feature_read(struct feature *f, struct str refusal)
{
    memset(f->at, 0, sizeof f->at);
    f->nfound = 0;
    f->crowded = false;
    f->text = str_trim(refusal);
    if (f->text.n > FEATURE_TEXT_MAX) {
        bool in_word = inside(f->text, FEATURE_TEXT_MAX);
        f->text.n = FEATURE_TEXT_MAX;
        while (in_word && f->text.n &&
               inside(f->text, f->text.n - 1)) /* no part of a word counts */
            f->text.n--;
    }
    bool event = str_starts(f->text, STR("event:")) || str_starts(f->text, STR("data:")) ||
                 str_starts(f->text, STR(":"));
    ptrdiff_t brace = event ? str_find(f->text, STR("{")) : 0;
    if (f->text.n && brace >= 0 && (f->text.p[brace] == '{' || f->text.p[brace] == '['))
        read_json(f, (size_t)brace);
    else
        keep_words(f, 0, f->text.n);
}

/* ---- items */

/* Whether a is the path of an object, and b that of a member of it. */
static bool is_parent(const struct feature_item *a, const struct feature_item *b)
{
    size_t prefix = sizeof "field=" - 1;
    return a->kind == MARK_FIELD && b->kind == MARK_FIELD && b->path > a->path &&
           b->name[prefix + a->path] == '.' &&
           memcmp(a->name + prefix, b->name + prefix, a->path) == 0;
}

static bool same_item(const struct feature_item *a, const struct feature_item *b)
{
    if (a->kind == MARK_FIELD && b->kind == MARK_FIELD)
        return a->path == b->path && memcmp(a->name, b->name, sizeof "field=" - 1 + a->path) == 0;
    return a->kind == b->kind && str_eq(str_make(a->name, a->n), str_make(b->name, b->n));
}

/* Adds an item that stands in the text. Of a path and its parent the longer counts; of a repeated
 * member the last, as for most parsers. */
static void found(struct feature *f, const struct feature_item *x)
{
    for (unsigned i = 0; i < f->nfound; i++) {
        if (is_parent(x, &f->found[i]))
            return;
        if (same_item(&f->found[i], x) || is_parent(&f->found[i], x)) {
            f->found[i] = *x;
            return;
        }
    }
    if (f->nfound == FEATURE_FOUND)
        f->crowded = true;
    else
        f->found[f->nfound++] = *x;
}

static void offer(struct feature *f, enum mark_kind k, struct str name, struct str value,
                  size_t path)
{
    struct feature_item x = {.kind = (uint8_t)k, .path = (uint8_t)path};
    x.n = (uint8_t)mark_name(k, name, value, x.name).n;
    if (x.n)
        found(f, &x);
}

static bool is_one_of(struct str name, const struct str *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq_nocase(name, v[i]))
            return true;
    return false;
}

bool feature_is_header(struct str name)
{
    static const struct str never[] = {
        STR_LIT("user-agent"),     STR_LIT("x-app"),
        STR_LIT("content-length"), STR_LIT("transfer-encoding"),
        STR_LIT("keep-alive"),     STR_LIT("accept-encoding"),
        STR_LIT("max-forwards"),   STR_LIT("proxy-connection"),
    };
    static const struct str secret[] = {
        STR_LIT("auth"), STR_LIT("key"), STR_LIT("token"), STR_LIT("secret"), STR_LIT("cookie"),
    };
    if (name.n > MARK_ITEM_MAX || !memchr(name.p, '-', name.n) ||
        is_one_of(name, never, COUNT_OF(never)))
        return false;
    for (size_t i = 0; i < COUNT_OF(secret); i++)
        if (str_find_nocase(name, secret[i]) >= 0)
            return false;
    return true;
}

void feature_header(struct feature *f, struct str name, struct str value)
{
    static const struct str none;
    struct str elem;
    if (name.n == 0 || !feature_is_header(name))
        return;
    if (str_eq_nocase(name, STR("anthropic-beta"))) {
        while (str_next_elem(&value, &elem))
            if (named(f, elem))
                offer(f, MARK_BETA, elem, none, 0);
    } else if (str_eq_nocase(name, STR("content-encoding"))) {
        while (str_next_elem(&value, &elem))
            if (named(f, elem))
                offer(f, MARK_CODING, elem, none, 0);
    } else if (str_eq_nocase(name, STR("anthropic-version"))) {
        value = str_trim(value);
        if (named(f, value))
            offer(f, MARK_VERSION, value, none, 0);
    } else if (named_nocase(f, name)) {
        char lower[MARK_ITEM_MAX];
        for (size_t i = 0; i < name.n; i++)
            lower[i] = ascii_lower(name.p[i]);
        value = str_trim(value);
        offer(f, MARK_HEADER, str_make(lower, name.n), value.n ? value : none, 0);
    }
}

/* Writes a member's path to out; 0: it is no item. */
static size_t path_of(struct str outer, struct str name, char out[static MARK_ITEM_MAX])
{
    static const struct str whole[] = {
        STR_LIT("model"),  STR_LIT("messages"), STR_LIT("input"),    STR_LIT("prompt"),
        STR_LIT("system"), STR_LIT("tools"),    STR_LIT("metadata"), STR_LIT("stream"),
    };
    size_t n = outer.n ? outer.n + 1 + name.n : name.n;
    if (n > MARK_ITEM_MAX || memchr(name.p, '.', name.n) ||
        (outer.n && memchr(outer.p, '.', outer.n)))
        return 0;
    for (size_t i = 0; !outer.n && i < COUNT_OF(whole); i++)
        if (str_eq(name, whole[i]))
            return 0;
    if (outer.n) {
        memcpy(out, outer.p, outer.n);
        out[outer.n] = '.';
    }
    memcpy(out + n - name.n, name.p, name.n);
    return is_word(str_make(out, n)) ? n : 0;
}

/* Whether a member's value belongs to the mark's name. */
static bool is_short(struct str value, size_t path)
{
    if (!value.p || value.n == 0 || value.n > FEATURE_VALUE_MAX ||
        path + 2 + value.n > MARK_ITEM_MAX)
        return false;
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] < 0x20 || value.p[i] == 0x7f)
            return false;
    return true;
}

void feature_member(struct feature *f, struct str outer, struct str name, struct str value)
{
    static const struct str none;
    char path[MARK_ITEM_MAX];
    size_t n = name.n ? path_of(outer, name, path) : 0;
    if (n && has_word(f, str_make(path, n), false))
        offer(f, MARK_FIELD, str_make(path, n), is_short(value, n) ? value : none, n);
}

struct str feature_member_name(struct str outer, struct str name, struct str value,
                               char out[static MARK_NAME_MAX])
{
    static const struct str none;
    char path[MARK_ITEM_MAX];
    size_t n = name.n ? path_of(outer, name, path) : 0;
    return n ? mark_name(MARK_FIELD, str_make(path, n), is_short(value, n) ? value : none, out)
             : none;
}

void feature_path_of(struct str mark, struct str *outer, struct str *name)
{
    struct str prefix = STR("field=");
    if (str_starts(mark, prefix))
        mark = str_make(mark.p + prefix.n, mark.n - prefix.n);
    ptrdiff_t value = str_find(mark, STR(": "));
    if (value >= 0)
        mark.n = (size_t)value;
    ptrdiff_t dot = str_find(mark, STR("."));
    *outer = str_make(mark.p, dot < 0 ? 0 : (size_t)dot);
    *name = dot < 0 ? mark : str_make(mark.p + dot + 1, mark.n - (size_t)dot - 1);
}

void feature_tool(struct feature *f, struct str type)
{
    static const struct str none;
    if (named(f, type))
        offer(f, MARK_TOOL, type, none, 0);
}

struct str feature_named(const struct feature *f, enum mark_kind *kind)
{
    if (f->nfound != 1 || f->crowded)
        return STR("");
    *kind = (enum mark_kind)f->found[0].kind;
    return str_make(f->found[0].name, f->found[0].n);
}
