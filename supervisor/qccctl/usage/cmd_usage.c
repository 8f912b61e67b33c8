/* cmd_usage: requests, tokens and costs out of the history, as a table or CSV. */
#include "supervisor/qccctl/usage/cmd_usage_more.h"

#include "common/base/clock.h"
#include "common/ipc/ipc.h"
#include "supervisor/qccctl/print/csv.h"
#include "supervisor/qccctl/print/human.h"
#include "supervisor/qccctl/print/local_zone.h"
#include "supervisor/qccctl/usage/usage_cells.h"

#include <stdio.h>
#include <string.h>

enum { DAY = 86400, QUERY_MS = 8000, LABEL = 32 };

static const char *const counts[] = {"requests", "ok",    "failed", "cancelled",
                                     "retried",  "moved", "untold"};
static const char *const kinds[] = {"input", "output", "cache_read", "write_5m", "write_1h"};

/* ---- arguments */

static const struct span {
    const char *by;
    int64_t seconds; /* that are asked for where none are given */
    bool is_time;
} spans[] = {{"total", 7 * DAY, false},  {"model", 7 * DAY, false},  {"endpoint", 7 * DAY, false},
             {"client", 7 * DAY, false}, {"hour", DAY, true},        {"day", 7 * DAY, true},
             {"week", 56 * DAY, true},   {"month", 365 * DAY, true}, {"block", 2 * DAY, true}};

static const struct span *span_of(const char *by)
{
    for (size_t i = 0; i < COUNT_OF(spans); i++)
        if (strcmp(spans[i].by, by) == 0)
            return &spans[i];
    return NULL;
}

static int parse(const struct cmd *c, int argc, char **argv, struct usage_want *w)
{
    const struct {
        const char *name;
        const char **value;
    } options[] = {{"--by", &w->by},       {"--since", &w->since},
                   {"--until", &w->until}, {"--endpoint", &w->endpoint},
                   {"--model", &w->model}, {"--client", &w->client},
                   {"--zone", &w->zone}};
    for (int i = 1; i < argc; i++) {
        const char *v = strchr(argv[i], '=');
        struct str key = str_make(argv[i], v ? (size_t)(v - argv[i]) : strlen(argv[i]));
        size_t k = 0;
        while (k < COUNT_OF(options) && !str_eq(key, str_c(options[k].name)))
            k++;
        if (strcmp(argv[i], "--csv") == 0)
            w->csv = true;
        else if (strcmp(argv[i], "--speed") == 0)
            w->speed = true;
        else if (k == COUNT_OF(options))
            return cmd_usage(c, "unknown argument %.60s", argv[i]);
        else if (!(*options[k].value = v ? v + 1 : argv[++i]))
            return cmd_usage(c, "%s needs a value", options[k].name);
    }
    return CTL_DONE;
}

static int check(const struct cmd *c, const struct usage_want *w)
{
    struct err e;
    bool blocks = w->by && strcmp(w->by, "block") == 0;
    if (w->by && !span_of(w->by))
        return cmd_usage(c, "--by takes model, endpoint, client, hour, day, week, month, total or "
                            "block");
    if (w->speed && (w->by || w->client))
        return cmd_usage(c, "--speed goes with neither --by nor --client");
    if (blocks && (w->until || w->model || w->client))
        return cmd_usage(c, "--by block takes --since and --endpoint");
    if (w->csv && c->json)
        return cmd_usage(c, "either --csv or --json");
    return local_zone_use(w->zone, &e) ? CTL_DONE : cmd_usage(c, "%s", e.msg);
}

/* ---- the question */

static void put_escaped(struct buf *b, const char *name, const char *value)
{
    (void)!buf_printf(b, "%s%s=", b->len ? "&" : "", name);
    for (const char *p = value; *p; p++)
        if (ascii_digit(*p) || (ascii_lower(*p) >= 'a' && ascii_lower(*p) <= 'z') ||
            strchr("-_.~:,", *p))
            (void)!buf_add(b, p, 1);
        else
            (void)!buf_printf(b, "%%%02X", (unsigned char)*p);
}

static void put_second(struct buf *b, const char *name, int64_t v)
{
    (void)!buf_printf(b, "%s%s=%lld", b->len ? "&" : "", name, (long long)v);
}

/* Writes the question's parameters. A code other than CTL_DONE: it was told why not. */
static int question(const struct cmd *c, const struct usage_want *w, struct buf *b)
{
    const struct span *span = span_of(w->by ? w->by : "day");
    bool blocks = strcmp(span->by, "block") == 0;
    int64_t since = w->now_s - (w->speed ? DAY : span->seconds), until = w->now_s;
    if (w->since && !local_zone_moment(str_c(w->since), w->now_s, &since))
        return cmd_usage(c, "--since takes " LOCAL_ZONE_MOMENTS);
    if (w->until && !local_zone_moment(str_c(w->until), w->now_s, &until))
        return cmd_usage(c, "--until takes " LOCAL_ZONE_MOMENTS);
    put_second(b, "since", since);
    if (w->until)
        put_second(b, "until", until);
    if (!blocks) {
        (void)!buf_str(b, STR("&zone="));
        local_zone_put(b, since - 40 * DAY, until + DAY);
    }
    if (!blocks && !w->speed)
        (void)!buf_printf(b, "&by=%s%s", span->by, span->is_time ? "" : "&keys=200");
    if (!c->json && (w->speed || !span->is_time))
        (void)!buf_str(b, STR("&step=none")); /* only the sums are shown */
    if (w->endpoint)
        put_escaped(b, "endpoint", w->endpoint);
    if (w->model)
        put_escaped(b, "model", w->model);
    if (w->client)
        put_escaped(b, "client", w->client);
    return buf_add(b, "", 1) && b->len <= IPC_QUERY_MAX + 1
               ? CTL_DONE
               : cmd_usage(c, "the names are too long for a question");
}

/* ---- the table */

/* Whether two moments are of one day by the clock on the wall. */
static bool same_day(const struct tm *a, const struct tm *b)
{
    return a->tm_year == b->tm_year && a->tm_yday == b->tm_yday;
}

static void put_day(struct buf *b, const struct usage_want *w, const struct tm *tm)
{
    char text[LABEL];
    struct tm now = local_zone_tm(w->now_s);
    struct tm before = local_zone_tm(w->now_s - (int64_t)now.tm_hour * 3600 - DAY / 2);
    strftime(text, sizeof text, "%Y-%m-%d %a", tm);
    (void)!buf_printf(b, "%s%s", text,
                      same_day(tm, &now)      ? " today"
                      : same_day(tm, &before) ? " yesterday"
                                              : "");
}

static void put_label(struct table *t, const struct usage_want *w, const json_t *row,
                      const char *by)
{
    char text[LABEL] = "";
    if (!span_of(by)->is_time) {
        table_foreign(t, TINT_NONE, doc_text_of(row, "key"));
        return;
    }
    struct tm tm = local_zone_tm(doc_int_of(row, "time"));
    if (strcmp(by, "day") == 0) {
        put_day(table_cell(t, TINT_NONE), w, &tm);
        return;
    }
    if (strcmp(by, "hour") == 0 && local_zone_twice(doc_int_of(row, "time"))) {
        local_zone_time(table_cell(t, TINT_NONE), doc_int_of(row, "time"));
        return;
    }
    if (strcmp(by, "hour") == 0)
        strftime(text, sizeof text, "%Y-%m-%d %H:%M", &tm);
    else if (strcmp(by, "week") == 0)
        strftime(text, sizeof text, "%Y-%m-%d", &tm);
    else
        strftime(text, sizeof text, "%Y-%m", &tm);
    table_text(t, TINT_NONE, text);
}

static void put_row(struct table *t, const json_t *row)
{
    const json_t *tok = json_object_get(row, "tokens");
    int64_t failed = doc_int_of(row, "failed");
    human_count(table_cell(t, TINT_NONE), doc_int_of(row, "requests"));
    human_count(table_cell(t, failed ? TINT_WARN : TINT_DIM), failed);
    usage_put_tokens(t, row, "input");
    usage_put_tokens(t, row, "output");
    usage_put_tokens(t, row, "cache_read");
    human_count(table_cell(t, TINT_NONE),
                doc_int_of(tok, "write_5m") + doc_int_of(tok, "write_1h"));
    usage_put_money(t, row, "cost_usd");
}

static const json_t *rows_of(const json_t *doc)
{
    const json_t *keys = doc_list_of(doc, "keys");
    struct str by = doc_text_of(doc, "by");
    bool keyed =
        str_eq(by, STR("model")) || str_eq(by, STR("endpoint")) || str_eq(by, STR("client"));
    return keyed ? keys : str_eq(by, STR("total")) ? NULL : doc_list_of(doc, "buckets");
}

/* The sum of the costs since a moment; a row without one makes it unknown. */
static void put_since(struct cmd *c, const char *what, const json_t *doc, int64_t since,
                      int64_t until)
{
    const json_t *row;
    size_t i;
    int64_t sum = 0;
    bool known = true;
    json_array_foreach(doc_list_of(doc, "buckets"), i, row)
    {
        int64_t at = doc_int_of(row, "time");
        if (at < since || at >= until)
            continue;
        known &= doc_has(row, "cost_usd");
        sum += usage_micro(row, "cost_usd");
    }
    cmd_put(c, "%s ", what);
    if (known)
        usage_put_dollars(&c->out, sum);
    else
        cmd_put(c, "-");
}

/* What today, yesterday and this week cost, from the answer by day. */
static void put_glance(struct cmd *c, const struct usage_want *w, const json_t *doc)
{
    struct tm now = local_zone_tm(w->now_s), tm = now;
    int64_t at[3];
    for (int i = 0; i < 3; i++) {
        tm = now;
        tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
        tm.tm_isdst = -1;
        tm.tm_mday -= i == 1 ? 1 : i == 2 ? (now.tm_wday + 6) % 7 : 0;
        at[i] = (int64_t)mktime(&tm);
    }
    put_since(c, "today", doc, at[0], INT64_MAX);
    put_since(c, ", yesterday", doc, at[1], at[0]);
    put_since(c, ", this week", doc, at[2], INT64_MAX);
    cmd_put(c, "\n\n");
}

static void show_table(struct cmd *c, const struct usage_want *w, const json_t *doc, const char *by)
{
    char title[LABEL] = "";
    const struct column columns[] = {
        {title, false, true, 0},         {"REQUESTS", true, false, 0},
        {"FAILED", true, false, 3},      {"INPUT", true, false, 4},
        {"OUTPUT", true, false, 2},      {"CACHE READ", true, false, 5},
        {"CACHE WRITE", true, false, 6}, {"COST", true, false, 0}};
    struct table t;
    const json_t *row, *total = json_object_get(doc, "total");
    size_t i;
    if (!doc_int_of(total, "requests")) {
        cmd_put(c, "no request in that time\n");
        return;
    }
    for (size_t k = 0; k < sizeof title - 1 && by[k]; k++)
        title[k] = (char)(by[k] >= 'a' && by[k] <= 'z' ? by[k] - 'a' + 'A' : by[k]);
    if (!w->by && !w->since && !w->until)
        put_glance(c, w, doc);
    usage_head(c, doc, w->now_s);
    table_init(&t, columns, COUNT_OF(columns));
    json_array_foreach(rows_of(doc), i, row)
    {
        put_label(&t, w, row, by);
        put_row(&t, row);
    }
    table_text(&t, TINT_BOLD, "total");
    put_row(&t, total);
    table_print(&t, c->width, c->color, &c->out);
    table_fini(&t);
    usage_notes(c, doc);
}

/* ---- CSV */

static void csv_row(struct cmd *c, const json_t *row, const char *by, bool is_time)
{
    struct csv csv;
    const json_t *model;
    size_t i;
    char names[1024] = "";
    csv_begin(&csv, &c->out);
    if (is_time)
        csv_time(&csv, doc_int_of(row, "time"), local_zone_east(doc_int_of(row, "time")));
    else
        csv_text(&csv, strcmp(by, "total") == 0 ? STR("total") : doc_text_of(row, "key"));
    for (i = 0; i < COUNT_OF(counts); i++)
        csv_number(&csv, doc_int_of(row, counts[i]));
    for (i = 0; i < COUNT_OF(kinds); i++)
        csv_number(&csv, doc_int_of(json_object_get(row, "tokens"), kinds[i]));
    csv_number(&csv, doc_int_of(row, "web"));
    csv_number(&csv, doc_int_of(row, "bytes_in"));
    csv_number(&csv, doc_int_of(row, "bytes_out"));
    if (doc_has(row, "cost_usd"))
        csv_decimal(&csv, usage_micro(row, "cost_usd"), 6);
    else
        csv_none(&csv);
    json_array_foreach(doc_list_of(row, "unpriced"), i, model)
    {
        size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, "%s%s", n ? " " : "", json_string_value(model));
    }
    csv_text(&csv, str_c(names));
    csv_end(&csv);
}

static void show_csv(struct cmd *c, const json_t *doc, const char *by)
{
    struct csv csv;
    const json_t *row;
    size_t i;
    bool is_time = span_of(by)->is_time;
    csv_begin(&csv, &c->out);
    csv_text(&csv, str_c(is_time ? "time" : by));
    for (i = 0; i < COUNT_OF(counts); i++)
        csv_text(&csv, str_c(counts[i]));
    for (i = 0; i < COUNT_OF(kinds); i++)
        csv_text(&csv, str_c(kinds[i]));
    static const char *const rest[] = {"web", "bytes_in", "bytes_out", "cost_usd", "unpriced"};
    for (i = 0; i < COUNT_OF(rest); i++)
        csv_text(&csv, str_c(rest[i]));
    csv_end(&csv);
    json_array_foreach(rows_of(doc), i, row)
    {
        csv_row(c, row, by, is_time);
    }
    if (strcmp(by, "total") == 0)
        csv_row(c, json_object_get(doc, "total"), by, false);
}

/* ---- the command */

static void show(struct cmd *c, const struct usage_want *w, const json_t *doc, const char *by)
{
    if (c->json)
        cmd_json(c, doc);
    else if (w->speed)
        usage_show_speed(c, w, doc);
    else if (strcmp(by, "block") == 0)
        usage_show_blocks(c, w, doc);
    else if (w->csv)
        show_csv(c, doc, by);
    else
        show_table(c, w, doc, by);
}

int cmd_usage_show(struct cmd *c, int argc, char **argv)
{
    struct usage_want w = {.now_s = clock_wall_ms() / 1000};
    struct buf arg;
    json_t *doc = NULL;
    int code = parse(c, argc, argv, &w);
    if (code == CTL_DONE)
        code = check(c, &w);
    if (code != CTL_DONE)
        return code;
    const char *by = w.by ? w.by : "day";
    const char *what = w.speed ? "speed" : strcmp(by, "block") == 0 ? "blocks" : "usage";
    buf_init(&arg, IPC_QUERY_MAX * 4);
    code = question(c, &w, &arg);
    if (code == CTL_DONE)
        code = cmd_ask_long(c, what, buf_data(&arg), QUERY_MS, &doc, NULL);
    if (code == CTL_DONE)
        show(c, &w, doc, by);
    json_decref(doc);
    buf_free(&arg);
    return code;
}
