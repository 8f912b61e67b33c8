/* What has been: the last requests. */
#include "supervisor/qccctl/cmd.h"
#include "supervisor/qccctl/human.h"

#include <stdio.h>
#include <string.h>

static enum tint tint_of_status(int64_t status)
{
    return status == 0 ? TINT_DIM : status < 400 ? TINT_GOOD : status < 500 ? TINT_WARN : TINT_BAD;
}

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

/* "relay: transient (503), official: ok" */
static void put_attempts(struct buf *b, const json_t *r)
{
    const json_t *a;
    size_t i, n = json_array_size(doc_list_of(r, "attempts"));
    json_array_foreach(doc_list_of(r, "attempts"), i, a)
    {
        if (n == 1 && str_eq(doc_text_of(a, "class"), STR("ok")))
            return; /* as it should be */
        (void)!buf_printf(b, "%s", i ? ", " : "");
        human_text(b, doc_text_of(a, "endpoint"));
        (void)!buf_printf(b, " " STR_FMT, STR_ARG(doc_text_of(a, "class")));
        if (doc_has(a, "status") && !str_eq(doc_text_of(a, "class"), STR("ok")))
            (void)!buf_printf(b, " %lld", (long long)doc_int_of(a, "status"));
    }
}

static void requests_table(struct cmd *c, const json_t *doc)
{
    static const struct column columns[] = {
        {"TIME", false, false, 2},  {"ID", false, false, 0},     {"MODEL", false, true, 4},
        {"ENDPOINT", false, true, 0}, {"STATUS", true, false, 0},  {"FIRST", true, false, 5},
        {"TOTAL", true, false, 0},  {"IN", true, false, 6},      {"OUT", true, false, 6},
        {"TRIES", true, false, 3},  {"ATTEMPTS", false, true, 1},
    };
    struct table t;
    const json_t *r;
    size_t i;
    table_init(&t, columns, COUNT_OF(columns));
    json_array_foreach(doc_list_of(doc, "requests"), i, r)
    {
        struct str time = doc_text_of(r, "time");
        int64_t status = doc_int_of(r, "status"), tries = doc_int_of(r, "attempts_begun");
        if (time.n == 24) /* the day is known to whoever asks for the last ones */
            time = str_make(time.p + 11, 12);
        table_foreign(&t, TINT_DIM, time);
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
        (void)!buf_printf(table_cell(&t, tries > 1 ? TINT_WARN : TINT_NONE), "%lld", (long long)tries);
        put_attempts(table_cell(&t, TINT_DIM), r);
    }
    table_print(&t, c->width, c->color, &c->out);
    table_fini(&t);
}

int past_requests(struct cmd *c, int argc, char **argv)
{
    json_t *doc;
    uint64_t limit = 20;
    char arg[32];
    const char *given = argc == 2 ? argv[1] : argc == 3 && strcmp(argv[1], "-n") == 0 ? argv[2] : NULL;
    if (argc > 1 && (!given || !str_to_u64(str_c(given), 1000, &limit) || limit == 0))
        return cmd_usage(c, "takes how many to show, from 1 to 1000");
    snprintf(arg, sizeof arg, "limit=%u", (unsigned)limit);
    int code = cmd_ask(c, "requests", arg, &doc);
    if (code != CTL_DONE)
        return code;
    if (c->json)
        cmd_json(c, doc);
    else if (json_array_size(doc_list_of(doc, "requests")) == 0)
        cmd_put(c, "no request is remembered yet\n");
    else
        requests_table(c, doc);
    if (!c->json && doc_int_of(doc, "workers_missing"))
        fprintf(stderr, "qccctl requests: %lld worker%s did not answer in time\n",
                (long long)doc_int_of(doc, "workers_missing"),
                doc_int_of(doc, "workers_missing") == 1 ? "" : "s");
    json_decref(doc);
    return CTL_DONE;
}
