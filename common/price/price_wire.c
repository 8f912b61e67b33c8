#include "common/price/price_wire.h"

#include "common/ipc/ipc.h"
#include "common/ipc/wire.h"

#include <msgpack.h>

enum { FORM = 1, MODEL_PARTS = 4, ROW_PARTS = 8 };

/* 9 bytes a number at most; names, sources and heads beside them. */
_Static_assert(PRICE_ROWS_TOTAL *(ROW_PARTS + 2 * PRICE_TOKENS) * 9 +
                       PRICE_MODELS_MAX * (MODEL_NAME_MAX + PRICE_SOURCE_MAX + 20) <
                   IPC_PRICES_MAX,
               "every table fits into a frame");

/* ---- writing */

/* The first failure, which ends all writing. */
struct packer {
    msgpack_packer pk;
    bool failed;
};

#define PACK(p, call, ...)                                                                         \
    ((p)->failed = (p)->failed || msgpack_pack_##call(&(p)->pk, ##__VA_ARGS__) != 0)

static void pack_text(struct packer *p, const char *s)
{
    PACK(p, str, strlen(s));
    PACK(p, str_body, s, strlen(s));
}

static void pack_rate(struct packer *p, uint64_t v)
{
    if (v == PRICE_NONE)
        PACK(p, nil);
    else
        PACK(p, uint64, v);
}

static void pack_rates(struct packer *p, const uint64_t v[PRICE_TOKENS])
{
    PACK(p, array, PRICE_TOKENS);
    for (size_t i = 0; i < PRICE_TOKENS; i++)
        pack_rate(p, v[i]);
}

static void pack_row(struct packer *p, const struct price_row *r)
{
    PACK(p, array, ROW_PARTS);
    PACK(p, int64, r->from_s);
    PACK(p, uint64, r->above_class);
    pack_rate(p, r->fast);
    pack_rate(p, r->batch);
    pack_rate(p, r->geo_us);
    pack_rate(p, r->web);
    pack_rates(p, r->base);
    pack_rates(p, r->above);
}

bool price_pack(const struct price_table *t, struct buf *b)
{
    struct packer p = {.failed = false};
    msgpack_packer_init(&p.pk, b, wire_write);
    PACK(&p, array, 2);
    PACK(&p, uint32, FORM);
    PACK(&p, array, t->n);
    for (size_t i = 0; i < t->n; i++) {
        const struct price_model *m = t->v[i];
        PACK(&p, array, MODEL_PARTS);
        pack_text(&p, m->name);
        pack_text(&p, m->source);
        if (m->override)
            PACK(&p, true);
        else
            PACK(&p, false);
        PACK(&p, array, m->n);
        for (size_t k = 0; k < m->n; k++)
            pack_row(&p, &m->rows[k]);
    }
    return !p.failed;
}

/* ---- reading */

static bool read_rate(struct rd *r, uint64_t *v)
{
    *v = PRICE_NONE;
    return rd_nil(r) || (rd_u64(r, v) && *v != PRICE_NONE);
}

static bool read_rates(struct rd *r, uint64_t v[PRICE_TOKENS])
{
    uint32_t n;
    bool ok = rd_array(r, PRICE_TOKENS, &n) && n == PRICE_TOKENS;
    for (size_t i = 0; ok && i < PRICE_TOKENS; i++)
        ok = read_rate(r, &v[i]);
    return ok;
}

static bool read_row(struct rd *r, struct price_row *row)
{
    uint32_t n;
    if (!rd_array(r, ROW_PARTS, &n) || n != ROW_PARTS || !rd_i64(r, &row->from_s) ||
        !rd_u64(r, &row->above_class))
        return false;
    return read_rate(r, &row->fast) && read_rate(r, &row->batch) && read_rate(r, &row->geo_us) &&
           read_rate(r, &row->web) && read_rates(r, row->base) && read_rates(r, row->above);
}

static bool read_text(struct rd *r, size_t max, char *out)
{
    struct str s;
    if (!rd_str(r, max, &s) || (s.n && memchr(s.p, '\0', s.n)))
        return false;
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return true;
}

/* rows: room for PRICE_ROWS_MAX. */
static bool read_model(struct rd *r, struct price_row *rows, struct price_model *m)
{
    uint32_t n;
    *m = (struct price_model){.rows = rows};
    if (!rd_array(r, MODEL_PARTS, &n) || n != MODEL_PARTS ||
        !read_text(r, MODEL_NAME_MAX, m->name) || !read_text(r, PRICE_SOURCE_MAX, m->source) ||
        !rd_flag(r, &m->override) || !rd_array(r, PRICE_ROWS_MAX, &n))
        return false;
    m->n = n;
    for (size_t i = 0; i < m->n; i++)
        if (!read_row(r, &rows[i]))
            return false;
    return true;
}

static bool read_all(struct rd *r, struct price_table *t)
{
    struct price_row rows[PRICE_ROWS_MAX];
    struct price_model m;
    uint64_t form;
    uint32_t n;
    if (!rd_array(r, 2, &n) || n != 2 || !rd_u64(r, &form) || form != FORM ||
        !rd_array(r, PRICE_MODELS_MAX, &n))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!read_model(r, rows, &m) || price_find(t, str_c(m.name)) || !price_table_put(t, &m))
            return false;
    return rd_end(r);
}

bool price_unpack(struct str packed, struct price_table *t)
{
    struct rd r;
    *t = (struct price_table){0};
    rd_init(&r, packed);
    if (packed.n <= IPC_PRICES_MAX && read_all(&r, t))
        return true;
    price_table_free(t);
    return false;
}
