/* cmd_marks: the command marks: single things that endpoints refuse while others serve them. */
#include "supervisor/qccctl/cmd/cmd.h"
#include "supervisor/qccctl/print/human.h"

#include <stdio.h>

/* Whether the endpoint e is meant: by its name, its id, or as nobody asked for one. */
static bool is_meant(const json_t *e, const char *which)
{
    return !which || str_eq(doc_text_of(e, "name"), str_c(which)) ||
           str_eq(doc_text_of(e, "id"), str_c(which));
}

static void put_row(struct table *t, const json_t *e, const json_t *m)
{
    table_foreign(t, TINT_BOLD, doc_text_of(e, "name"));
    table_foreign(t, TINT_DIM, doc_text_of(m, "kind"));
    table_foreign(t, TINT_NONE, doc_text_of(m, "name"));
    human_ms(table_cell(t, TINT_NONE), doc_ms_of(m, "until_s"));
}

/* Adds the mark to the list of the JSON answer. */
static void add(json_t *list, const json_t *e, const json_t *m)
{
    json_t *x = json_deep_copy(m);
    json_object_set(x, "endpoint", json_object_get(e, "name"));
    json_array_append_new(list, x);
}

int cmd_marks(struct cmd *c, int argc, char **argv)
{
    static const struct column columns[] = {
        {"ENDPOINT", false, true, 0},
        {"KIND", false, false, 1},
        {"MARK", false, true, 0},
        {"FOR", true, false, 0},
    };
    json_t *doc;
    const char *which = argc > 1 ? argv[1] : NULL;
    if (argc > 2)
        return cmd_usage(c, "one endpoint at a time");
    int code = cmd_ask(c, "endpoints", "", &doc);
    if (code != CTL_DONE)
        return code;
    struct table t;
    size_t i, k, known = 0;
    const json_t *e, *m;
    json_t *list = json_array();
    table_init(&t, columns, COUNT_OF(columns));
    json_array_foreach(doc_list_of(doc, "endpoints"), i, e)
    {
        if (!is_meant(e, which))
            continue;
        known++;
        json_array_foreach(doc_list_of(e, "marks"), k, m)
        {
            put_row(&t, e, m);
            add(list, e, m);
        }
    }
    if (which && !known) {
        fprintf(stderr, "qccctl marks: no endpoint has that id or name\n");
        code = CTL_REFUSED;
    } else if (c->json) {
        json_t *all = json_pack("{s:O}", "marks", list);
        cmd_json(c, all);
        json_decref(all);
    } else if (json_array_size(list) == 0) {
        cmd_put(c, "nothing is marked\n");
    } else {
        table_print(&t, c->width, c->color, &c->out);
    }
    table_fini(&t);
    json_decref(list);
    json_decref(doc);
    return code;
}
