#include "worker/dialect/refusal_limit.h"

enum { DIGITS_MAX = 12 };

/* Reads a number, of which thousands may be separated by commas, off the front. False: there is
 * none. */
static bool cut_number(struct str *s, uint64_t *v)
{
    uint64_t n = 0;
    size_t i = 0, digits = 0;
    for (; i < s->n && digits <= DIGITS_MAX; i++) {
        if (ascii_digit(s->p[i])) {
            n = n * 10 + (uint64_t)(s->p[i] - '0');
            digits++;
        } else if (!(s->p[i] == ',' && digits && i + 3 < s->n && ascii_digit(s->p[i + 1]) &&
                     ascii_digit(s->p[i + 2]) && ascii_digit(s->p[i + 3]))) {
            break;
        }
    }
    if (!digits || digits > DIGITS_MAX)
        return false;
    *s = str_make(s->p + i, s->n - i);
    *v = n;
    return true;
}

/* Moves to the first digit, over quotes, blanks and the like only. False: something else comes
 * first. */
static bool skip_to_number(struct str *s)
{
    static const struct str between = STR_LIT(" \t\n`'\"*=:(<");
    while (s->n && memchr(between.p, s->p[0], between.n))
        *s = str_make(s->p + 1, s->n - 1);
    return s->n && ascii_digit(s->p[0]);
}

uint64_t refusal_limit(struct str words, uint64_t asked)
{
    static const struct {
        struct str phrase;
        uint64_t less; /* the limit itself is not allowed */
    } phrases[] = {
        {STR_LIT("at most"), 0},
        {STR_LIT("[1,"), 0},
        {STR_LIT("[0,"), 0},
        {STR_LIT("<="), 0},
        {STR_LIT("\xe2\x89\xa4"), 0}, /* U+2264 */
        {STR_LIT("less than or equal to"), 0},
        {STR_LIT("lower than or equal to"), 0},
        {STR_LIT("smaller than or equal to"), 0},
        {STR_LIT("between 1 and"), 0},
        {STR_LIT("between 0 and"), 0},
        {STR_LIT("from 1 to"), 0},
        {STR_LIT("1 and"), 0},
        {STR_LIT("not exceed"), 0},
        {STR_LIT("no more than"), 0},
        {STR_LIT("no greater than"), 0},
        {STR_LIT("not be greater than"), 0},
        {STR_LIT("not be larger than"), 0},
        {STR_LIT("not be more than"), 0},
        {STR_LIT("up to"), 0},
        {STR_LIT("maximum of"), 0},
        {STR_LIT("maximum is"), 0},
        {STR_LIT("maximum value is"), 0},
        {STR_LIT("maximum value of"), 0},
        {STR_LIT("maximum allowed is"), 0},
        {STR_LIT("limit is"), 0},
        {STR_LIT("limit of"), 0},
        {STR_LIT("limited to"), 0},
        {STR_LIT("(inclusive) to"), 1},
        {STR_LIT("less than"), 1},
    };
    for (size_t i = 0; i < COUNT_OF(phrases); i++) {
        for (struct str left = words;;) {
            ptrdiff_t at = str_find(left, phrases[i].phrase);
            if (at < 0)
                break;
            size_t behind = (size_t)at + phrases[i].phrase.n;
            left = str_make(left.p + behind, left.n - behind);
            struct str s = left;
            uint64_t n;
            if (skip_to_number(&s) && cut_number(&s, &n) && n > phrases[i].less &&
                n - phrases[i].less < asked)
                return n - phrases[i].less;
        }
    }
    return 0;
}

/* The sum of the numbers in "(P in the messages, F in the functions, C in the completion)", less
 * that of the completion; 0: there is no such list. */
static uint64_t prompt_in_list(struct str words)
{
    for (;;) {
        ptrdiff_t open = str_find(words, STR("("));
        if (open < 0)
            return 0;
        words = str_make(words.p + open + 1, words.n - (size_t)open - 1);
        ptrdiff_t close = str_find(words, STR(")"));
        struct str list = str_make(words.p, close < 0 ? words.n : (size_t)close);
        uint64_t sum = 0, n;
        bool completion = false;
        while (list.n) {
            if (!ascii_digit(list.p[0])) {
                list = str_make(list.p + 1, list.n - 1);
                continue;
            }
            if (!cut_number(&list, &n))
                return 0;
            size_t end = 0;
            while (end < list.n && !ascii_digit(list.p[end]))
                end++;
            struct str what = str_make(list.p, end);
            bool answer =
                str_find(what, STR("completion")) >= 0 || str_find(what, STR("output")) >= 0;
            completion = completion || answer;
            sum += answer ? 0 : n;
        }
        if (completion && sum)
            return sum;
    }
}

/* The number in front of the phrase; 0: none. */
static uint64_t number_before(struct str words, struct str phrase)
{
    ptrdiff_t at = str_find(words, phrase);
    if (at < 0)
        return 0;
    size_t end = (size_t)at;
    while (end && words.p[end - 1] == ' ')
        end--;
    size_t from = end;
    while (from && (ascii_digit(words.p[from - 1]) || words.p[from - 1] == ','))
        from--;
    struct str s = str_make(words.p + from, end - from);
    uint64_t n = 0;
    return cut_number(&s, &n) && !s.n ? n : 0;
}

uint64_t refusal_context_left(struct str words)
{
    uint64_t length;
    ptrdiff_t at = str_find(words, STR("maximum context length"));
    if (at < 0)
        return 0;
    struct str s = str_make(words.p + at, words.n - (size_t)at);
    while (s.n && !ascii_digit(s.p[0]))
        s = str_make(s.p + 1, s.n - 1);
    struct str behind = s;
    if (!cut_number(&behind, &length))
        return 0;
    uint64_t prompt = prompt_in_list(behind);
    if (!prompt)
        prompt = number_before(words, STR("input tokens"));
    return prompt && prompt < length ? length - prompt : 0;
}
