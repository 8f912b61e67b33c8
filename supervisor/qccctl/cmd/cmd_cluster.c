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
    int64_t beat = doc_int_of(h, "beat_ms");
    if (beat < 10000)
        (void)!buf_printf(table_cell(t, TINT_NONE), "%lld.%llds", (long long)beat / 1000,
                          (long long)beat / 100 % 10);
    else
        human_ms(table_cell(t, TINT_WARN), beat);
    table_foreign(t, TINT_NONE, doc_text_of(h, "version"));
    table_foreign(t, other ? TINT_WARN : TINT_NONE, doc_text_of(h, "digest"));
    if (doc_has(h, "bindings"))
        (void)!buf_printf(table_cell(t, TINT_NONE), "%lld", (long long)doc_int_of(h, "bindings"));
    else
        table_text(t, TINT_DIM, "-");
    table_text(t, TINT_DIM, own ? "this host" : other ? "another configuration" : "");
}

static void put_rtt(struct cmd *c, const json_t *rtt)
{
    if (doc_has(rtt, "p50"))
        cmd_put(c, ", round trip %.1fms (p99 %.1fms)", doc_real_of(rtt, "p50"),
                doc_real_of(rtt, "p99"));
}

/* "cluster qcc, engine redis://10.0.0.5:6379 (7.0.15, master): up for 3h12m, round trip 0.4ms (p99
 * 1.1ms)" */
static void put_head(struct cmd *c, const json_t *doc)
{
    const json_t *engine = json_object_get(doc, "engine");
    cmd_put(c, "cluster ");
    cmd_foreign(c, doc_text_of(doc, "prefix"));
    cmd_put(c, ", engine ");
    cmd_foreign(c, doc_text_of(engine, "url"));
    if (doc_has(engine, "version")) {
        cmd_put(c, " (");
        cmd_foreign(c, doc_text_of(engine, "version"));
        if (doc_has(engine, "role")) {
            cmd_put(c, ", ");
            cmd_foreign(c, doc_text_of(engine, "role"));
        }
        cmd_put(c, ")");
    }
    cmd_put(c, ": ");
    cmd_foreign(c, doc_text_of(doc, "state"));
    cmd_put(c, " for ");
    human_ms(&c->out, doc_ms_of(doc, "since_s"));
    if (doc_has(doc, "reason")) {
        cmd_put(c, ": ");
        cmd_foreign(c, doc_text_of(doc, "reason"));
    } else {
        put_rtt(c, json_object_get(doc, "rtt_ms"));
    }
    cmd_put(c, "\n");
}

static void put_notes(struct cmd *c, const json_t *doc)
{
    struct str policy = doc_text_of(json_object_get(doc, "engine"), "maxmemory_policy");
    if (!str_eq(doc_text_of(doc, "state"), STR("up")))
        cmd_put(c, "This host serves on its own knowledge; the hosts are those last seen.\n");
    if (policy.n && !str_eq(policy, STR("noeviction"))) {
        cmd_tint(c, TINT_WARN, "maxmemory-policy of the engine is ");
        cmd_foreign(c, policy);
        cmd_put(c, ": it may drop what hosts share; set it to noeviction.\n");
    }
}

static void print(struct cmd *c, const json_t *doc)
{
    static const struct column columns[] = {
        {"HOST", false, true, 0},    {"BEAT", true, false, 0},     {"VERSION", false, false, 2},
        {"CONFIG", false, false, 1}, {"BINDINGS", true, false, 2}, {"NOTE", false, true, 3},
    };
    const json_t *hosts = doc_list_of(doc, "hosts"), *h;
    struct table t;
    size_t i;
    put_head(c, doc);
    table_init(&t, columns, COUNT_OF(columns));
    json_array_foreach(hosts, i, h)
    {
        put_row(&t, h, self_of(doc));
    }
    if (i)
        table_print(&t, c->width, c->color, &c->out);
    table_fini(&t);
    put_notes(c, doc);
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
