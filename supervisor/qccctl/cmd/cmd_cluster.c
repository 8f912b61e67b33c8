/* cmd_cluster: the command cluster: the engine, and the hosts that share state through it. */
#include "supervisor/qccctl/cmd/cmd.h"
#include "supervisor/qccctl/print/human.h"

#include <stdio.h>

static const json_t *self_of(const json_t *doc)
{
    size_t i;
    const json_t *h;
    json_array_foreach(doc_list_of(doc, "hosts"), i, h)
    {
        if (doc_flag_of(h, "self"))
            return h;
    }
    return NULL;
}

static void put_row(struct table *t, const json_t *h, const json_t *self)
{
    bool own = doc_flag_of(h, "self");
    bool other = self && !str_eq(doc_text_of(h, "digest"), doc_text_of(self, "digest"));
    table_foreign(t, TINT_BOLD, doc_text_of(h, "name"));
    human_ms(table_cell(t, TINT_NONE), doc_int_of(h, "beat_ms"));
    table_foreign(t, TINT_NONE, doc_text_of(h, "version"));
    table_foreign(t, other ? TINT_WARN : TINT_NONE, doc_text_of(h, "digest"));
    table_foreign(t, TINT_DIM,
                  own     ? STR("this host")
                  : other ? STR("another configuration")
                          : STR(""));
}

static void print(struct cmd *c, const json_t *doc)
{
    static const struct column columns[] = {
        {"HOST", false, true, 0},    {"BEAT", true, false, 0}, {"VERSION", false, false, 2},
        {"CONFIG", false, false, 1}, {"NOTE", false, true, 3},
    };
    const json_t *engine = json_object_get(doc, "engine"), *h;
    struct table t;
    size_t i;
    cmd_put(c, "engine ");
    cmd_foreign(c, doc_text_of(engine, "url"));
    if (doc_has(engine, "version")) {
        cmd_put(c, " (");
        cmd_foreign(c, doc_text_of(engine, "version"));
        cmd_put(c, ")");
    }
    cmd_put(c, ": ");
    cmd_foreign(c, doc_text_of(doc, "state"));
    if (doc_has(doc, "reason")) {
        cmd_put(c, ": ");
        cmd_foreign(c, doc_text_of(doc, "reason"));
    }
    cmd_put(c, "\n");
    table_init(&t, columns, COUNT_OF(columns));
    const json_t *hosts = doc_list_of(doc, "hosts");
    json_array_foreach(hosts, i, h)
    {
        put_row(&t, h, self_of(doc));
    }
    if (i)
        table_print(&t, c->width, c->color, &c->out);
    table_fini(&t);
}

int cmd_cluster(struct cmd *c, int argc, char **argv)
{
    json_t *doc;
    (void)argv;
    if (argc > 1)
        return cmd_usage(c, "nothing may follow cluster");
    int code = cmd_ask(c, "cluster", "", &doc);
    if (code != CTL_DONE)
        return code;
    if (c->json)
        cmd_json(c, doc);
    else if (!doc_flag_of(doc, "enabled"))
        cmd_put(c, "this host is alone: cluster.url is not set\n");
    else
        print(c, doc);
    json_decref(doc);
    return code;
}
