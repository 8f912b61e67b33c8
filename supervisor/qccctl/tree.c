#include "supervisor/qccctl/tree.h"

#include "common/base/mem.h"
#include "common/ipc/wire.h"

#include <stdlib.h>

enum { DEEPEST = 16, MANY = 1 << 20, LONG = 1 << 20 };

static json_t *text(struct str s)
{
    json_t *v = json_stringn(s.p, s.n);
    if (v || s.n > LONG)
        return v;
    char *clean = mem_zalloc(s.n + 1, 1);
    for (size_t i = 0; i < s.n;) {
        size_t n = str_utf8_len(str_make(s.p + i, s.n - i));
        if (n == 0)
            clean[i++] = '?';
        else
            memcpy(clean + i, s.p + i, n), i += n;
    }
    v = json_stringn(clean, s.n);
    mem_free(clean);
    return v;
}

static json_t *number(struct str s)
{
    char digits[40];
    if (s.n == 0 || s.n >= sizeof digits)
        return NULL;
    memcpy(digits, s.p, s.n);
    digits[s.n] = '\0';
    char *end;
    double v = strtod(digits, &end);
    return *end == '\0' ? json_real(v) : NULL;
}

static json_t *value(struct rd *r, unsigned depth);

static json_t *object(struct rd *r, uint32_t n, unsigned depth)
{
    json_t *o = json_object();
    for (uint32_t i = 0; o && i < n; i++) {
        struct str key;
        char name[128];
        if (!rd_str(r, sizeof name - 1, &key)) {
            json_decref(o);
            return NULL;
        }
        memcpy(name, key.p, key.n);
        name[key.n] = '\0';
        if (json_object_set_new(o, name, value(r, depth + 1)) == -1) {
            json_decref(o);
            return NULL;
        }
    }
    return o;
}

static json_t *array(struct rd *r, uint32_t n, unsigned depth)
{
    json_t *a = json_array();
    for (uint32_t i = 0; a && i < n; i++)
        if (json_array_append_new(a, value(r, depth + 1)) == -1) {
            json_decref(a);
            return NULL;
        }
    return a;
}

/* Reads a value. A rd_ function that fails does not move, so the kinds are tried one after the
 * other. */
static json_t *value(struct rd *r, unsigned depth)
{
    uint64_t u;
    int64_t i;
    uint32_t n;
    bool b;
    struct str s;
    if (depth > DEEPEST)
        return NULL;
    if (rd_str(r, LONG, &s))
        return text(s);
    if (rd_i64(r, &i))
        return json_integer(i);
    if (rd_u64(r, &u)) /* beyond int64_t, which no count of QCC reaches */
        return json_real((double)u);
    if (rd_flag(r, &b))
        return json_boolean(b);
    if (rd_nil(r))
        return json_null();
    if (rd_bin(r, LONG, &s))
        return number(s);
    if (rd_map(r, MANY, &n))
        return object(r, n, depth);
    if (rd_array(r, MANY, &n))
        return array(r, n, depth);
    return NULL;
}

json_t *tree_read(struct str msgpack)
{
    struct rd r;
    rd_init(&r, msgpack);
    json_t *v = value(&r, 0);
    if (v && !rd_end(&r)) {
        json_decref(v);
        v = NULL;
    }
    return v;
}
