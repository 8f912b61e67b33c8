/* cmd_requests: the last requests and those under way from the workers' memory, and those of the
 * past from the history: as a table, as CSV, as JSON. */
#include "common/base/clock.h"
#include "common/ipc/params.h"
#include "supervisor/qccctl/cmd/cmd.h"
#include "supervisor/qccctl/print/csv.h"
#include "supervisor/qccctl/print/human.h"
#include "supervisor/qccctl/print/local_zone.h"

#include <stdio.h>
#include <string.h>

/* PAGE: requests of one question. LIMIT: shown where no number is given. QUERY: bytes of a
 * question. */
enum { PAGE = 1000, LIMIT = 20, QUERY = 1024 };

/* What is asked for. */
struct want {
    uint64_t limit; /* requests in all */
    bool csv;
    bool since;      /* from a moment on */
    bool past;       /* from the history */
    bool open;       /* those under way */
    bool cut;        /* the conditions are longer than a question may be */
    struct buf args; /* the conditions, "name=value&…" */
};

static enum tint tint_of_status(int64_t status)
{
    return status == 0 ? TINT_DIM : status < 400 ? TINT_GOOD : status < 500 ? TINT_WARN : TINT_BAD;
}

/* ---- a table */

static void put_number(struct table *t, enum tint tint, const json_t *o, const char *key)
{
    if (doc_has(o, key))
        (void)!buf_printf(table_cell(t, tint), "%lld", (long long)doc_int_of(o, key));
    else
        table_text(t, TINT_DIM, "-");
}

static void put_tokens(struct table *t, const json_t *tokens, const char *key)
{
    if (doc_has(tokens, key))
        human_count(table_cell(t, TINT_NONE), doc_int_of(tokens, key));
    else
        table_text(t, TINT_DIM, "-");
}

/* Appends the attempts: "relay: transient (503), official: ok". */
static void put_attempts(struct buf *b, const json_t *r)
{
    const json_t *a;
    size_t i, n = json_array_size(doc_list_of(r, "attempts"));
    json_array_foreach(doc_list_of(r, "attempts"), i, a)
    {
        if (n == 1 && str_eq(doc_text_of(a, "class"), STR("ok")))
            return; /* a single successful attempt is not shown */
        (void)!buf_printf(b, "%s", i ? ", " : "");
        human_text(b, doc_text_of(a, "endpoint"));
        (void)!buf_printf(b, " " STR_FMT, STR_ARG(doc_text_of(a, "class")));
        if (doc_has(a, "status") && !str_eq(doc_text_of(a, "class"), STR("ok")))
            (void)!buf_printf(b, " %lld", (long long)doc_int_of(a, "status"));
    }
}

/* Appends the offset of the zone: "+05:30". */
static void put_east(struct buf *b, int east)
{
    int size = east < 0 ? -east : east;
    (void)!buf_printf(b, "%c%02d:%02d", east < 0 ? '-' : '+', size / 60, size % 60);
}

/* The local time of the day; of the past with the date. `east` is the offset that the column's
 * title says: another one is told. */
static void put_time(struct table *t, struct str time, bool past, int east)
{
    struct buf *b = table_cell(t, TINT_DIM);
    struct tm utc = {0};
    char text[32];
    if (time.n != 24 || !strptime(time.p, "%Y-%m-%dT%H:%M:%S", &utc)) {
        human_text(b, time);
        return;
    }
    int64_t at = (int64_t)timegm(&utc);
    struct tm tm = local_zone_tm(at);
    strftime(text, sizeof text, past ? "%Y-%m-%d %H:%M:%S" : "%H:%M:%S", &tm);
    (void)!buf_printf(b, "%s", text);
    if (!past)
        (void)!buf_printf(b, "%.4s", time.p + 19);
    if (local_zone_east(at) != east) {
        (void)!buf_str(b, STR(" "));
        put_east(b, local_zone_east(at));
    }
}

/* How far a request is that is under way, and what has failed before. */
static void put_stage(struct buf *b, const json_t *r)
{
    static const struct str mark = STR_LIT("under way: ");
    struct str end = doc_text_of(r, "end");
    size_t front = str_starts(end, mark) ? mark.n : 0;
    human_text(b, str_make(end.p + front, end.n - front));
    if (json_array_size(doc_list_of(r, "attempts")) > 0 && doc_int_of(r, "attempts_begun") > 1) {
        (void)!buf_str(b, STR("; "));
        put_attempts(b, r);
    }
}

static void requests_table(struct cmd *c, const json_t *doc, const struct want *w)
{
    char title[32];
    int east = local_zone_east(clock_wall_ms() / 1000);
    struct buf b;
    buf_init(&b, sizeof title);
    (void)!buf_str(&b, STR("TIME "));
    put_east(&b, east);
    snprintf(title, sizeof title, STR_FMT, STR_ARG(buf_view(&b)));
    buf_free(&b);
    const struct column columns[] = {
        {title, false, false, 2},
        {"ID", false, false, 0},
        {"MODEL", false, true, 4},
        {"ENDPOINT", false, true, 0},
        {"STATUS", true, false, 0},
        {"TTFT", true, false, 5},
        {w->open ? "SO FAR" : "TOTAL", true, false, 0},
        {"TOKENS IN", true, false, 6},
        {"TOKENS OUT", true, false, 6},
        {"TRIES", true, false, 3},
        {w->open ? "IT" : "ATTEMPTS", false, true, w->open ? 0 : 1},
    };
    struct table t;
    const json_t *r;
    size_t i;
    table_init(&t, columns, COUNT_OF(columns));
    json_array_foreach(doc_list_of(doc, "requests"), i, r)
    {
        int64_t status = doc_int_of(r, "status"), tries = doc_int_of(r, "attempts_begun");
        put_time(&t, doc_text_of(r, "time"), w->past, east);
        table_foreign(&t, TINT_NONE, doc_text_of(r, "id"));
        table_foreign(&t, TINT_NONE, doc_text_of(r, "model"));
        table_foreign(&t, TINT_BOLD, doc_text_of(r, "endpoint"));
        put_number(&t, tint_of_status(status), r, "status");
        if (doc_has(r, "first_byte_ms"))
            human_ms(table_cell(&t, TINT_NONE), doc_int_of(r, "first_byte_ms"));
        else
            table_text(&t, TINT_DIM, "-");
        human_ms(table_cell(&t, TINT_NONE), doc_int_of(r, "total_ms"));
        put_tokens(&t, json_object_get(r, "tokens"), "input");
        put_tokens(&t, json_object_get(r, "tokens"), "output");
        (void)!buf_printf(table_cell(&t, tries > 1 ? TINT_WARN : TINT_NONE), "%lld",
                          (long long)tries);
        if (w->open)
            put_stage(table_cell(&t, TINT_NONE), r);
        else
            put_attempts(table_cell(&t, TINT_DIM), r);
    }
    table_print(&t, c->width, c->color, &c->out);
    table_fini(&t);
}

/* ---- CSV */

static const struct {
    const char *title, *key;
    bool number;
    bool token; /* a member of `tokens` */
} fields[] = {
    {"time", "time", false, false},
    {"id", "id", false, false},
    {"client", "client", false, false},
    {"model", "model", false, false},
    {"sent", "sent", false, false},
    {"served", "served", false, false},
    {"endpoint", "endpoint", false, false},
    {"path", "path", false, false},
    {"status", "status", true, false},
    {"end", "end", false, false},
    {"attempts", "attempts_begun", true, false},
    {"first_byte_ms", "first_byte_ms", true, false},
    {"total_ms", "total_ms", true, false},
    {"bytes_in", "bytes_in", true, false},
    {"bytes_out", "bytes_out", true, false},
    {"input", "input", true, true},
    {"output", "output", true, true},
    {"cache_read", "cache_read", true, true},
    {"write_5m", "write_5m", true, true},
    {"write_1h", "write_1h", true, true},
    {"web_searches", "web_searches", true, false},
    {"protocol", "protocol", false, false},
};

static void csv_head(struct cmd *c)
{
    struct csv v;
    csv_begin(&v, &c->out);
    for (size_t i = 0; i < COUNT_OF(fields); i++)
        csv_text(&v, str_c(fields[i].title));
    csv_end(&v);
}

static void csv_rows(struct cmd *c, const json_t *doc)
{
    const json_t *r;
    size_t n;
    json_array_foreach(doc_list_of(doc, "requests"), n, r)
    {
        struct csv v;
        csv_begin(&v, &c->out);
        for (size_t i = 0; i < COUNT_OF(fields); i++) {
            const json_t *o = fields[i].token ? json_object_get(r, "tokens") : r;
            if (!doc_has(o, fields[i].key))
                csv_none(&v);
            else if (fields[i].number)
                csv_number(&v, doc_int_of(o, fields[i].key));
            else
                csv_text(&v, doc_text_of(o, fields[i].key));
        }
        csv_end(&v);
    }
}

/* ---- options */

static const struct {
    const char *option, *name; /* name NULL: a switch */
} options[] = {
    {"--since", "since"},       {"--until", "until"},   {"--class", "class"},
    {"--endpoint", "endpoint"}, {"--model", "model"},   {"--client", "client"},
    {"--status", "status"},     {"--min-ms", "min_ms"}, {"--failed", NULL},
};

static void add(struct want *w, const char *name, const char *value)
{
    char day[24];
    int64_t at_s;
    bool is_time = strcmp(name, "since") == 0 || strcmp(name, "until") == 0;
    if (is_time && strchr(value, '-') &&
        local_zone_moment(str_c(value), clock_wall_ms() / 1000, &at_s)) {
        snprintf(day, sizeof day, "%lld", (long long)at_s);
        value = day;
    }
    w->cut |= !params_add(&w->args, str_c(name), str_c(value));
    w->past = true;
    w->since |= strcmp(name, "since") == 0;
}

/* Takes a condition. The arguments that it uses; 0: it is none; -1: it lacks its value. */
static int condition(struct want *w, char **arg)
{
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        size_t n = strlen(options[i].option);
        if (strncmp(*arg, options[i].option, n) != 0 || ((*arg)[n] && (*arg)[n] != '='))
            continue;
        if (!options[i].name) {
            add(w, "status", "failed");
            return (*arg)[n] ? 0 : 1;
        }
        const char *value = (*arg)[n] ? *arg + n + 1 : arg[1];
        if (!value)
            return -1;
        add(w, options[i].name, value);
        return (*arg)[n] ? 1 : 2;
    }
    return 0;
}

static int read_options(struct cmd *c, struct want *w, int argc, char **argv)
{
    bool counted = false;
    for (int i = 1; i < argc; i++) {
        int used = condition(w, argv + i);
        if (used == -1)
            return cmd_usage(c, "%s needs a value", argv[i]);
        if (used > 0) {
            i += used - 1;
            continue;
        }
        if (strcmp(argv[i], "--csv") == 0) {
            w->csv = true;
            continue;
        }
        if (strcmp(argv[i], "--open") == 0) {
            w->open = true;
            continue;
        }
        if (strcmp(argv[i], "-n") == 0 && i + 1 < argc)
            i++;
        if (counted || !str_to_u64(str_c(argv[i]), 1000000000, &w->limit) || w->limit == 0)
            return cmd_usage(
                c,
                "takes how many to show, --open, --since, --until, --failed, --class, --endpoint, "
                "--model, --client, --status, --min-ms and --csv: %.60s is none of these",
                argv[i]);
        counted = true;
    }
    if (w->cut)
        return cmd_usage(c, "the conditions are too long");
    if (w->csv && c->json)
        return cmd_usage(c, "either --csv or --json");
    if (w->open && w->past)
        return cmd_usage(c, "--open shows what is under way: no condition goes with it");
    bool all = w->csv && w->since;
    if (!counted)
        w->limit = all ? UINT64_MAX : LIMIT;
    if (w->limit > PAGE && !w->open)
        w->past = true;
    return CTL_DONE;
}

/* ---- page by page */

/* Prints one reply. */
static void put_page(struct cmd *c, const struct want *w, const json_t *doc)
{
    if (c->json)
        cmd_json(c, doc);
    else if (w->csv)
        csv_rows(c, doc);
    else if (json_array_size(doc_list_of(doc, "requests")) > 0)
        requests_table(c, doc, w);
    if (!c->json && doc_int_of(doc, "workers_missing"))
        fprintf(stderr, "qccctl requests: %lld worker%s did not answer in time\n",
                (long long)doc_int_of(doc, "workers_missing"),
                doc_int_of(doc, "workers_missing") == 1 ? "" : "s");
}

/* Asks for the next page and prints it; next: the cursor, empty at the end. *got: its requests. */
static int page(struct cmd *c, const struct want *w, uint64_t left, char next[static 32],
                size_t *got)
{
    char arg[QUERY + 96];
    json_t *doc;
    struct str rest = buf_view(&w->args);
    if (w->past && !rest.n)
        rest = STR("since=0"); /* a condition, so that the history answers */
    if (w->open)
        rest = STR("open=1");
    snprintf(arg, sizeof arg, "limit=%u%s%s%s" STR_FMT, (unsigned)(left < PAGE ? left : PAGE),
             *next ? "&before=" : "", next, rest.n ? "&" : "", STR_ARG(rest));
    int code = cmd_ask(c, "requests", arg, &doc);
    if (code != CTL_DONE)
        return code;
    struct str cursor = doc_text_of(doc, "next");
    *got = json_array_size(doc_list_of(doc, "requests"));
    snprintf(next, 32, STR_FMT, STR_ARG(cursor));
    put_page(c, w, doc);
    json_decref(doc);
    return CTL_DONE;
}

static int pages(struct cmd *c, const struct want *w)
{
    char next[32] = "";
    uint64_t left = w->limit, all = 0;
    size_t got = 0;
    int code;
    if (w->csv)
        csv_head(c);
    do {
        code = page(c, w, left, next, &got);
        left -= got < left ? got : left;
        all += code == CTL_DONE ? got : 0;
        if (*next && !cmd_flush(c))
            return CTL_REFUSED;
    } while (code == CTL_DONE && *next && left);
    if (code == CTL_DONE && !all && !w->csv && !c->json)
        cmd_put(c, "%s\n",
                w->past   ? "no request of the history is so"
                : w->open ? "no request is under way"
                          : "no request is remembered yet");
    return code;
}

int cmd_requests(struct cmd *c, int argc, char **argv)
{
    struct want w = {.limit = LIMIT};
    struct err e;
    if (!local_zone_use(NULL, &e))
        return cmd_usage(c, "%s", e.msg);
    buf_init(&w.args, QUERY - 64);
    int code = read_options(c, &w, argc, argv);
    if (code == CTL_DONE)
        code = pages(c, &w);
    buf_free(&w.args);
    return code;
}
