/* cmd_one_endpoint: everything that is known of one endpoint. */
#include "supervisor/qccctl/cmd/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MAX = 200, KEY_WIDTH = 28 };

static void put_member(struct cmd *c, const char *path, const json_t *v);

static void put_members(struct cmd *c, const char *path, const json_t *o)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)o, key, v)
    {
        char at[KEY_MAX];
        snprintf(at, sizeof at, "%s%s%s", path, *path ? "." : "", key);
        put_member(c, at, v);
    }
}

static void put_value(struct cmd *c, const json_t *v)
{
    if (json_is_string(v)) {
        cmd_foreign(c, str_make(json_string_value(v), json_string_length(v)));
        return;
    }
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
    cmd_foreign(c, str_c(json_is_null(v) ? "-" : text));
    free(text);
}

/* A line for each value: members of members by their whole path, elements of lists by number. */
static void put_member(struct cmd *c, const char *path, const json_t *v)
{
    const json_t *e;
    size_t i;
    if (json_is_object(v) && json_object_size(v)) {
        put_members(c, path, v);
    } else if (json_is_array(v) && json_array_size(v)) {
        json_array_foreach(v, i, e)
        {
            char at[KEY_MAX];
            snprintf(at, sizeof at, "%.170s[%zu]", path, i);
            put_member(c, at, e);
        }
    } else {
        cmd_foreign(c, str_c(path));
        cmd_put(c, "%*s", strlen(path) < KEY_WIDTH ? KEY_WIDTH - (int)strlen(path) : 1, "");
        if (json_is_object(v) || json_is_array(v))
            cmd_put(c, "-");
        else
            put_value(c, v);
        cmd_put(c, "\n");
    }
}

int endpoint_show(struct cmd *c, const char *name)
{
    const json_t *e;
    size_t i;
    json_t *doc;
    int code = cmd_ask(c, "endpoints", "", &doc);
    if (code != CTL_DONE)
        return code;
    code = CTL_REFUSED;
    json_array_foreach(doc_list_of(doc, "endpoints"), i, e)
    {
        if (!str_eq(doc_text_of(e, "name"), str_c(name)) &&
            !str_eq(doc_text_of(e, "id"), str_c(name)))
            continue;
        code = CTL_DONE;
        if (c->json) {
            cmd_json(c, e);
            break;
        }
        /* as the table calls it */
        if (doc_flag_of(e, "untested") && str_eq(doc_text_of(e, "state"), STR("healthy")))
            json_object_set_new((json_t *)(uintptr_t)e, "state", json_string("untested"));
        put_members(c, "", e);
        break;
    }
    if (code != CTL_DONE)
        fprintf(stderr, "qccctl: there is no endpoint %.64s\n", name);
    json_decref(doc);
    return code;
}
