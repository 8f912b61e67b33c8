#include "common/price/price_doc.h"

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

/* Prompts longer than that are of the class. */
static const int64_t class_tokens[] = {0, 100000, 200000, 272000};

/* Picodollars a search are thousandths of millionths of 1,000 searches. */
static uint64_t web_of(const struct price_row *r)
{
    return r->web == PRICE_NONE ? PRICE_NONE : r->web / 1000;
}

static void put_above(struct doc *d, const struct price_row *r)
{
    doc_text(d, "above");
    if (!r->above_class) {
        doc_nil(d);
        return;
    }
    doc_map(d, 1 + PRICE_TOKENS);
    doc_kv_int(d, "tokens", class_tokens[r->above_class]);
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
    put_millionths(d, "web_search", web_of(r));
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

/* ---- the cost of a request */

static void put_missing(struct doc *d, unsigned missing, struct str model)
{
    char text[PRICE_MISSING_TEXT];
    doc_text(d, "missing");
    doc_array(d, (uint32_t)__builtin_popcount(missing));
    while (price_missing_next(&missing, model, text))
        doc_text(d, text);
}

static void put_multipliers(struct doc *d, const struct price_row *r, unsigned rate)
{
    const struct {
        unsigned bit;
        const char *name;
        uint64_t ppm;
    } all[] = {{PRICE_RATE_FAST, "fast", r->fast},
               {PRICE_RATE_BATCH, "batch", r->batch},
               {PRICE_RATE_US, "geo_us", r->geo_us}};
    uint32_t n = 0;
    for (size_t i = 0; i < COUNT_OF(all); i++)
        n += (rate & all[i].bit) != 0;
    doc_text(d, "multipliers");
    doc_map(d, n);
    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (rate & all[i].bit)
            put_millionths(d, all[i].name, all[i].ppm);
}

enum { BASIS_MEMBERS = 6 };

/* What a cost was found by; r NULL: the model has no prices at that time. */
static void put_basis(struct doc *d, const struct price_model *m, const struct price_row *r,
                      const struct price_use *u)
{
    bool above = r && r->above_class && (u->rate & PRICE_RATE_CLASS) >= r->above_class;
    doc_kv_text(d, "model", m ? m->name : NULL);
    doc_text(d, "rates");
    if (r) {
        doc_map(d, PRICE_KINDS);
        put_rates(d, above ? r->above : r->base);
        put_millionths(d, "web_search", web_of(r));
    } else {
        doc_nil(d);
    }
    doc_text(d, "above");
    if (above)
        doc_int(d, class_tokens[r->above_class]);
    else
        doc_nil(d);
    if (r) {
        put_multipliers(d, r, u->rate);
    } else {
        doc_text(d, "multipliers");
        doc_map(d, 0);
    }
    doc_text(d, "from");
    price_doc_date(d, r ? r->from_s : INT64_MIN);
    put_millionths(d, "factor", u->factor_ppm);
}

void price_doc_cost(struct doc *d, const struct price_table *t, const struct price_use *u,
                    bool whole)
{
    price_money cost;
    unsigned missing;
    char text[PRICE_TEXT];
    doc_text(d, "cost");
    if (!u) {
        doc_nil(d);
        return;
    }
    bool known = price_cost(t, u, &cost, &missing);
    doc_map(d, whole ? 2 + BASIS_MEMBERS : 2);
    doc_text(d, "usd");
    if (known)
        doc_decimal(d, str_make(text, price_format(cost, text)));
    else
        doc_nil(d);
    put_missing(d, missing, u->model);
    if (!whole)
        return;
    const struct price_model *m = t ? price_find(t, u->model) : NULL;
    put_basis(d, m, m ? price_row_at(m, u->at_s) : NULL, u);
}
