#include "supervisor/recorder/ask/cost.h"

#include "common/base/mem.h"
#include "common/price/price_doc.h"
#include "supervisor/recorder/tables/store_batch.h"

#include <string.h>

enum { MODELS_MAX = 4096 };

#define MORE (UINT64_C(1) << COST_UNPRICED)

struct cost_model {
    int64_t id;
    char text[MODEL_NAME_MAX]; /* cut; empty: the row names no model */
};

/* ---- models */

int cost_init(struct cost *c, const struct ask *a)
{
    sqlite3_stmt *st;
    *c = (struct cost){.prices = a->prices};
    c->models = mem_zalloc(MODELS_MAX, sizeof *c->models);
    c->nmodels = 1; /* number 0: no model */
    int rc = sqlite3_prepare_v2(a->db, "SELECT id,text FROM name WHERE kind=?1 ORDER BY id", -1,
                                &st, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_int(st, 1, NAME_MODEL);
        while ((rc = sqlite3_step(st)) == SQLITE_ROW && c->nmodels < MODELS_MAX) {
            struct cost_model *m = &c->models[c->nmodels++];
            const char *text = (const char *)sqlite3_column_text(st, 1);
            size_t n = (size_t)sqlite3_column_bytes(st, 1);
            m->id = sqlite3_column_int64(st, 0);
            if (text)
                memcpy(m->text, text, min_size(n, sizeof m->text - 1));
        }
    }
    sqlite3_finalize(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? factors_read(&c->factors, a->db) : rc;
}

void cost_free(struct cost *c)
{
    mem_free(c->models);
    factors_free(&c->factors);
    *c = (struct cost){0};
}

static const struct cost_model *model_of(const struct cost *c, int64_t id)
{
    size_t low = 0, high = c->nmodels;
    while (low + 1 < high) {
        size_t mid = low + (high - low) / 2;
        if (c->models[mid].id <= id)
            low = mid;
        else
            high = mid;
    }
    return c->models[low].id == id ? &c->models[low] : &c->models[0];
}

/* ---- a row */

static uint64_t lack_bit(struct cost *c, const struct cost_model *m, unsigned missing)
{
    size_t i = 0;
    while (i < c->nlacks && c->lacks[i].model != m)
        i++;
    if (i == COST_UNPRICED) {
        c->more = true;
        return MORE;
    }
    if (i == c->nlacks)
        c->lacks[c->nlacks++] = (struct cost_lack){.model = m};
    c->lacks[i].missing |= missing;
    return UINT64_C(1) << i;
}

static uint64_t positive(int64_t v)
{
    return v > 0 ? (uint64_t)v : 0;
}

price_money cost_of_row(struct cost *c, const struct usage_row *row, uint64_t *unpriced)
{
    const struct cost_model *m = model_of(c, row->model);
    unsigned number = (unsigned)(row->rate >> RATE_FACTOR_SHIFT) % FACTOR_NUMBERS;
    const struct price_use use = {
        .model = str_c(m->text),
        .at_s = row->at_s,
        .rate = (unsigned)row->rate & ((1 << RATE_FACTOR_SHIFT) - 1),
        .factor_ppm = factors_of(&c->factors, row->endpoint, row->at_s, row->end_s, number),
        .n = {[PRICE_INPUT] = positive(row->sum[SUM_INPUT]),
              [PRICE_OUTPUT] = positive(row->sum[SUM_OUTPUT]),
              [PRICE_CACHE_READ] = positive(row->sum[SUM_CACHE_READ]),
              [PRICE_WRITE_5M] = positive(row->sum[SUM_WRITE_5M]),
              [PRICE_WRITE_1H] = positive(row->sum[SUM_WRITE_1H]),
              [PRICE_WEB] = positive(row->sum[SUM_WEB])}};
    price_money cost;
    unsigned missing;
    *unpriced = price_cost(c->prices, &use, &cost, &missing) ? 0 : lack_bit(c, m, missing);
    return cost;
}

static const enum rollup_sum tokens[] = {SUM_INPUT, SUM_OUTPUT, SUM_CACHE_READ, SUM_WRITE_5M,
                                         SUM_WRITE_1H};

void cost_add(struct cost_sum *s, const struct usage_row *row, price_money cost, uint64_t unpriced)
{
    for (size_t i = 0; i < SUM__COUNT; i++)
        s->sum[i] += row->sum[i];
    s->cost += cost;
    s->unpriced |= unpriced;
    for (size_t i = 0; unpriced && i < COUNT_OF(tokens); i++)
        s->unpriced_tokens += row->sum[tokens[i]];
}

/* ---- in the answer */

static void put_money(struct doc *d, const char *key, price_money v)
{
    char text[PRICE_TEXT];
    size_t n = price_format(v, text);
    doc_text(d, key);
    doc_decimal(d, str_make(text, n));
}

static const char *shown(const struct cost_model *m)
{
    return m->text[0] ? m->text : "(no model)";
}

static void put_unpriced(const struct cost *c, uint64_t unpriced, struct doc *d)
{
    doc_text(d, "unpriced");
    doc_array(d, (uint32_t)__builtin_popcountll(unpriced));
    for (size_t i = 0; i < c->nlacks; i++)
        if (unpriced & UINT64_C(1) << i)
            doc_text(d, shown(c->lacks[i].model));
    if (unpriced & MORE)
        doc_text(d, "(other)");
}

static const enum rollup_sum counts[] = {
    SUM_REQUESTS, SUM_OK,     SUM_FAILED, SUM_CANCELLED, SUM_RETRIED,
    SUM_MOVED,    SUM_UNTOLD, SUM_WEB,    SUM_BYTES_IN,  SUM_BYTES_OUT,
};
_Static_assert(COUNT_OF(counts) + 5 == COST_MEMBERS,
               "each count, tokens, two costs, unpriced and its tokens");

/* How many of those sums are appended: all, or those that are not 0. */
static uint32_t members(const struct cost_sum *s, const enum rollup_sum *v, size_t n, bool all)
{
    uint32_t told = 0;
    for (size_t i = 0; i < n; i++)
        told += all || s->sum[v[i]];
    return told;
}

static void put_members(const struct cost_sum *s, const enum rollup_sum *v, size_t n, bool all,
                        struct doc *d)
{
    for (size_t i = 0; i < n; i++)
        if (all || s->sum[v[i]])
            doc_kv_int(d, rollup_column(v[i]), s->sum[v[i]]);
}

static void put_sum(const struct cost *c, const struct cost_sum *s, bool all, struct doc *d)
{
    put_members(s, counts, COUNT_OF(counts), all, d);
    doc_text(d, "tokens");
    doc_map(d, members(s, tokens, COUNT_OF(tokens), all));
    put_members(s, tokens, COUNT_OF(tokens), all, d);
    if (s->unpriced)
        doc_kv_text(d, "cost_usd", NULL);
    else
        put_money(d, "cost_usd", s->cost);
    put_money(d, "priced_usd", s->cost);
    if (all || s->unpriced) {
        put_unpriced(c, s->unpriced, d);
        doc_kv_int(d, "unpriced_tokens", s->unpriced_tokens);
    }
}

void cost_put(const struct cost *c, const struct cost_sum *s, struct doc *d)
{
    put_sum(c, s, true, d);
}

uint32_t cost_told(const struct cost_sum *s)
{
    return members(s, counts, COUNT_OF(counts), false) + 3 + (s->unpriced ? 2 : 0);
}

void cost_put_told(const struct cost *c, const struct cost_sum *s, struct doc *d)
{
    put_sum(c, s, false, d);
}

static void put_missing(const struct cost *c, struct doc *d)
{
    char text[PRICE_MISSING_TEXT];
    uint32_t n = c->more;
    for (size_t i = 0; i < c->nlacks; i++)
        n += (uint32_t)__builtin_popcount(c->lacks[i].missing);
    doc_text(d, "missing");
    doc_array(d, n);
    for (size_t i = 0; i < c->nlacks; i++) {
        unsigned missing = c->lacks[i].missing;
        while (price_missing_next(&missing, str_c(shown(c->lacks[i].model)), text))
            doc_text(d, text);
    }
    if (c->more)
        doc_text(d, "no price for further models");
}

void cost_put_prices(const struct cost *c, int64_t now_s, struct doc *d)
{
    static const struct price_table none;
    doc_text(d, "list_prices_of");
    price_doc_date(d, price_newest(c->prices ? c->prices : &none, now_s));
    put_missing(c, d);
}
