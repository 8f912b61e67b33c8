#include "supervisor/qccctl/answer/tree.h"

#include "common/base/mem.h"
#include "common/ipc/doc_read.h"

#include <stdlib.h>

static json_t *text(struct str s)
{
    json_t *v = json_stringn(s.p, s.n);
    if (v)
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
        if (!doc_key(r, &key) || key.n >= sizeof name) {
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

static json_t *value(struct rd *r, unsigned depth)
{
    struct doc_value v;
    if (!doc_read(r, depth, &v))
        return NULL;
    switch (v.kind) {
    case DOC_TEXT:
        return text(v.text);
    case DOC_INT:
        return json_integer(v.i);
    case DOC_BIG: /* beyond int64_t, which no count of QCC reaches */
        return json_real((double)v.u);
    case DOC_FLAG:
        return json_boolean(v.flag);
    case DOC_NIL:
        return json_null();
    case DOC_DECIMAL:
        return number(v.text);
    case DOC_MAP:
        return object(r, v.n, depth);
    case DOC_ARRAY:
        return array(r, v.n, depth);
    }
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
