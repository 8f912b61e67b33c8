#include "supervisor/qccctl/usage/usage_cells.h"

#include "supervisor/qccctl/print/local_zone.h"

#include "supervisor/qccctl/print/human.h"

#include <math.h>

#define MICRO 1000000

static const char *const kinds[] = {"input", "output", "cache_read", "write_5m", "write_1h"};

int64_t usage_micro(const json_t *o, const char *key)
{
    return llround(doc_real_of(o, key) * MICRO);
}

int64_t usage_tokens(const json_t *sums)
{
    const json_t *t = json_object_get(sums, "tokens");
    int64_t n = 0;
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        n += doc_int_of(t, kinds[i]);
    return n;
}

void usage_put_dollars(struct buf *b, int64_t micro)
{
    int64_t cents = (micro + 5000) / 10000, parts = (micro + 50) / 100;
    if (micro > 0 && parts < 10000)
        (void)!buf_printf(b, "$0.%04lld", (long long)parts);
    else
        (void)!buf_printf(b, "$%lld.%02lld", (long long)(cents / 100), (long long)(cents % 100));
}

void usage_put_money(struct table *t, const json_t *o, const char *key)
{
    if (doc_has(o, key))
        usage_put_dollars(table_cell(t, TINT_BOLD), usage_micro(o, key));
    else
        table_text(t, TINT_DIM, "-");
}

void usage_put_tokens(struct table *t, const json_t *sums, const char *key)
{
    int64_t v = key ? doc_int_of(json_object_get(sums, "tokens"), key) : usage_tokens(sums);
    human_count(table_cell(t, v ? TINT_NONE : TINT_DIM), v);
}

void usage_head(struct cmd *c, const json_t *doc, int64_t now_s)
{
    int64_t until = doc_has(doc, "until") ? doc_int_of(doc, "until") : now_s;
    cmd_put(c, "from ");
    local_zone_time(&c->out, doc_int_of(doc, "since"));
    cmd_put(c, " to ");
    local_zone_time(&c->out, until < now_s ? until : now_s);
    cmd_put(c, " (%.60s)\n\n", local_zone_name());
}

void usage_notes(struct cmd *c, const json_t *doc)
{
    const json_t *why;
    size_t i;
    if (doc_has(doc, "list_prices_of")) {
        cmd_put(c, "list prices of ");
        cmd_foreign(c, doc_text_of(doc, "list_prices_of"));
        cmd_put(c, "\n");
    }
    json_array_foreach(doc_list_of(doc, "missing"), i, why)
    {
        cmd_foreign(c, str_make(json_string_value(why), json_string_length(why)));
        cmd_put(c, "\n");
    }
    if (doc_flag_of(doc, "rounded"))
        cmd_put(c, "days of more than 35 days ago are cut at the full hour\n");
    int64_t untold = doc_int_of(json_object_get(doc, "total"), "untold");
    if (untold)
        cmd_put(c, "%lld request%s told not all usage: tokens and costs are at least these\n",
                (long long)untold, untold == 1 ? "" : "s");
}
