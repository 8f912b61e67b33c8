#include "worker/admin/json_write.h"

#include "common/ipc/doc_read.h"
#include "worker/json/json_find.h"

/* What is no UTF-8: a client's name of a model, or one that was cut. */
bool json_write_text(struct str s, struct buf *out)
{
    bool ok = buf_str(out, STR("\""));
    size_t from = 0, len;
    for (size_t i = 0; ok && i < s.n; i += len) {
        len = str_utf8_len(str_make(s.p + i, s.n - i));
        if (len)
            continue;
        len = 1;
        ok = json_escape(str_make(s.p + from, i - from), out) && buf_str(out, STR("?"));
        from = i + 1;
    }
    return ok && json_escape(str_make(s.p + from, s.n - from), out) && buf_str(out, STR("\""));
}

static bool number(struct str s, struct buf *out)
{
    if (s.n == 0 || s.n > 32)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!ascii_digit(s.p[i]) && s.p[i] != '.' && s.p[i] != '-')
            return false;
    return buf_str(out, s);
}

static bool value(struct rd *r, unsigned depth, struct buf *out);

static bool members(struct rd *r, uint32_t n, unsigned depth, struct buf *out)
{
    for (uint32_t i = 0; i < n; i++) {
        struct str key;
        if (!doc_key(r, &key) || (i && !buf_str(out, STR(","))) || !json_write_text(key, out) ||
            !buf_str(out, STR(":")) || !value(r, depth + 1, out))
            return false;
    }
    return true;
}

static bool elements(struct rd *r, uint32_t n, unsigned depth, struct buf *out)
{
    for (uint32_t i = 0; i < n; i++)
        if ((i && !buf_str(out, STR(","))) || !value(r, depth + 1, out))
            return false;
    return true;
}

static bool value(struct rd *r, unsigned depth, struct buf *out)
{
    struct doc_value v;
    if (!doc_read(r, depth, &v))
        return false;
    switch (v.kind) {
    case DOC_TEXT:
        return json_write_text(v.text, out);
    case DOC_INT:
        return v.i < 0 ? buf_str(out, STR("-")) && buf_u64(out, 0 - (uint64_t)v.i)
                       : buf_u64(out, (uint64_t)v.i);
    case DOC_BIG:
        return buf_u64(out, v.u);
    case DOC_FLAG:
        return buf_str(out, v.flag ? STR("true") : STR("false"));
    case DOC_NIL:
        return buf_str(out, STR("null"));
    case DOC_DECIMAL:
        return number(v.text, out);
    case DOC_MAP:
        return buf_str(out, STR("{")) && members(r, v.n, depth, out) && buf_str(out, STR("}"));
    case DOC_ARRAY:
        return buf_str(out, STR("[")) && elements(r, v.n, depth, out) && buf_str(out, STR("]"));
    }
    return false;
}

bool json_write(struct str msgpack, struct buf *out)
{
    struct rd r;
    rd_init(&r, msgpack);
    return value(&r, 0, out) && rd_end(&r);
}
