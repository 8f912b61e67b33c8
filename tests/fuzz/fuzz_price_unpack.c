/* Fuzz target of price_wire.h: a table of prices from any bytes. It is refused, or it is sound: it
 * packs again to a table that is the same, and every cost by it is computed without overflow. */
#include "common/ipc/ipc.h"
#include "common/price/price_wire.h"
#include "tests/fuzz/fuzz.h"

static void cost_of(const struct price_table *t, const struct price_model *m)
{
    struct price_use u = {.model = str_c(m->name), .factor_ppm = PRICE_FACTOR_MAX};
    char text[PRICE_TEXT];
    price_money cost;
    unsigned missing;
    for (size_t k = 0; k < PRICE_KINDS; k++)
        u.n[k] = UINT64_MAX;
    MUST(price_find(t, u.model) == m);
    for (size_t i = 0; i < m->n; i++) {
        u.at_s = m->rows[i].from_s;
        MUST(price_row_at(m, u.at_s) == &m->rows[i]);
        for (u.rate = 0; u.rate < 64; u.rate++) {
            bool known = price_cost(t, &u, &cost, &missing);
            MUST(known == !missing && cost >= 0 && price_format(cost, text) < PRICE_TEXT);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *p = fuzz_copy(data, size);
    struct price_table t, again;
    struct buf b;
    buf_init(&b, IPC_PRICES_MAX);
    if (price_unpack(str_make(p, size), &t)) {
        MUST(t.n <= PRICE_MODELS_MAX && t.rows <= PRICE_ROWS_TOTAL);
        for (size_t i = 0; i < t.n; i++)
            cost_of(&t, t.v[i]);
        MUST(price_pack(&t, &b) && price_unpack(buf_view(&b), &again));
        MUST(again.n == t.n && again.rows == t.rows);
        price_table_free(&again);
    } else {
        MUST(t.n == 0 && !t.v);
    }
    price_table_free(&t);
    buf_free(&b);
    free(p);
    return 0;
}
