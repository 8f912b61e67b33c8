#include "common/policy/classify/words.h"

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

/* Whether a sentence ends in the gap: at ". ", "; ", or a Chinese full stop. */
static bool ends_sentence(struct str gap)
{
    return str_find(gap, STR(". ")) >= 0 || str_find(gap, STR("; ")) >= 0 ||
           str_find(gap, STR("。")) >= 0;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || c == '_' || ascii_digit(c);
}

/* Offset in `text` of a fragment within its part `within`, or -1; *end is the offset behind the
 * fragment. */
static ptrdiff_t find(struct str text, struct str within, struct str fragment, size_t *end)
{
    bool starts = str_starts(fragment, STR("%")),
         ends = fragment.n > 1 && str_ends(fragment, STR("%"));
    fragment = str_make(fragment.p + starts, fragment.n - starts - ends);
    for (size_t at = 0;; at++) {
        ptrdiff_t hit = str_find(from(within, at), fragment);
        if (hit < 0)
            return -1;
        at += (size_t)hit;
        const char *p = within.p + at, *q = p + fragment.n;
        if ((!starts || p == text.p || !is_word(p[-1])) &&
            (!ends || q == text.p + text.n || !is_word(*q))) {
            *end = at + fragment.n;
            return (ptrdiff_t)at;
        }
        if (at == within.n)
            return -1;
    }
}

/* Whether the fragments (between stars) follow each other from text.p + at on. */
static bool follow(struct str text, size_t at, struct str fragments, bool to_end)
{
    struct str part;
    if (!cut(&fragments, '*', &part))
        return !to_end || at == text.n;
    struct str window = str_make(text.p + at, min_size(text.n - at, WORDS_GAP + part.n));
    for (size_t skip = 0, end; skip <= window.n; skip++) {
        ptrdiff_t hit = find(text, from(window, skip), part, &end);
        if (hit < 0)
            return false;
        if (ends_sentence(str_make(window.p, skip + (size_t)hit)))
            return false;
        if (follow(text, at + skip + end, fragments, to_end))
            return true;
        skip += (size_t)hit;
    }
    return false;
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
    for (size_t at = 0, end; at <= text.n; at++) {
        ptrdiff_t hit = find(text, from(text, at), first, &end);
        if (hit < 0 || (at_start && (hit > 0 || at > 0)))
            return false;
        if (follow(text, at + end, pattern, to_end))
            return true;
        at += (size_t)hit;
    }
    return false;
}

/* ---- the pairs of bytes that a text has: most alternatives fail on a pair that is missing */

enum { PAIRS = 4096, PAIRS_FROM = 48 };

struct pairs {
    uint64_t seen[PAIRS / 64];
};

static unsigned pair(const char *p)
{
    return ((unsigned)(unsigned char)p[0] * 31 + (unsigned char)p[1]) % PAIRS;
}

static void pairs_read(struct pairs *t, struct str text)
{
    memset(t, 0, sizeof *t);
    for (size_t i = 0; i + 1 < text.n; i++) {
        unsigned k = pair(text.p + i);
        t->seen[k / 64] |= UINT64_C(1) << k % 64;
    }
}

static bool may_say(const struct pairs *t, struct str pattern)
{
    for (size_t i = 0; i + 1 < pattern.n; i++) {
        const char *p = pattern.p + i;
        if (strchr("*%^$", p[0]) || strchr("*%$", p[1]))
            continue;
        unsigned k = pair(p);
        if (!(t->seen[k / 64] >> k % 64 & 1))
            return false;
    }
    return true;
}

bool words_match(struct str text, const char *patterns)
{
    struct str rest = str_c(patterns), one;
    struct pairs pairs;
    if (!text.p || !patterns)
        return false;
    if (text.n >= PAIRS_FROM)
        pairs_read(&pairs, text);
    while (cut(&rest, '|', &one))
        if (one.n && (text.n < PAIRS_FROM || may_say(&pairs, one)) && says(text, one))
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
