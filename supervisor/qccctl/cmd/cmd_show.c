/* cmd_show: the state of the service: status, endpoints, queue, breakers, sessions. */
#include "supervisor/qccctl/cmd/cmd.h"
#include "supervisor/qccctl/print/human.h"

#include <string.h>

/* ---- cells that several tables have */

static struct str name_of(const json_t *o)
{
    return doc_text_of(o, "name");
}

static void put_count(struct table *t, int64_t v)
{
    human_count(table_cell(t, v ? TINT_NONE : TINT_DIM), v);
}

/* Adds a cell with a duration, or a dash when the member is absent. */
static void put_time(struct table *t, const json_t *o, const char *key)
{
    if (doc_has(o, key))
        human_ms(table_cell(t, TINT_NONE), doc_ms_of(o, key));
    else
        table_text(t, TINT_DIM, "-");
}

static enum tint tint_of_breaker(struct str state)
{
    if (str_eq(state, STR("closed")))
        return TINT_DIM;
    return str_eq(state, STR("open")) ? TINT_BAD : TINT_WARN;
}

static enum tint tint_of_state(struct str state)
{
    if (str_eq(state, STR("healthy")))
        return TINT_GOOD;
    if (str_eq(state, STR("draining")) || str_eq(state, STR("untested")))
        return TINT_INFO;
    return str_eq(state, STR("degraded")) || str_eq(state, STR("cooling")) ? TINT_WARN : TINT_BAD;
}

static int show_table(struct cmd *c, struct table *t)
{
    table_print(t, c->width, c->color, &c->out);
    table_fini(t);
    return CTL_DONE;
}

static bool no_arguments(const struct cmd *c, int argc, int *code)
{
    *code = argc == 1 ? CTL_DONE : cmd_usage(c, "takes no argument");
    return argc == 1;
}

/* Asks for `what` and returns the document. NULL with the exit code: it failed, or was printed as
 * JSON. */
static json_t *fetch(struct cmd *c, const char *what, int argc, int *code)
{
    json_t *doc = NULL;
    if (!no_arguments(c, argc, code))
        return NULL;
    *code = cmd_ask(c, what, "", &doc);
    if (doc && c->json) {
        cmd_json(c, doc);
        json_decref(doc);
        return NULL;
    }
    return doc;
}

/* ---- endpoints */

/* "opus: cooling 39s" */
static void cell_note(struct buf *b, const json_t *cell)
{
    const json_t *br = json_object_get(cell, "breaker");
    human_text(b, doc_text_of(cell, "family"));
    if (str_eq(doc_text_of(br, "state"), STR("half_open"))) {
        (void)!buf_str(b, STR(": waits for its trial"));
    } else if (doc_has(br, "retry_in_s")) {
        (void)!buf_str(b, STR(": half open in "));
        human_ms(b, doc_ms_of(br, "retry_in_s"));
    } else if (doc_real_of(cell, "cooldown_s") > 0) {
        (void)!buf_str(b, STR(": cooling "));
        human_ms(b, doc_ms_of(cell, "cooldown_s"));
    } else {
        (void)!buf_str(b, STR(": "));
        human_text(b, doc_text_of(cell, "tier"));
    }
}

/* Appends why it fails, or has served nothing yet, as far as that is known and not told as why it
 * is queued. */
static void put_last(struct buf *b, const json_t *e, const char **sep)
{
    const json_t *last = json_object_get(e, "last_failure");
    struct str queued = doc_text_of(json_object_get(e, "queued"), "reason"); /* perhaps cut */
    if (!json_is_object(last) || (queued.n && str_starts(doc_text_of(last, "reason"), queued)))
        return;
    (void)!buf_printf(b, "%s", *sep);
    *sep = ", ";
    /* the reason of a verification begins with it */
    if (doc_has(last, "status") && !str_starts(doc_text_of(last, "reason"), STR("status ")))
        (void)!buf_printf(b, "status %lld, ", (long long)doc_int_of(last, "status"));
    if (doc_int_of(last, "status") != 404) {
        human_reason(b, doc_text_of(last, "reason"));
        return;
    }
    human_text(b, doc_text_of(last, "reason"));
    (void)!buf_str(b, STR(": has base_url the right path?"));
}

/* Appends what the state does not say: how long, why. */
static void put_note(struct buf *b, const json_t *e)
{
    const json_t *q = json_object_get(e, "queued"), *br = json_object_get(e, "breaker"), *cell;
    size_t i;
    const char *sep = "";
#define NOTE(...)                                                                                  \
    do {                                                                                           \
        (void)!buf_printf(b, "%s", sep);                                                           \
        sep = ", ";                                                                                \
        (void)!buf_printf(b, __VA_ARGS__);                                                         \
    } while (0)
    struct str by = doc_text_of(e, "disabled_by"), protocol = doc_text_of(e, "protocol");
    if (protocol.n && !str_eq(protocol, STR("anthropic")))
        NOTE(STR_FMT, STR_ARG(protocol));
    if (by.n)
        NOTE("by " STR_FMT, STR_ARG(by));
    if (doc_has(e, "refused_status"))
        NOTE("key refused with status %lld", (long long)doc_int_of(e, "refused_status"));
    if (doc_has(e, "refused_at")) {
        (void)!buf_str(b, doc_has(e, "refused_status") ? STR(" at ") : STR(", key refused at "));
        human_text(b, doc_text_of(e, "refused_at"));
    }
    if (json_is_object(q)) {
        NOTE("%s", "");
        human_reason(b, doc_text_of(q, "reason"));
        if (doc_flag_of(q, "in_reach"))
            NOTE("in reach: no other is usable for its models");
        if (doc_has(q, "next_in_s")) {
            NOTE("next verification in ");
            human_ms(b, doc_ms_of(q, "next_in_s"));
        } else if (doc_flag_of(q, "verifying")) {
            NOTE("being verified");
        }
    } else if (doc_flag_of(e, "verifying")) {
        NOTE("being verified");
    }
    if (doc_has(br, "retry_in_s")) {
        NOTE("half open in ");
        human_ms(b, doc_ms_of(br, "retry_in_s"));
    } else if (str_eq(doc_text_of(br, "state"), STR("half_open"))) {
        NOTE("waits for its trial");
    } else if (doc_int_of(br, "failures") > 0) {
        NOTE("%lld failure%s in a row", (long long)doc_int_of(br, "failures"),
             doc_int_of(br, "failures") == 1 ? "" : "s");
    }
    if (doc_real_of(e, "cooldown_s") > 0) {
        NOTE("%s ", doc_flag_of(e, "cooldown_own_word") ? "told to wait" : "waits");
        human_ms(b, doc_ms_of(e, "cooldown_s"));
    }
    json_array_foreach(doc_list_of(e, "cells"), i, cell)
    {
        NOTE("%s", "");
        cell_note(b, cell);
    }
    if (doc_flag_of(e, "untested") || doc_has(br, "retry_in_s") || doc_int_of(br, "failures") > 0)
        put_last(b, e, &sep);
    if (doc_flag_of(e, "draining"))
        NOTE("no new conversations");
    size_t marks = json_array_size(doc_list_of(e, "marks"));
    if (marks)
        NOTE("%zu mark%s", marks, marks == 1 ? "" : "s");
#undef NOTE
}

static int64_t attempts_of(const json_t *e)
{
    const json_t *v;
    const char *key;
    int64_t sum = 0;
    json_object_foreach((json_t *)(uintptr_t)json_object_get(e, "attempts"), key, v) sum +=
        json_integer_value(v);
    return sum;
}

/* A percentile: the end of a range of up to a third of it, in which it lies. */
static void put_milliseconds(struct table *t, const json_t *o, const char *key)
{
    if (doc_has(o, key)) {
        struct buf *b = table_cell(t, TINT_NONE);
        (void)!buf_str(b, STR("≤"));
        human_ms(b, (int64_t)(doc_real_of(o, key) + 0.5));
    } else
        table_text(t, TINT_DIM, "-");
}

static void endpoints_table(struct cmd *c, const json_t *doc)
{
    static const struct column columns[] = {
        {"ENDPOINT", false, true, 0}, {"STATE", false, false, 0},   {"BREAKER", false, false, 2},
        {"OPEN", true, false, 0},     {"ATTEMPTS", true, false, 3}, {"OK", true, false, 0},
        {"TTFT P50", true, false, 4}, {"P99", true, false, 5},      {"BOUND", true, false, 6},
        {"PRIO", true, false, 8},     {"WEIGHT", true, false, 7},   {"NOTE", false, true, 1},
    };
    struct table t;
    const json_t *e;
    size_t i;
    table_init(&t, columns, COUNT_OF(columns));
    t.wrap = true;
    json_array_foreach(doc_list_of(doc, "endpoints"), i, e)
    {
        struct str state = doc_text_of(e, "state");
        if (doc_flag_of(e, "untested") && str_eq(state, STR("healthy")))
            state = STR("untested");
        struct str breaker = doc_text_of(json_object_get(e, "breaker"), "state");
        enum tint tint = tint_of_state(state);
        table_foreign(&t, TINT_BOLD, name_of(e));
        table_foreign(&t, tint, state);
        table_foreign(&t, tint_of_breaker(breaker), breaker);
        put_count(&t, doc_int_of(e, "open_requests"));
        put_count(&t, attempts_of(e));
        double rate = doc_real_of(e, "success_rate");
        if (doc_has(e, "success_rate"))
            (void)!buf_printf(table_cell(&t, rate < 0.9    ? TINT_BAD
                                             : rate < 0.99 ? TINT_WARN
                                                           : TINT_NONE),
                              "%.1f%%", rate * 100);
        else
            table_text(&t, TINT_DIM, "-");
        put_milliseconds(&t, json_object_get(e, "ttfb_ms"), "p50");
        put_milliseconds(&t, json_object_get(e, "ttfb_ms"), "p99");
        put_count(&t, doc_int_of(e, "sessions"));
        human_count(table_cell(&t, TINT_NONE), doc_int_of(e, "priority"));
        human_count(table_cell(&t, TINT_NONE), doc_int_of(e, "weight"));
        put_note(table_cell(&t, tint == TINT_GOOD ? TINT_DIM : tint), e);
    }
    show_table(c, &t);
}

static int endpoints_once(struct cmd *c)
{
    int code;
    json_t *doc = fetch(c, "endpoints", 1, &code);
    if (doc)
        endpoints_table(c, doc);
    json_decref(doc);
    return code;
}

/* The names alone, for shell completion. */
static int endpoint_names(struct cmd *c)
{
    int code;
    const json_t *e;
    size_t i;
    json_t *doc = fetch(c, "endpoints", 1, &code);
    if (doc)
        json_array_foreach(doc_list_of(doc, "endpoints"), i, e)
        {
            cmd_put(c, STR_FMT "\n", STR_ARG(name_of(e)));
        }
    json_decref(doc);
    return code;
}

int cmd_endpoints(struct cmd *c, int argc, char **argv)
{
    if (argc == 1)
        return endpoints_once(c);
    if (argc == 2 && strcmp(argv[1], "--names") == 0)
        return endpoint_names(c);
    if (strncmp(argv[1], "--watch", 7) == 0 || strcmp(argv[1], "-w") == 0)
        return watch_run(c, argc, argv, endpoints_once);
    if (argv[1][0] == '-')
        return cmd_choice(c, argc, argv);
    return argc == 2 ? endpoint_show(c, argv[1]) : cmd_usage(c, "takes one endpoint");
}

/* ---- queue, breakers, sessions */

/* The endpoints that are disabled, behind those in the queue. */
static void put_disabled(struct table *t, const json_t *doc)
{
    const json_t *e;
    size_t i;
    json_array_foreach(doc_list_of(doc, "disabled"), i, e)
    {
        table_foreign(t, TINT_BOLD, name_of(e));
        table_text(t, TINT_DIM, "-");
        table_text(t, TINT_DIM, "-");
        if (doc_flag_of(e, "verifying"))
            table_text(t, TINT_INFO, "now");
        else
            put_time(t, e, "next_in_s");
        table_text(t, TINT_NONE, "no");
        struct buf *b = table_cell(t, TINT_NONE);
        (void)!buf_str(b, STR("disabled by "));
        human_text(b, doc_text_of(e, "disabled_by"));
    }
}

int cmd_queue(struct cmd *c, int argc, char **argv)
{
    static const struct column columns[] = {
        {"ENDPOINT", false, true, 0},      {"SINCE", true, false, 2},
        {"VERIFICATIONS", true, false, 3}, {"NEXT", true, false, 0},
        {"REQUESTS", false, false, 0},     {"REASON", false, true, 0},
    };
    int code;
    (void)argv;
    json_t *doc = fetch(c, "queue", argc, &code);
    if (doc && json_array_size(doc_list_of(doc, "queue")) == 0)
        cmd_put(c, "no endpoint is in the failure queue\n");
    if (doc && (json_array_size(doc_list_of(doc, "queue")) ||
                json_array_size(doc_list_of(doc, "disabled")))) {
        struct table t;
        const json_t *e;
        size_t i;
        table_init(&t, columns, COUNT_OF(columns));
        json_array_foreach(doc_list_of(doc, "queue"), i, e)
        {
            table_foreign(&t, TINT_BOLD, name_of(e));
            put_time(&t, e, "since_s");
            put_count(&t, doc_int_of(e, "verifications"));
            if (doc_flag_of(e, "verifying"))
                table_text(&t, TINT_INFO, "now");
            else
                put_time(&t, e, "next_in_s");
            table_text(&t, TINT_NONE, doc_flag_of(e, "in_reach") ? "in reach" : "no");
            human_reason(table_cell(&t, TINT_NONE), doc_text_of(e, "reason"));
        }
        put_disabled(&t, doc);
        show_table(c, &t);
    }
    json_decref(doc);
    return code;
}

int cmd_breakers(struct cmd *c, int argc, char **argv)
{
    static const struct column columns[] = {
        {"ENDPOINT", false, true, 0},
        {"BREAKER", false, false, 0},
        {"FAILURES", true, false, 0},
        {"HALF OPEN IN", true, false, 0},
    };
    int code;
    (void)argv;
    json_t *doc = fetch(c, "breakers", argc, &code);
    if (doc) {
        struct table t;
        const json_t *e;
        size_t i;
        table_init(&t, columns, COUNT_OF(columns));
        json_array_foreach(doc_list_of(doc, "breakers"), i, e)
        {
            struct str state = doc_text_of(e, "state");
            enum tint tint = tint_of_breaker(state);
            table_foreign(&t, TINT_BOLD, name_of(e));
            table_foreign(&t, tint == TINT_DIM ? TINT_GOOD : tint, state);
            put_count(&t, doc_int_of(e, "failures"));
            put_time(&t, e, "retry_in_s");
        }
        show_table(c, &t);
    }
    json_decref(doc);
    return code;
}

int cmd_sessions(struct cmd *c, int argc, char **argv)
{
    static const struct column columns[] = {
        {"ENDPOINT", false, true, 0}, {"BOUND", true, false, 0}, {"SHARE", true, false, 1}};
    int code;
    (void)argv;
    json_t *doc = fetch(c, "sessions", argc, &code);
    if (doc) {
        struct table t;
        const json_t *e;
        size_t i;
        int64_t all = doc_int_of(doc, "bindings");
        human_count(&c->out, all);
        cmd_put(c, " conversation%s bound, of at most ", all == 1 ? " is" : "s are");
        human_count(&c->out, doc_int_of(doc, "max_sessions"));
        cmd_put(c, "%s\n\n", doc_flag_of(doc, "enabled") ? "" : "; affinity is off");
        table_init(&t, columns, COUNT_OF(columns));
        json_array_foreach(doc_list_of(doc, "endpoints"), i, e)
        {
            int64_t n = doc_int_of(e, "bindings");
            table_foreign(&t, TINT_BOLD, name_of(e));
            put_count(&t, n);
            if (all > 0)
                (void)!buf_printf(table_cell(&t, TINT_NONE), "%.1f%%",
                                  100.0 * (double)n / (double)all);
            else
                table_text(&t, TINT_DIM, "-");
        }
        show_table(c, &t);
    }
    json_decref(doc);
    return code;
}

/* ---- status */

enum { LABEL = 13 };

static void label(struct cmd *c, const char *text)
{
    cmd_tint(c, TINT_DIM, "%-*s", LABEL, text);
}

static void put_listeners(struct cmd *c, const json_t *s, bool admin)
{
    const json_t *l;
    size_t i;
    bool any = false;
    json_array_foreach(doc_list_of(s, "listeners"), i, l)
    {
        if (doc_flag_of(l, "admin") != admin)
            continue;
        if (!any)
            label(c, admin ? "admin" : "listens on");
        else
            cmd_put(c, ", ");
        any = true;
        cmd_foreign(c, doc_text_of(l, "address"));
        if (doc_flag_of(l, "tls"))
            cmd_put(c, " (TLS)");
    }
    if (any)
        cmd_put(c, "\n");
}

/* Prints the number of endpoints in each state: "2 healthy, 1 queued". */
static void put_states(struct cmd *c, const json_t *states)
{
    const json_t *n;
    const char *name, *sep = "";
    label(c, "endpoints");
    json_object_foreach((json_t *)(uintptr_t)states, name, n)
    {
        if (json_integer_value(n) == 0)
            continue;
        cmd_put(c, "%s", sep);
        cmd_tint(c, tint_of_state(str_c(name)), "%lld %s", (long long)json_integer_value(n), name);
        sep = ", ";
    }
    cmd_put(c, "\n");
}

static void put_part(struct cmd *c, const char *sep, int64_t v, const char *what)
{
    cmd_put(c, "%s", sep);
    human_count(&c->out, v);
    cmd_put(c, " %s", what);
}

static void put_totals(struct cmd *c, const json_t *t)
{
    const json_t *by = json_object_get(t, "requests_by_status"),
                 *tok = json_object_get(t, "tokens");
    static const struct {
        const char *key, *text;
        enum tint tint;
    } rows[] = {{"2xx", "2xx", TINT_GOOD},
                {"3xx", "3xx", TINT_NONE},
                {"4xx", "4xx", TINT_WARN},
                {"5xx", "5xx", TINT_BAD},
                {"none", "left by the client", TINT_NONE}};
    label(c, "requests");
    human_count(&c->out, doc_int_of(t, "requests"));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t n = doc_int_of(by, rows[i].key);
        if (!n)
            continue;
        struct buf b;
        buf_init(&b, 64);
        human_count(&b, n);
        cmd_put(c, ", ");
        cmd_tint(c, rows[i].tint, STR_FMT " %s", STR_ARG(buf_view(&b)), rows[i].text);
        buf_free(&b);
    }
    cmd_put(c, "\n");
    label(c, "open");
    put_part(c, "", doc_int_of(t, "requests_open"), "requests");
    put_part(c, ", ", doc_int_of(t, "streams_open"), "streams");
    put_part(c, ", ", doc_int_of(t, "connections"), "connections");
    cmd_put(c, "\n");
    label(c, "bytes");
    human_bytes(&c->out, doc_int_of(t, "bytes_in"));
    cmd_put(c, " in, ");
    human_bytes(&c->out, doc_int_of(t, "bytes_out"));
    cmd_put(c, " out\n");
    label(c, "tokens");
    put_part(c, "", doc_int_of(tok, "input"), "input");
    put_part(c, ", ", doc_int_of(tok, "output"), "output");
    put_part(c, ", ", doc_int_of(tok, "cache_read"), "cache read");
    put_part(c, ", ", doc_int_of(tok, "cache_write"), "cache write");
    cmd_put(c, "\n");
}

static void put_workers(struct cmd *c, const json_t *s)
{
    static const struct column columns[] = {
        {"WORKER", true, false, 0},     {"PID", true, false, 0},         {"STATE", false, false, 0},
        {"GENERATION", true, false, 3}, {"CONNECTIONS", true, false, 0}, {"OPEN", true, false, 0},
        {"REQUESTS", true, false, 0},   {"BUFFERED", true, false, 2},    {"DIED", true, false, 1},
    };
    struct table t;
    const json_t *w;
    size_t i;
    table_init(&t, columns, COUNT_OF(columns));
    json_array_foreach(doc_list_of(s, "workers"), i, w)
    {
        struct str state = doc_text_of(w, "state");
        int64_t died = doc_int_of(w, "failures");
        (void)!buf_printf(table_cell(&t, TINT_BOLD), "%lld", (long long)doc_int_of(w, "slot"));
        (void)!buf_printf(table_cell(&t, TINT_NONE), "%lld", (long long)doc_int_of(w, "pid"));
        table_foreign(&t, str_eq(state, STR("serving")) ? TINT_GOOD : TINT_WARN, state);
        human_count(table_cell(&t, TINT_NONE), doc_int_of(w, "generation"));
        put_count(&t, doc_int_of(w, "connections"));
        put_count(&t, doc_int_of(w, "requests_open"));
        put_count(&t, doc_int_of(w, "requests"));
        human_bytes(table_cell(&t, TINT_NONE), doc_int_of(w, "buffered_bytes"));
        human_count(table_cell(&t, died ? TINT_WARN : TINT_DIM), died);
    }
    show_table(c, &t);
}

/* The folder of what lasts, and what is wrong with it. */
static void put_state_dir(struct cmd *c, const json_t *s)
{
    const json_t *dir = json_object_get(s, "state_dir");
    label(c, "state");
    if (!json_is_object(dir)) {
        cmd_tint(c, TINT_DIM, "nothing is kept over a restart: state_dir is not set");
    } else {
        cmd_foreign(c, doc_text_of(dir, "path"));
        struct str problem = doc_text_of(dir, "problem");
        if (problem.n)
            cmd_tint(c, TINT_BAD, ", cannot be saved: " STR_FMT, STR_ARG(problem));
    }
    cmd_put(c, "\n");
}

static void status_page(struct cmd *c, const json_t *s)
{
    const json_t *t = json_object_get(s, "totals");
    struct str state = doc_text_of(s, "state");
    int64_t refused = doc_int_of(t, "reloads_refused");
    cmd_tint(c, TINT_BOLD, "qcc " STR_FMT, STR_ARG(doc_text_of(s, "version")));
    cmd_put(c, "  ");
    cmd_tint(c, str_eq(state, STR("serving")) ? TINT_GOOD : TINT_WARN, STR_FMT, STR_ARG(state));
    cmd_put(c, ", up ");
    human_ms(&c->out, doc_int_of(s, "uptime_s") * 1000);
    cmd_put(c, ", pid %lld\n\n", (long long)doc_int_of(s, "pid"));
    label(c, "config");
    cmd_foreign(c, doc_text_of(s, "config"));
    cmd_put(c, ", generation %lld", (long long)doc_int_of(s, "generation"));
    if (doc_int_of(t, "reloads") || refused)
        cmd_put(c, ", %lld reload%s", (long long)doc_int_of(t, "reloads"),
                doc_int_of(t, "reloads") == 1 ? "" : "s");
    if (refused)
        cmd_tint(c, TINT_WARN, ", %lld refused", (long long)refused);
    cmd_put(c, "\n");
    label(c, "started");
    cmd_foreign(c, doc_text_of(s, "started"));
    cmd_put(c, "\n");
    put_listeners(c, s, false);
    put_listeners(c, s, true);
    put_state_dir(c, s);
    put_states(c, json_object_get(s, "endpoints"));
    put_totals(c, t);
    cmd_put(c, "\n");
    put_workers(c, s);
}

static int status_once(struct cmd *c)
{
    json_t *s;
    int code = cmd_ask(c, "status", "", &s);
    if (code != CTL_DONE)
        return code;
    if (c->json)
        cmd_json(c, s);
    else
        status_page(c, s);
    json_decref(s);
    return CTL_DONE;
}

int cmd_status(struct cmd *c, int argc, char **argv)
{
    return argc == 1 ? status_once(c) : watch_run(c, argc, argv, status_once);
}
