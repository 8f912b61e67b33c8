#include "common/policy/model_name.h"

/* Bytes of the longest region in front of ".anthropic.", as "us-gov". */
enum { REGION_MAX = 8 };

static size_t digits_at_end(struct str s)
{
    size_t n = 0;
    while (n < s.n && ascii_digit(s.p[s.n - n - 1]))
        n++;
    return n;
}

static bool ends_with_char(struct str s, size_t before, char c)
{
    return s.n > before && s.p[s.n - before - 1] == c;
}

/* Whether 8 digits are a date of this century. */
static bool is_date(const char *p)
{
    unsigned month = (unsigned)(p[4] - '0') * 10 + (unsigned)(p[5] - '0');
    unsigned day = (unsigned)(p[6] - '0') * 10 + (unsigned)(p[7] - '0');
    return p[0] == '2' && p[1] == '0' && month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

/* Bytes at the end of s that tell a build or a variant of the same model. */
static size_t variant_at_end(struct str s)
{
    static const struct str words[] = {STR_LIT("[1m]"), STR_LIT("-latest")};
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (str_ends(s, words[i]))
            return words[i].n;
    size_t n = digits_at_end(s);
    if (n == 8 && is_date(s.p + s.n - n) &&
        (ends_with_char(s, n, '-') || ends_with_char(s, n, '@')))
        return n + 1;
    if (n == 0 || !ends_with_char(s, n, ':'))
        return 0;
    /* Bedrock's version, "-v1:0" */
    size_t major = digits_at_end(str_make(s.p, s.n - n - 1));
    size_t all = n + 1 + major;
    if (major && ends_with_char(s, all, 'v') && ends_with_char(s, all + 1, '-'))
        return all + 2;
    return 0;
}

/* Bytes of the vendor at the front of s. */
static size_t vendor_at_front(struct str s)
{
    static const struct str vendor = STR_LIT("anthropic");
    size_t region = 0;
    while (region < s.n && region <= REGION_MAX &&
           ((s.p[region] >= 'a' && s.p[region] <= 'z') || s.p[region] == '-'))
        region++;
    struct str rest = s;
    if (region < s.n && region > 0 && region <= REGION_MAX && s.p[region] == '.')
        rest = str_make(s.p + region + 1, s.n - region - 1);
    if (!str_starts(rest, vendor) || rest.n == vendor.n)
        return 0;
    size_t n = (size_t)(rest.p - s.p) + vendor.n;
    return s.p[n] == '.' || (s.p[n] == '/' && rest.p == s.p) ? n + 1 : 0;
}

struct str model_name(struct str name, char out[static MODEL_NAME_MAX])
{
    if (name.n > MODEL_NAME_MAX)
        return STR("");
    for (size_t i = 0; i < name.n; i++) {
        bool point = name.p[i] == '.' && i > 0 && i + 1 < name.n && ascii_digit(name.p[i - 1]) &&
                     ascii_digit(name.p[i + 1]);
        out[i] = point ? '-' : ascii_lower(name.p[i]);
    }
    struct str s = str_make(out, name.n);
    size_t n = vendor_at_front(s);
    if (n < s.n)
        s = str_make(s.p + n, s.n - n);
    while ((n = variant_at_end(s)) != 0 && n < s.n)
        s.n -= n;
    return s;
}

struct str model_family(struct str name, char out[static MODEL_NAME_MAX])
{
    static const struct str claude = STR_LIT("claude-");
    struct str s = model_name(name, out);
    if (!str_starts(s, claude))
        return s;
    for (size_t from = claude.n; from < s.n;) {
        size_t to = from;
        bool letters = true;
        for (; to < s.n && s.p[to] != '-'; to++)
            letters &= s.p[to] >= 'a' && s.p[to] <= 'z';
        if (letters && to > from)
            return str_make(s.p + from, to - from);
        from = to + 1;
    }
    return s;
}

/* FNV-1a: fast on short names; collisions can be provoked, but gain nothing. */
uint64_t model_hash(struct str model)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < model.n; i++)
        h = (h ^ (uint8_t)model.p[i]) * 0x100000001b3u;
    return h;
}
