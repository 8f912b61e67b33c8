/* cmd_prices: what models cost, and which have no price. */
#include "common/policy/price.h"
#include "supervisor/qccctl/cmd/cmd.h"
#include "supervisor/qccctl/print/human.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ARG_SIZE = 3 * MODEL_NAME_MAX + 16 };

/* Writes "model=NAME" with all but letters, digits and "-._~" escaped. False: it is too long. */
static bool argument(struct str name, char out[static ARG_SIZE])
{
    size_t n = (size_t)snprintf(out, ARG_SIZE, "model=");
    if (name.n == 0 || name.n > MODEL_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i], low = ascii_lower(c);
        bool plain = ascii_digit(c) || (low >= 'a' && low <= 'z') || strchr("-._~", c);
        n += (size_t)snprintf(out + n, ARG_SIZE - n, plain ? "%c" : "%%%02X", (unsigned char)c);
    }
    return true;
}

static void put_rate(struct table *t, const json_t *o, const char *key)
{
    char text[PRICE_TEXT];
    if (doc_has(o, key)) {
        price_format_rate((uint64_t)llround(doc_real_of(o, key) * (double)PRICE_ONE), text);
        table_text(t, TINT_NONE, text);
    } else {
        table_text(t, TINT_DIM, "-");
    }
}

static void put_rates(struct table *t, const json_t *o)
{
    static const enum price_kind order[] = {PRICE_INPUT, PRICE_OUTPUT, PRICE_CACHE_READ,
                                            PRICE_WRITE_5M, PRICE_WRITE_1H};
    for (size_t i = 0; i < COUNT_OF(order); i++)
        put_rate(t, o, price_kind_name(order[i]));
}

/* The rates of prompts beyond a length, in a row of their own. */
static void put_above(struct table *t, const json_t *above)
{
    struct buf *cell = table_cell(t, TINT_DIM);
    (void)!buf_str(cell, STR("  prompt above "));
    human_count(cell, doc_int_of(above, "tokens"));
    table_text(t, TINT_NONE, "");
    put_rates(t, above);
    table_text(t, TINT_NONE, "");
}

static void put_source(struct table *t, const json_t *m)
{
    struct buf *cell = table_cell(t, TINT_DIM);
    if (doc_flag_of(m, "override"))
        (void)!buf_str(cell, STR("prices.models"));
    if (doc_flag_of(m, "override") && doc_has(m, "source"))
        (void)!buf_str(cell, STR(": "));
    human_text(cell, doc_text_of(m, "source"));
}

static void put_models(struct cmd *c, const json_t *models)
{
    static const struct column columns[] = {
        {"MODEL", false, true, 0},    {"FROM", false, false, 4},      {"INPUT", true, false, 0},
        {"OUTPUT", true, false, 0},   {"CACHE READ", true, false, 0}, {"WRITE 5M", true, false, 1},
        {"WRITE 1H", true, false, 2}, {"SOURCE", false, true, 3}};
    struct table t;
    const json_t *m;
    size_t i;
    table_init(&t, columns, COUNT_OF(columns));
    json_array_foreach(models, i, m)
    {
        table_foreign(&t, TINT_BOLD, doc_text_of(m, "model"));
        table_foreign(&t, TINT_NONE, doc_text_of(m, "from"));
        put_rates(&t, m);
        put_source(&t, m);
        if (doc_has(m, "above"))
            put_above(&t, json_object_get(m, "above"));
    }
    table_print(&t, c->width, c->color, &c->out);
    table_fini(&t);
}

static void put_unpriced(struct cmd *c, const json_t *doc)
{
    const json_t *u;
    size_t i;
    json_array_foreach(doc_list_of(doc, "unpriced"), i, u)
    {
        cmd_tint(c, TINT_WARN, "no price for ");
        cmd_foreign(c, doc_text_of(u, "model"));
        cmd_put(c, ": %lld request%s in 35 days, the last on " STR_FMT "\n",
                (long long)doc_int_of(u, "requests"), doc_int_of(u, "requests") == 1 ? "" : "s",
                STR_ARG(doc_text_of(u, "last")));
    }
}

/* The factors in force: the list begins with the newest. */
static void put_factors(struct cmd *c, const json_t *doc)
{
    const json_t *list = doc_list_of(doc, "factors"), *f, *g;
    size_t i, k;
    json_array_foreach(list, i, f)
    {
        bool newest = true;
        json_array_foreach(list, k, g) newest =
            newest && (k >= i || !str_eq(doc_text_of(f, "endpoint"), doc_text_of(g, "endpoint")));
        if (!newest)
            continue;
        cmd_put(c, "endpoint ");
        cmd_foreign(c, doc_text_of(f, "endpoint"));
        cmd_put(c, " charges %.12g of the list price", doc_real_of(f, "factor"));
        if (doc_has(f, "since"))
            cmd_put(c, " since " STR_FMT, STR_ARG(doc_text_of(f, "since")));
        cmd_put(c, "\n");
    }
}

int cmd_prices(struct cmd *c, int argc, char **argv)
{
    char arg[ARG_SIZE] = "";
    json_t *doc;
    if (argc > 2)
        return cmd_usage(c, "takes nothing, or a model");
    if (argc == 2 && !argument(str_c(argv[1]), arg))
        return cmd_usage(c, "takes a model's name of at most %d bytes", MODEL_NAME_MAX);
    int code = cmd_ask(c, "prices", arg, &doc);
    if (code != CTL_DONE)
        return code;
    const json_t *models = doc_list_of(doc, "models");
    if (argc == 2 && json_array_size(models) == 0)
        code = CTL_REFUSED;
    if (c->json) {
        cmd_json(c, doc);
        json_decref(doc);
        return code;
    }
    if (code != CTL_DONE) {
        cmd_put(c, "no price for ");
        cmd_foreign(c, str_c(argv[1]));
        cmd_put(c, "\n");
    } else {
        cmd_put(c, "USD per million tokens");
        if (doc_has(doc, "list_prices_of"))
            cmd_put(c, ", list prices of " STR_FMT, STR_ARG(doc_text_of(doc, "list_prices_of")));
        cmd_put(c, "\n\n");
        put_models(c, models);
    }
    if (argc == 1 && (json_array_size(doc_list_of(doc, "unpriced")) ||
                      json_array_size(doc_list_of(doc, "factors"))))
        cmd_put(c, "\n");
    if (argc == 1) {
        put_unpriced(c, doc);
        put_factors(c, doc);
    }
    json_decref(doc);
    return code;
}
