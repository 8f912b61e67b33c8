#include "common/ipc/params.h"

/* Cuts the next "name=value" off the query. */
static bool next(struct str *query, struct str *name, struct str *value)
{
    if (!query->n)
        return false;
    const char *and = memchr(query->p, '&', query->n);
    size_t n = and? (size_t)(and-query->p) : query->n;
    const char *is = memchr(query->p, '=', n);
    size_t nname = is ? (size_t)(is - query->p) : n;
    *name = str_make(query->p, nname);
    *value = is ? str_make(is + 1, n - nname - 1) : str_make(query->p + n, 0);
    n += and != NULL;
    *query = str_make(query->p + n, query->n - n);
    return true;
}

static bool decode(struct str v, char *room, size_t size, struct str *out)
{
    size_t n = 0;
    for (size_t i = 0; i < v.n; i++) {
        int c = (unsigned char)v.p[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            if (i + 2 >= v.n || ascii_hex(v.p[i + 1]) < 0 || ascii_hex(v.p[i + 2]) < 0)
                return false;
            c = ascii_hex(v.p[i + 1]) << 4 | ascii_hex(v.p[i + 2]);
            i += 2;
        }
        if (n == size || c < ' ' || c == 0x7f)
            return false;
        room[n++] = (char)c;
    }
    *out = str_make(room, n);
    return true;
}

enum param params_get(struct str query, struct str name, char *room, size_t size, struct str *value)
{
    struct str n, v;
    while (next(&query, &n, &v))
        if (str_eq(n, name))
            return decode(v, room, size, value) ? PARAM_GIVEN : PARAM_BAD;
    return PARAM_NONE;
}

struct str params_unknown(struct str query, const struct str *names, size_t n)
{
    struct str name, v;
    while (next(&query, &name, &v)) {
        size_t i = 0;
        while (i < n && !str_eq(name, names[i]))
            i++;
        if (i == n && (name.n || v.n))
            return name.n ? name : STR("=");
    }
    return (struct str){0};
}

bool params_moment(struct str v, int64_t now_s, int64_t *at_s)
{
    static const struct {
        char unit;
        uint32_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    uint64_t n;
    if (str_to_u64(v, INT64_MAX / 1000, &n)) {
        *at_s = (int64_t)n;
        return true;
    }
    for (size_t i = 0; v.n && i < COUNT_OF(units); i++)
        if (v.p[v.n - 1] == units[i].unit && str_to_u64(str_make(v.p, v.n - 1), 1u << 31, &n)) {
            *at_s = now_s - (int64_t)(n * units[i].seconds);
            return *at_s >= 0;
        }
    return false;
}

bool params_add(struct buf *b, struct str name, struct str value)
{
    bool ok = buf_str(b, b->len ? STR("&") : STR("")) && buf_str(b, name) && buf_str(b, STR("="));
    for (size_t i = 0; ok && i < value.n; i++) {
        char c = value.p[i];
        bool plain = ascii_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     c == '-' || c == '.' || c == '_' || c == '/' || c == ':';
        ok = plain ? buf_add(b, &c, 1) : buf_printf(b, "%%%02X", (unsigned)(unsigned char)c);
    }
    return ok;
}
