/* str: a borrowed run of bytes, not NUL-terminated. Valid as long as what it was cut from. */
#ifndef QCC_COMMON_BASE_STR_H
#define QCC_COMMON_BASE_STR_H

#include "common/base/base.h"

#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(lit) ((struct str){(lit), sizeof(lit) - 1})
/* The same as an initializer, for tables. */
#define STR_LIT(lit)                                                                               \
    {                                                                                              \
        (lit), sizeof(lit) - 1                                                                     \
    }
#define STR_FMT "%.*s"
#define STR_ARG(s) (int)(s).n, (s).p

/* n bytes at p, borrowed. */
static inline struct str str_make(const char *p, size_t n)
{
    return (struct str){p, n};
}

/* The bytes of a C string, borrowed; NULL gives the empty str. */
static inline struct str str_c(const char *s)
{
    return (struct str){s, s ? strlen(s) : 0};
}

/* Whether the bytes are equal. */
static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Whether the bytes are equal with ASCII case folded: for header names, tokens, host names. */
bool str_eq_nocase(struct str a, struct str b);

/* Whether s begins or ends so; _nocase folds ASCII case. */
bool str_starts(struct str s, struct str prefix);
bool str_starts_nocase(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);

/* Offset of `needle` in `s`, or -1; _nocase folds ASCII case. */
ptrdiff_t str_find(struct str s, struct str needle);
ptrdiff_t str_find_nocase(struct str s, struct str needle);

/* s without blanks, tabs, CR and LF at both ends. */
struct str str_trim(struct str s);

/* Cuts the next element of a comma list (RFC 9110 5.6.1) off the front of *list, trimmed; empty
 * elements are skipped. False at the end. */
bool str_next_elem(struct str *list, struct str *elem);

/* Reads a number of decimal digits only, without sign or blanks. False: something else, or more
 * than `max`. */
bool str_to_u64(struct str s, uint64_t max, uint64_t *out) MUST_CHECK;

/* Writes v in decimal, without a NUL; returns the number of digits (at most 20). For the hot path,
 * where snprintf costs more than the rest of a line. */
size_t str_put_u64(char out[static 20], uint64_t v);

/* Writes the lowest `digits` hex digits of v, in lower case, without a NUL. */
void str_put_hex(char *out, uint64_t v, unsigned digits);

/* Whether s matches a pattern in which '*' stands for any run of bytes; the second folds ASCII
 * case. */
bool str_glob(struct str pattern, struct str s);
bool str_glob_nocase(struct str pattern, struct str s);

/* Writes s and a NUL into out[size], size at least 8. What is too long is cut behind a word, with
 * "…" in place of the rest. Returns the bytes without the NUL. */
size_t str_put_words(char *out, size_t size, struct str s);

/* Bytes of the UTF-8 character at the front (RFC 3629: no overlong forms, no surrogates, at most
 * U+10FFFF); 0 when there is none. */
size_t str_utf8_len(struct str s);

/* c in lower case when it is an ASCII letter, else c. */
static inline char ascii_lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

/* Whether c is one of 0 to 9. */
static inline bool ascii_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The value of a hex digit in either case; -1: it is none. */
static inline int ascii_hex(char c)
{
    if (ascii_digit(c))
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif
