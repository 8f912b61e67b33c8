#include "worker/http/http1_front.h"

#include "worker/http/http1_field.h"

#include <string.h>

bool http1_byte_ok(unsigned char c, unsigned char prev)
{
    if (prev == '\r' || c == '\n')
        return c == '\n' && prev == '\r';
    return (c >= 0x20 && c != 0x7f) || c == '\t' || c == '\r';
}

bool http1_version_form(struct str v)
{
    return v.n == 8 && memcmp(v.p, "HTTP/", 5) == 0 && ascii_digit(v.p[5]) && v.p[6] == '.' &&
           ascii_digit(v.p[7]);
}

bool http1_front_bytes(const char *p, size_t n, size_t from)
{
    unsigned char prev = from > 0 ? (unsigned char)p[from - 1] : 0;
    for (size_t at = from; at < n; at++) {
        if (!http1_byte_ok((unsigned char)p[at], prev))
            return false;
        prev = (unsigned char)p[at];
    }
    return true;
}

const char *http1_front_text(enum http1_front f)
{
    return f == FRONT_LONG_METHOD ? "method longer than 32 bytes"
                                  : "bad request line, control character, bare CR or bare LF";
}

/* Looks at the first line, as far as it is there. */
static enum http1_front first_line(const char *p, size_t n)
{
    size_t at = 0;
    while (at < n && at <= HTTP1_METHOD_MAX && http1_is_token(str_make(p + at, 1)))
        at++;
    if (at > HTTP1_METHOD_MAX)
        return FRONT_LONG_METHOD;
    if (at == n)
        return FRONT_OPEN;
    if (at == 0 || p[at] != ' ')
        return FRONT_BAD;
    const char *lf = memchr(p + at, '\n', min_size(n, HTTP1_METHOD_MAX) - at);
    if (!lf)
        return FRONT_OPEN;
    return lf - p > 10 && lf[-1] == '\r' && lf[-10] == ' ' &&
                   http1_version_form(str_make(lf - 9, 8))
               ? FRONT_OPEN
               : FRONT_BAD;
}

enum http1_front http1_front(const char *p, size_t n, size_t from)
{
    enum http1_front f = first_line(p, n);
    return f == FRONT_OPEN && !http1_front_bytes(p, n, from) ? FRONT_BAD : f;
}
