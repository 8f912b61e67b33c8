#include "common/ipc/price_doc.h"

#include "common/base/clock.h"
#include "common/ipc/params.h"

enum {
    MEMBERS = 4,
    MODEL_MEMBERS = 5 + PRICE_TOKENS + 5,
    DAY_S = 86400,
    DAY_TEXT = 10,
    SECONDS = 19
};

void price_doc_date(struct doc *d, int64_t at_s)
{
    char text[25];
    if (at_s == INT64_MIN) {
        doc_nil(d);
        return;
    }
    clock_format(at_s * 1000, text);
    memcpy(text + SECONDS, "Z", sizeof "Z");
    if (at_s % DAY_S == 0)
        text[DAY_TEXT] = '\0';
    doc_text(d, text);
}

static void put_millionths(struct doc *d, const char *key, uint64_t v)
{
    char text[PRICE_TEXT];
    doc_text(d, key);
    if (v == PRICE_NONE)
        doc_nil(d);
    else
        doc_decimal(d, str_make(text, price_format_rate(v, text)));
}

static void put_rates(struct doc *d, const uint64_t v[PRICE_TOKENS])
{
    for (unsigned k = 0; k < PRICE_TOKENS; k++)
        put_millionths(d, price_kind_name((enum price_kind)k), v[k]);
}

static void put_above(struct doc *d, const struct price_row *r)
{
    static const int64_t tokens[] = {0, 100000, 200000, 272000};
    doc_text(d, "above");
    if (!r->above_class) {
        doc_nil(d);
        return;
    }
    doc_map(d, 1 + PRICE_TOKENS);
    doc_kv_int(d, "tokens", tokens[r->above_class]);
    put_rates(d, r->above);
}

static void put_row(struct doc *d, const struct price_model *m, const struct price_row *r)
{
    bool last = r == &m->rows[m->n - 1];
    doc_map(d, MODEL_MEMBERS);
    doc_kv_text(d, "model", m->name);
    doc_text(d, "from");
    price_doc_date(d, r->from_s);
    doc_text(d, "until");
    price_doc_date(d, last ? INT64_MIN : r[1].from_s);
    put_rates(d, r->base);
    put_above(d, r);
    put_millionths(d, "fast", r->fast);
    put_millionths(d, "batch", r->batch);
    put_millionths(d, "geo_us", r->geo_us);
    /* picodollars a search are thousandths of millionths of 1,000 searches */
    put_millionths(d, "web_search", r->web == PRICE_NONE ? PRICE_NONE : r->web / 1000);
    doc_kv_text(d, "source", m->source[0] ? m->source : NULL);
    doc_kv_flag(d, "override", m->override);
}

static void put_in_force(struct doc *d, const struct price_table *t, int64_t now_s)
{
    uint32_t n = 0;
    for (size_t i = 0; i < t->n; i++)
        n += price_row_at(t->v[i], now_s) != NULL;
    doc_array(d, n);
    for (size_t i = 0; i < t->n; i++) {
        const struct price_row *r = price_row_at(t->v[i], now_s);
        if (r)
            put_row(d, t->v[i], r);
    }
}

static void put_model(struct doc *d, const struct price_model *m)
{
    doc_array(d, m ? (uint32_t)m->n : 0);
    for (size_t i = 0; m && i < m->n; i++)
        put_row(d, m, &m->rows[i]);
}

unsigned price_doc_begin(struct doc *d, const struct price_table *t, struct str arg, int64_t now_s)
{
    static const struct str known[] = {STR_LIT("model")};
    char room[MODEL_NAME_MAX];
    struct str model = {0};
    enum param given = params_get(arg, known[0], room, sizeof room, &model);
    if (params_unknown(arg, known, COUNT_OF(known)).n)
        return doc_refuse(d, 400, "prices takes model and nothing else");
    if (given == PARAM_BAD)
        return doc_refuse(d, 400, "model is a name of at most 128 bytes");
    doc_map(d, MEMBERS);
    doc_text(d, "list_prices_of");
    price_doc_date(d, price_newest(t, now_s));
    doc_text(d, "models");
    if (given == PARAM_GIVEN)
        put_model(d, price_find(t, model));
    else
        put_in_force(d, t, now_s);
    return 200;
}

void price_doc_factor(struct doc *d, struct str endpoint, uint64_t ppm, int64_t since_s)
{
    doc_map(d, 3);
    doc_kv_str(d, "endpoint", endpoint);
    put_millionths(d, "factor", ppm);
    doc_text(d, "since");
    price_doc_date(d, since_s);
}
