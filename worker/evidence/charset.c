#include "worker/evidence/charset.h"

#include <errno.h>
#include <iconv.h>

/* Bytes of the longest character; one at the end may be cut off. */
enum { LONGEST = 4 };

static bool is_utf8(struct str s)
{
    while (s.n) {
        size_t len = str_utf8_len(s);
        if (len == 0)
            return s.n < LONGEST && (unsigned char)s.p[0] >= 0xc2;
        s = str_make(s.p + len, s.n - len);
    }
    return true;
}

struct str charset_utf8(struct str s, struct arena *a)
{
    if (is_utf8(s))
        return s;
    /* A character of two bytes becomes at most three, one of four bytes stays at four. */
    size_t room = s.n + s.n / 2 + LONGEST;
    char *out = arena_alloc(a, room);
    iconv_t cd = out ? iconv_open("UTF-8", "GB18030") : (iconv_t)-1;
    if (cd == (iconv_t)-1)
        return s;
    char *from = (char *)s.p, *to = out;
    size_t left = s.n, space = room;
    bool ok =
        iconv(cd, &from, &left, &to, &space) != (size_t)-1 || (errno == EINVAL && left < LONGEST);
    (void)iconv_close(cd);
    return ok ? str_make(out, room - space) : s;
}
