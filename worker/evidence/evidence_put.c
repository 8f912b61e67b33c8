#include "worker/evidence/evidence_put.h"

enum { TEXT_MAX = 3072, TEXTS_MAX = 8192, SYMBOL_MAX = 80 };

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

void evidence_symbol(struct evidence *ev, struct str prefix, struct str s, bool type,
                     struct arena *a)
{
    if (ev->ncode == EVIDENCE_CODES || s.n > SYMBOL_MAX || prefix.n > SYMBOL_MAX)
        return;
    char *p = arena_alloc(a, prefix.n + s.n);
    if (!p)
        return;
    size_t n = 0;
    for (size_t part = 0; part < 2; part++) {
        struct str from = part ? s : prefix;
        for (size_t i = 0; i < from.n; i++)
            if (is_letter(from.p[i]) || ascii_digit(from.p[i]))
                p[n++] = ascii_lower(from.p[i]);
    }
    if (n)
        ev->code[ev->ncode++] = (struct evidence_code){str_make(p, n), type};
}

struct str evidence_plain(struct str s, size_t max, struct arena *a)
{
    char *p = arena_alloc(a, min_size(s.n, max) + 1);
    if (!p)
        return (struct str){0};
    size_t n = 0;
    for (size_t i = 0; i < s.n && n < max; i++) {
        if (!is_space(s.p[i]))
            p[n++] = ascii_lower(s.p[i]);
        else if (n && p[n - 1] != ' ')
            p[n++] = ' ';
    }
    while (n && p[n - 1] == ' ')
        n--;
    return str_make(p, n);
}

/* Offset at which the quotation that opens at s.p[i] closes, or 0. An apostrophe opens none. */
static size_t closes(struct str s, size_t i)
{
    char q = s.p[i];
    if (q != '"' && q != '`' && q != '\'')
        return 0;
    if (q == '\'' && i > 0 && (is_letter(s.p[i - 1]) || ascii_digit(s.p[i - 1])))
        return 0;
    for (size_t j = i + 1; j < s.n; j++)
        if (s.p[j] == q && (q != '\'' || j + 1 == s.n || !is_letter(s.p[j + 1])))
            return j;
    return 0;
}

/* The text with all quotations emptied. */
static struct str unquoted(struct str s, struct arena *a)
{
    char *p = arena_alloc(a, s.n + 1);
    if (!p)
        return s;
    size_t n = 0;
    unsigned searched = 0; /* bounds the searches that read to the end in vain */
    for (size_t i = 0; i < s.n; i++) {
        p[n++] = s.p[i];
        size_t close = searched < 64 ? closes(s, i) : 0;
        if (close) {
            p[n++] = s.p[close];
            i = close;
        } else if (s.p[i] == '"' || s.p[i] == '`' || s.p[i] == '\'') {
            searched++;
        }
    }
    return str_make(p, n);
}

void evidence_text(struct evidence *ev, struct str s, struct arena *a)
{
    size_t used = 0;
    for (size_t i = 0; i < ev->ntext; i++)
        used += ev->text[i].n;
    if (ev->ntext == EVIDENCE_TEXTS || used >= TEXTS_MAX)
        return;
    struct str text = evidence_plain(str_trim(s), TEXT_MAX, a);
    if (!text.n)
        return;
    ev->text[ev->ntext] = text;
    ev->bare[ev->ntext++] = unquoted(text, a);
}

void evidence_wait(struct evidence *ev, struct str name, struct str value)
{
    if (ev->nwait < EVIDENCE_WAITS)
        ev->wait[ev->nwait++] = (struct evidence_field){name, str_trim(value)};
}

bool evidence_header_waits(struct str name)
{
    return name.n <= SYMBOL_MAX && (str_find_nocase(name, STR("retry-after")) >= 0 ||
                                    str_find_nocase(name, STR("ratelimit")) >= 0 ||
                                    str_find_nocase(name, STR("rate-limit")) >= 0);
}

bool evidence_header_counts(struct str name)
{
    return str_eq_nocase(name, STR("date")) || evidence_header_waits(name);
}

bool evidence_header(struct evidence *ev, struct str name, struct str value, struct arena *a)
{
    if (ev->nfield == EVIDENCE_FIELDS || !evidence_header_counts(name))
        return false;
    struct str low = evidence_plain(name, SYMBOL_MAX, a);
    if (low.n)
        ev->field[ev->nfield++] = (struct evidence_field){low, str_trim(value)};
    return true;
}
