#include "common/base/str.h"

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
            return false;
    return true;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_eq(str_make(s.p, prefix.n), prefix);
}

bool str_starts_nocase(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_eq_nocase(str_make(s.p, prefix.n), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n && str_eq(str_make(s.p + (s.n - suffix.n), suffix.n), suffix);
}

ptrdiff_t str_find(struct str s, struct str needle)
{
    if (needle.n == 0)
        return 0;
    if (s.n < needle.n)
        return -1;
    const char *hit = memmem(s.p, s.n, needle.p, needle.n);
    return hit ? hit - s.p : -1;
}

ptrdiff_t str_find_nocase(struct str s, struct str needle)
{
    if (s.n < needle.n)
        return -1;
    for (size_t i = 0; i + needle.n <= s.n; i++)
        if (str_eq_nocase(str_make(s.p + i, needle.n), needle))
            return (ptrdiff_t)i;
    return -1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.n && is_blank(s.p[0]))
        s.p++, s.n--;
    while (s.n && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

bool str_next_elem(struct str *list, struct str *elem)
{
    while (list->n) {
        const char *comma = memchr(list->p, ',', list->n);
        size_t len = comma ? (size_t)(comma - list->p) : list->n;
        *elem = str_trim(str_make(list->p, len));
        size_t cut = comma ? len + 1 : len;
        list->p += cut;
        list->n -= cut;
        if (elem->n)
            return true;
    }
    return false;
}

bool str_to_u64(struct str s, uint64_t max, uint64_t *out)
{
    if (s.n == 0)
        return false;
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (!ascii_digit(s.p[i]))
            return false;
        uint64_t d = (uint64_t)(s.p[i] - '0');
        if (v > (UINT64_MAX - d) / 10)
            return false;
        v = v * 10 + d;
    }
    if (v > max)
        return false;
    *out = v;
    return true;
}

size_t str_put_u64(char out[static 20], uint64_t v)
{
    char rev[20];
    size_t n = 0;
    do
        rev[n++] = (char)('0' + v % 10);
    while (v /= 10);
    for (size_t i = 0; i < n; i++)
        out[i] = rev[n - 1 - i];
    return n;
}

void str_put_hex(char *out, uint64_t v, unsigned digits)
{
    for (unsigned i = digits; i > 0; i--, v >>= 4)
        out[i - 1] = "0123456789abcdef"[v & 15];
}

static char folded(char c, bool fold)
{
    return fold ? ascii_lower(c) : c;
}

static bool glob(struct str pattern, struct str s, bool fold)
{
    size_t p = 0, i = 0, star = SIZE_MAX, mark = 0;
    while (i < s.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = p++;
            mark = i;
        } else if (p < pattern.n && folded(pattern.p[p], fold) == folded(s.p[i], fold)) {
            p++;
            i++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            i = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

bool str_glob(struct str pattern, struct str s)
{
    return glob(pattern, s, false);
}

bool str_glob_nocase(struct str pattern, struct str s)
{
    return glob(pattern, s, true);
}

size_t str_put_words(char *out, size_t size, struct str s)
{
    static const char rest[] = "…";
    size_t n = s.n;
    if (n >= size) {
        size_t most = size - sizeof rest;
        for (n = most; n > most / 2 && s.p[n] != ' ';)
            n--;
        if (s.p[n] != ' ') /* one long word */
            for (n = most; n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80;)
                n--;
        while (n > 0 && strchr(" ,;:", s.p[n - 1]))
            n--;
    }
    if (n)
        memcpy(out, s.p, n);
    if (n < s.n) {
        memcpy(out + n, rest, sizeof rest - 1);
        n += sizeof rest - 1;
    }
    out[n] = '\0';
    return n;
}

size_t str_utf8_len(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    if (s.n == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || s.n < len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return len;
}
