/* cmd_config: the configuration in use, and the overview that the dashboard is made from. */
#include "supervisor/qccctl/cmd/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int cmd_overview(struct cmd *c, int argc, char **argv)
{
    json_t *doc;
    (void)argv;
    if (argc > 1)
        return cmd_usage(c, "takes no argument");
    int code = cmd_ask(c, "overview", "", &doc);
    if (code != CTL_DONE)
        return code;
    cmd_json(c, doc);
    json_decref(doc);
    return code;
}

enum { PATH_MAX_BYTES = 256 };

static void put_value(struct cmd *c, const json_t *v)
{
    if (json_is_string(v)) {
        cmd_foreign(c, str_make(json_string_value(v), json_string_length(v)));
        return;
    }
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
    cmd_foreign(c, str_c(text));
    free(text);
}

/* Prints the leaves below a node, a line each: limits.idle_timeout: 30s (120s). all: unchanged ones
 * too. */
static void put_leaves(struct cmd *c, const json_t *node, const char *path, bool all)
{
    char below[PATH_MAX_BYTES];
    const json_t *child;
    const char *key;
    size_t i;
    json_array_foreach(node, i, child)
    {
        snprintf(below, sizeof below, "%s[%zu]", path, i);
        put_leaves(c, child, below, all);
    }
    if (!json_is_object(node))
        return;
    if (json_object_get(node, "changed")) {
        bool changed = doc_flag_of(node, "changed");
        if (!changed && !all)
            return;
        cmd_put(c, "%s: ", path);
        put_value(c, json_object_get(node, "value"));
        if (changed && !json_is_null(json_object_get(node, "default"))) {
            cmd_tint(c, TINT_DIM, " (default ");
            put_value(c, json_object_get(node, "default"));
            cmd_tint(c, TINT_DIM, ")");
        }
        cmd_put(c, "\n");
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)node, key, child)
    {
        snprintf(below, sizeof below, "%s%s%s", path, *path ? "." : "", key);
        put_leaves(c, child, below, all);
    }
}

static void put_refusal(struct cmd *c, const json_t *r)
{
    const json_t *fault;
    size_t i;
    if (!json_is_object(r) || doc_flag_of(r, "ok"))
        return;
    cmd_tint(c, TINT_BAD, "the last reload was refused");
    cmd_put(c, " at " STR_FMT ":\n", STR_ARG(doc_text_of(r, "at")));
    json_array_foreach(doc_list_of(r, "faults"), i, fault)
    {
        cmd_put(c, "  ");
        cmd_foreign(c, str_c(json_string_value(fault)));
        cmd_put(c, "\n");
    }
}

int cmd_config(struct cmd *c, int argc, char **argv)
{
    json_t *doc;
    bool all = argc == 2 && strcmp(argv[1], "--all") == 0;
    if (argc > 1 && !all)
        return cmd_usage(c, "takes nothing, or --all");
    int code = cmd_ask(c, "config", "", &doc);
    if (code != CTL_DONE)
        return code;
    if (c->json) {
        cmd_json(c, doc);
    } else {
        cmd_foreign(c, doc_text_of(doc, "file"));
        cmd_put(c, ", generation %lld, in use since " STR_FMT "\n",
                (long long)doc_int_of(doc, "generation"), STR_ARG(doc_text_of(doc, "taken")));
        put_refusal(c, json_object_get(doc, "last_reload"));
        cmd_put(c, "\n");
        put_leaves(c, json_object_get(doc, "config"), "", all);
    }
    json_decref(doc);
    return code;
}
