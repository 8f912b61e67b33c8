/* cmd_choice: `endpoints --model M`: who would get a request for a model now, and why not each of
 * the others. */
#include "common/ipc/ipc.h"
#include "common/ipc/params.h"
#include "supervisor/qccctl/cmd/cmd.h"
#include "supervisor/qccctl/print/human.h"

#include <string.h>

/* The model of `--model M` or `--model=M`; NULL: the arguments are others. */
static const char *model_of(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--model") == 0 && argv[2][0])
        return argv[2];
    return argc == 2 && str_starts(str_c(argv[1]), STR("--model=")) && argv[1][8] ? argv[1] + 8
                                                                                  : NULL;
}

/* "claude-opus-4-8: relay-a gets it", or how many may, or why nobody does. */
static void put_result(struct cmd *c, const json_t *doc)
{
    const json_t *e, *one = NULL;
    size_t i, n = 0;
    json_array_foreach(doc_list_of(doc, "endpoints"), i, e)
    {
        if (doc_flag_of(e, "would_get"))
            n++, one = e;
    }
    cmd_foreign(c, doc_text_of(doc, "model"));
    if (!str_eq(doc_text_of(doc, "model"), doc_text_of(doc, "asked"))) {
        cmd_put(c, ", asked for as ");
        cmd_foreign(c, doc_text_of(doc, "asked"));
    }
    if (n == 0) {
        cmd_put(c, ": nobody gets it: " STR_FMT, STR_ARG(doc_text_of(doc, "result")));
        if (doc_has(doc, "wait_s")) {
            cmd_put(c, ", the first one for ");
            human_ms(&c->out, doc_ms_of(doc, "wait_s"));
        }
    } else if (n == 1) {
        cmd_put(c, ": ");
        cmd_foreign(c, doc_text_of(one, "name"));
        cmd_put(c, " gets it");
    } else {
        cmd_put(c, ": one of %zu gets it, by " STR_FMT, n, STR_ARG(doc_text_of(doc, "strategy")));
    }
    if (str_eq(doc_text_of(doc, "result"), STR("trial needed")))
        cmd_put(c, ", as its trial");
    cmd_put(c, "\n\n");
}

static void put_gets(struct table *t, const json_t *e)
{
    if (!doc_flag_of(e, "would_get"))
        table_text(t, TINT_DIM, "no");
    else if (doc_has(e, "share"))
        (void)!buf_printf(table_cell(t, TINT_GOOD), "%.1f%%", doc_real_of(e, "share") * 100);
    else
        table_text(t, TINT_GOOD, "yes");
}

static void put_why(struct table *t, const json_t *e)
{
    struct buf *cell = table_cell(t, TINT_NONE);
    const char *sep = "";
    if (doc_has(e, "why")) {
        human_text(cell, doc_text_of(e, "why"));
        sep = ", ";
    }
    if (doc_has(e, "cooldown_s")) {
        (void)!buf_printf(cell, "%scools for ", sep);
        human_ms(cell, doc_ms_of(e, "cooldown_s"));
        sep = ", ";
    }
    if (doc_flag_of(e, "trial"))
        (void)!buf_printf(cell, "%shalf open: one request is let through", sep);
}

int cmd_choice(struct cmd *c, int argc, char **argv)
{
    static const struct column columns[] = {
        {"ENDPOINT", false, true, 0},    {"STATE", false, false, 2}, {"GETS IT", true, false, 0},
        {"MODEL THERE", false, true, 3}, {"FAMILY", false, true, 1}, {"WHY NOT", false, true, 0},
    };
    const char *model = model_of(argc, argv);
    struct buf arg;
    json_t *doc = NULL;
    if (!model)
        return cmd_usage(c, "takes --model with the name of a model, or nothing");
    buf_init(&arg, IPC_QUERY_MAX);
    bool fits = params_add(&arg, STR("model"), str_c(model)) && buf_add(&arg, "", 1);
    int code = fits ? cmd_ask(c, "choice", buf_data(&arg), &doc)
                    : cmd_usage(c, "the name is longer than the supervisor accepts");
    buf_free(&arg);
    if (doc && c->json) {
        cmd_json(c, doc);
    } else if (doc) {
        struct table t;
        const json_t *e;
        size_t i;
        put_result(c, doc);
        table_init(&t, columns, COUNT_OF(columns));
        json_array_foreach(doc_list_of(doc, "endpoints"), i, e)
        {
            table_foreign(&t, TINT_BOLD, doc_text_of(e, "name"));
            table_foreign(&t, TINT_NONE, doc_text_of(e, "state"));
            put_gets(&t, e);
            table_foreign(&t, TINT_NONE, doc_text_of(e, "sent"));
            table_foreign(&t, TINT_DIM, doc_text_of(e, "family"));
            put_why(&t, e);
        }
        table_print(&t, c->width, c->color, &c->out);
        table_fini(&t);
    }
    json_decref(doc);
    return code;
}
