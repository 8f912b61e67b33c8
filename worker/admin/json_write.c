#include "worker/admin/json_write.h"

#include "common/ipc/wire.h"
#include "worker/json/json_find.h"

enum { DEEPEST = 16, MANY = 1 << 20, LONG = 1 << 20 };

/* Writes a string. Bytes that are not UTF-8 (in a model's name from a client, or one that was cut)
 * become question marks. */
static bool text(struct str s, struct buf *out)
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
        if (!rd_str(r, LONG, &key) || (i && !buf_str(out, STR(","))) || !text(key, out) ||
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

/* Writes one value. An rd_ function that fails does not move r, so that each type can be tried in
 * turn. */
static bool value(struct rd *r, unsigned depth, struct buf *out)
{
    uint64_t u;
    int64_t i;
    uint32_t n;
    bool b;
    struct str s;
    if (depth > DEEPEST)
        return false;
    if (rd_str(r, LONG, &s))
        return text(s, out);
    if (rd_u64(r, &u))
        return buf_u64(out, u);
    if (rd_i64(r, &i))
        return buf_str(out, STR("-")) && buf_u64(out, 0 - (uint64_t)i);
    if (rd_flag(r, &b))
        return buf_str(out, b ? STR("true") : STR("false"));
    if (rd_nil(r))
        return buf_str(out, STR("null"));
    if (rd_bin(r, LONG, &s))
        return number(s, out);
    if (rd_map(r, MANY, &n))
        return buf_str(out, STR("{")) && members(r, n, depth, out) && buf_str(out, STR("}"));
    if (rd_array(r, MANY, &n))
        return buf_str(out, STR("[")) && elements(r, n, depth, out) && buf_str(out, STR("]"));
    return false;
}

bool json_write(struct str msgpack, struct buf *out)
{
    struct rd r;
    rd_init(&r, msgpack);
    return value(&r, 0, out) && rd_end(&r);
}
