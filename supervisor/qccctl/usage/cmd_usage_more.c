#include "supervisor/qccctl/usage/cmd_usage_more.h"

#include "supervisor/qccctl/print/csv.h"
#include "supervisor/qccctl/print/human.h"
#include "supervisor/qccctl/print/local_zone.h"
#include "supervisor/qccctl/usage/usage_cells.h"

#include <math.h>
#include <string.h>

/* ---- blocks */

static void put_clock(struct table *t, int64_t at_s)
{
    char text[32];
    struct tm tm = local_zone_tm(at_s);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M", &tm);
    table_text(t, TINT_NONE, text);
}

static void put_running(struct table *t, const json_t *b)
{
    if (!doc_flag_of(b, "running")) {
        table_text(t, TINT_DIM, "ended");
        return;
    }
    struct buf *out = table_cell(t, TINT_GOOD);
    (void)!buf_str(out, STR("running, "));
    human_count(out, llround(doc_real_of(b, "tokens_per_minute")));
    (void)!buf_str(out, STR(" a minute, "));
    human_count(out, doc_int_of(b, "projected_tokens"));
    (void)!buf_str(out, STR(" at its end"));
}

static void blocks_csv(struct cmd *c, const json_t *doc)
{
    static const char *const names[] = {
        "endpoint",          "start",           "end", "running", "requests", "tokens", "cost_usd",
        "tokens_per_minute", "projected_tokens"};
    struct csv csv;
    const json_t *b;
    size_t i;
    csv_begin(&csv, &c->out);
    for (i = 0; i < COUNT_OF(names); i++)
        csv_text(&csv, str_c(names[i]));
    csv_end(&csv);
    json_array_foreach(doc_list_of(doc, "blocks"), i, b)
    {
        int64_t start = doc_int_of(b, "start"), end = doc_int_of(b, "end");
        bool running = doc_flag_of(b, "running");
        csv_begin(&csv, &c->out);
        csv_text(&csv, doc_text_of(b, "endpoint"));
        csv_time(&csv, start, local_zone_east(start));
        csv_time(&csv, end, local_zone_east(end));
        csv_number(&csv, running);
        csv_number(&csv, doc_int_of(b, "requests"));
        csv_number(&csv, usage_tokens(b));
        if (doc_has(b, "cost_usd"))
            csv_decimal(&csv, usage_micro(b, "cost_usd"), 6);
        else
            csv_none(&csv);
        if (running) {
            csv_decimal(&csv, doc_ms_of(b, "tokens_per_minute"), 3);
            csv_number(&csv, doc_int_of(b, "projected_tokens"));
        } else {
            csv_none(&csv);
            csv_none(&csv);
        }
        csv_end(&csv);
    }
}

void usage_show_blocks(struct cmd *c, const struct usage_want *w, const json_t *doc)
{
    static const struct column columns[] = {
        {"ENDPOINT", false, true, 0}, {"START", false, false, 0}, {"END", false, false, 3},
        {"REQUESTS", true, false, 2}, {"TOKENS", true, false, 0}, {"COST", true, false, 0},
        {"STATE", false, true, 1},
    };
    struct table t;
    const json_t *b;
    size_t i;
    if (w->csv) {
        blocks_csv(c, doc);
        return;
    }
    if (json_array_size(doc_list_of(doc, "blocks")) == 0) {
        cmd_put(c, "no request in that time\n");
        return;
    }
    usage_head(c, doc, w->now_s);
    table_init(&t, columns, COUNT_OF(columns));
    json_array_foreach(doc_list_of(doc, "blocks"), i, b)
    {
        table_foreign(&t, TINT_NONE, doc_text_of(b, "endpoint"));
        put_clock(&t, doc_int_of(b, "start"));
        put_clock(&t, doc_int_of(b, "end"));
        human_count(table_cell(&t, TINT_NONE), doc_int_of(b, "requests"));
        usage_put_tokens(&t, b, NULL);
        usage_put_money(&t, b, "cost_usd");
        put_running(&t, b);
    }
    table_print(&t, c->width, c->color, &c->out);
    table_fini(&t);
    if (doc_flag_of(doc, "cut"))
        cmd_put(c, "only the newest blocks are shown: narrow the range\n");
    usage_notes(c, doc);
}

/* ---- speed */

static void put_attempts(struct buf *b, const json_t *attempts)
{
    const char *cls, *sep = "";
    json_t *n;
    json_object_foreach((json_t *)attempts, cls, n)
    {
        (void)!buf_printf(b, "%s", sep);
        human_text(b, str_c(cls));
        (void)!buf_printf(b, " %lld", (long long)json_integer_value(n));
        sep = ", ";
    }
}

static const char *const quantiles[] = {"p50", "p95", "p99"};

static void speed_row(struct table *t, const char *what, struct str name, const json_t *g)
{
    const json_t *first = json_object_get(g, "first_byte_ms");
    table_text(t, TINT_DIM, what);
    table_foreign(t, TINT_NONE, name);
    for (size_t i = 0; i < COUNT_OF(quantiles); i++)
        if (doc_has(first, quantiles[i]))
            human_ms(table_cell(t, TINT_NONE), llround(doc_real_of(first, quantiles[i])));
        else
            table_text(t, TINT_DIM, "-");
    if (doc_has(g, "output_tokens_per_s"))
        (void)!buf_printf(table_cell(t, TINT_NONE), "%.1f", doc_real_of(g, "output_tokens_per_s"));
    else
        table_text(t, TINT_DIM, "-");
    put_attempts(table_cell(t, TINT_DIM), json_object_get(g, "attempts"));
}

static void csv_speed_row(struct cmd *c, const char *what, struct str name, const json_t *g)
{
    const json_t *first = json_object_get(g, "first_byte_ms");
    struct csv csv;
    struct buf tries;
    csv_begin(&csv, &c->out);
    csv_text(&csv, str_c(what));
    csv_text(&csv, name);
    csv_number(&csv, doc_int_of(g, "first_bytes"));
    for (size_t i = 0; i < COUNT_OF(quantiles); i++)
        if (doc_has(first, quantiles[i]))
            csv_decimal(&csv, doc_ms_of(first, quantiles[i]), 3);
        else
            csv_none(&csv);
    if (doc_has(g, "output_tokens_per_s"))
        csv_decimal(&csv, doc_ms_of(g, "output_tokens_per_s"), 3);
    else
        csv_none(&csv);
    buf_init(&tries, 4096);
    put_attempts(&tries, json_object_get(g, "attempts"));
    csv_text(&csv, buf_view(&tries));
    buf_free(&tries);
    csv_end(&csv);
}

void usage_show_speed(struct cmd *c, const struct usage_want *w, const json_t *doc)
{
    static const struct column columns[] = {
        {"OF", false, false, 2},     {"NAME", false, true, 0}, {"FIRST p50", true, false, 0},
        {"p95", true, false, 0},     {"p99", true, false, 3},  {"TOKENS/S", true, false, 0},
        {"ATTEMPTS", false, true, 1}};
    static const char *const groups[][2] = {{"endpoints", "endpoint"}, {"models", "model"}};
    static const char *const head[] = {"of",
                                       "name",
                                       "first_bytes",
                                       "first_byte_ms_p50",
                                       "first_byte_ms_p95",
                                       "first_byte_ms_p99",
                                       "output_tokens_per_s",
                                       "attempts"};
    const json_t *g, *total = json_object_get(doc, "total");
    struct table t;
    struct csv csv;
    size_t i;
    table_init(&t, columns, COUNT_OF(columns));
    csv_begin(&csv, &c->out);
    for (i = 0; w->csv && i < COUNT_OF(head); i++)
        csv_text(&csv, str_c(head[i]));
    if (w->csv)
        csv_end(&csv);
    for (size_t k = 0; k < COUNT_OF(groups); k++)
        json_array_foreach(doc_list_of(doc, groups[k][0]), i, g)
        {
            struct str name = doc_text_of(g, groups[k][1]);
            if (w->csv)
                csv_speed_row(c, groups[k][1], name, g);
            else
                speed_row(&t, groups[k][1], name, g);
        }
    if (!w->csv && t.ncells) {
        speed_row(&t, "all", STR(""), total);
        usage_head(c, doc, w->now_s);
        table_print(&t, c->width, c->color, &c->out);
    } else if (!w->csv) {
        cmd_put(c, "no request in that time\n");
    }
    table_fini(&t);
}
