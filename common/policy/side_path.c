#include "common/policy/side_path.h"

#include <string.h>

enum { ID_LONGER_THAN = 24, VERSION_MAX = 8 };

/* Whether servers may read the byte in different ways; an escaped byte: whether it would have a
 * meaning if it were not escaped. */
static bool is_odd(char c, bool escaped)
{
    return (unsigned char)c <= 0x20 || (unsigned char)c >= 0x7f || memchr("\\;?#", c, 4) ||
           (escaped && (c == '/' || c == '%'));
}

/* Cuts the next segment off the front of *rest, which begins with '/', and returns it without the
 * '/'. */
static struct str next_segment(struct str *rest)
{
    size_t n = 1;
    while (n < rest->n && rest->p[n] != '/')
        n++;
    struct str s = str_make(rest->p + 1, n - 1);
    *rest = str_make(rest->p + n, rest->n - n);
    return s;
}

bool side_path_plain(struct str path, char *out, struct str *plain)
{
    size_t n = 0;
    *plain = str_make(out, 0);
    if (str_eq(path, STR("*"))) {
        out[0] = '*';
        plain->n = 1;
        return true;
    }
    if (path.n == 0 || path.p[0] != '/')
        return false;
    for (size_t i = 0; i < path.n; i++) {
        char c = path.p[i];
        bool escaped = c == '%';
        if (escaped) {
            int high = i + 2 < path.n ? ascii_hex(path.p[i + 1]) : -1;
            int low = high >= 0 ? ascii_hex(path.p[i + 2]) : -1;
            if (low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (is_odd(c, escaped))
            return false;
        if (c != '/' || n == 0 || out[n - 1] != '/')
            out[n++] = c;
    }
    plain->n = n;
    for (struct str rest = *plain; rest.n;) {
        struct str s = next_segment(&rest);
        if (str_eq(s, STR(".")) || str_eq(s, STR("..")))
            return false;
    }
    return true;
}

static bool any_matches(char *const *patterns, size_t n, struct str plain,
                        bool (*glob)(struct str pattern, struct str s))
{
    for (size_t i = 0; i < n; i++) {
        struct str p = str_c(patterns[i]);
        if (glob(p, plain) ||
            (p.n > 2 && str_ends(p, STR("/*")) && glob(str_make(p.p, p.n - 2), plain)))
            return true;
    }
    return false;
}

bool side_path_allowed(char *const *allow, size_t nallow, char *const *deny, size_t ndeny,
                       struct str plain)
{
    return any_matches(allow, nallow, plain, str_glob) &&
           !any_matches(deny, ndeny, plain, str_glob_nocase);
}

static bool is_version(struct str s)
{
    return s.n >= 2 && s.n <= VERSION_MAX && s.p[0] == 'v' && ascii_digit(s.p[1]);
}

static bool is_id(struct str s)
{
    bool digit = false;
    for (size_t i = 0; i < s.n && !digit; i++)
        digit = ascii_digit(s.p[i]);
    return s.n > ID_LONGER_THAN || (digit && !is_version(s));
}

bool side_path_has_id(struct str path)
{
    if (path.n == 0 || path.p[0] != '/')
        return false;
    for (struct str rest = path; rest.n;)
        if (is_id(next_segment(&rest)))
            return true;
    return false;
}

struct str side_path_form(struct str path, char *out)
{
    size_t n = 0;
    if (path.n == 0 || path.p[0] != '/') {
        memcpy(out, path.p, path.n);
        return str_make(out, path.n);
    }
    for (struct str rest = path; rest.n;) {
        struct str s = next_segment(&rest);
        if (s.n == 0 && n && out[n - 1] == '/')
            continue;
        if (n == 0 || out[n - 1] != '/')
            out[n++] = '/';
        if (is_id(s))
            out[n++] = '*';
        else if (s.n)
            memcpy(out + n, s.p, s.n);
        n += is_id(s) ? 0 : s.n;
    }
    return str_make(out, n);
}

static enum side_next count_next(const struct side_reply *r)
{
    if ((r->status == 404 || r->status == 400) && r->about_model)
        return SIDE_ANOTHER;
    if (r->status == 413 || r->too_long || (r->status == 400 && r->names_field))
        return SIDE_BACK;
    if (r->status == 404 || r->status == 405 || r->status == 501 || r->page)
        return SIDE_CANNOT_COUNT;
    bool refused = (r->status == 401 || r->status == 403) && !r->clients_key;
    if ((refused || r->status == 400) && !r->counted)
        return SIDE_CANNOT_COUNT;
    return SIDE_ANOTHER;
}

enum side_next side_reply_next(const struct side_reply *r)
{
    if (r->count)
        return r->repeatable ? count_next(r) : SIDE_BACK;
    bool refused = r->status == 401 || r->status == 403;
    if (r->page || (refused && !r->clients_key) || r->status == 405 || r->status == 501 ||
        (r->status == 404 && !r->has_id))
        return SIDE_MARK;
    bool other = refused || r->status < 300 || r->status == 429 || r->status >= 500;
    return other && r->repeatable ? SIDE_ANOTHER : SIDE_BACK;
}
