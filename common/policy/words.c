#include "common/policy/words.h"

static struct str from(struct str s, size_t at)
{
    return str_make(s.p + at, s.n - at);
}

/* Cuts the part before the next `mark` off the front of *rest. False when nothing is left. */
static bool cut(struct str *rest, char mark, struct str *part)
{
    if (!rest->p)
        return false;
    const char *at = rest->n ? memchr(rest->p, mark, rest->n) : NULL;
    size_t len = at ? (size_t)(at - rest->p) : rest->n;
    *part = str_make(rest->p, len);
    *rest = at ? from(*rest, len + 1) : (struct str){0};
    return true;
}

/* A sentence ends at ". ", "; ", or a Chinese full stop. */
static bool ends_sentence(struct str gap)
{
    return str_find(gap, STR(". ")) >= 0 || str_find(gap, STR("; ")) >= 0 || str_find(gap, STR("。")) >= 0;
}

/* Whether the fragments (between stars) follow each other from the front of the text on. */
static bool follow(struct str text, struct str fragments, bool to_end)
{
    struct str part;
    if (!cut(&fragments, '*', &part))
        return !to_end || text.n == 0;
    struct str window = str_make(text.p, min_size(text.n, WORDS_GAP + part.n));
    for (size_t at = 0;;) {
        ptrdiff_t hit = str_find(from(window, at), part);
        if (hit < 0)
            return false;
        at += (size_t)hit;
        if (ends_sentence(str_make(text.p, at)))
            return false;
        if (follow(from(text, at + part.n), fragments, to_end))
            return true;
        if (++at > window.n)
            return false;
    }
}

static bool says(struct str text, struct str pattern)
{
    bool to_end = str_ends(pattern, STR("$"));
    if (to_end)
        pattern.n--;
    bool at_start = str_starts(pattern, STR("^"));
    if (at_start)
        pattern = from(pattern, 1);
    struct str first;
    if (!cut(&pattern, '*', &first))
        return false;
    for (size_t at = 0; at <= text.n;) {
        ptrdiff_t hit = str_find(from(text, at), first);
        if (hit < 0 || (at_start && (hit > 0 || at > 0)))
            return false;
        at += (size_t)hit;
        if (follow(from(text, at + first.n), pattern, to_end))
            return true;
        at++;
    }
    return false;
}

bool words_match(struct str text, const char *patterns)
{
    struct str rest = str_c(patterns), one;
    if (!text.p)
        return false;
    while (cut(&rest, '|', &one))
        if (one.n && says(text, one))
            return true;
    return false;
}

bool words_symbol(struct str symbol, const char *patterns)
{
    struct str rest = str_c(patterns), one;
    while (cut(&rest, '|', &one))
        if (one.n && str_glob(one, symbol))
            return true;
    return false;
}
