#include "worker/dialect/server_tools.h"

#include "worker/json/json_raw.h"

/* The name of a string; n 0: there is none. */
static struct str string_of(const struct json_hit *h)
{
    return h->kind == JSON_IS_STRING ? h->raw : STR("");
}

bool server_tool(const struct json_hit *tool, struct str *name)
{
    enum { TYPE, NAME, SCHEMA, WANTS };
    static const struct json_want want[WANTS] = {[TYPE] = {STR_LIT("type"), {0}},
                                                 [NAME] = {STR_LIT("name"), {0}},
                                                 [SCHEMA] = {STR_LIT("input_schema"), {0}}};
    struct json_hit h[WANTS];
    if (tool->kind != JSON_IS_OBJECT || !json_find(tool->raw, want, h, WANTS))
        return false;
    struct str type = string_of(&h[TYPE]);
    *name = h[NAME].kind == JSON_IS_STRING ? h[NAME].raw : type;
    return h[SCHEMA].kind != JSON_IS_OBJECT && type.n && !json_raw_is(type, STR("custom"));
}

struct looking {
    struct str chosen; /* the tool that tool_choice names */
    struct str first, found;
    size_t tools, server;
};

static bool look_at_tool(void *ctx, struct str member, bool escaped, const struct json_hit *v)
{
    struct looking *l = ctx;
    struct str name;
    (void)member, (void)escaped;
    l->tools++;
    if (!server_tool(v, &name))
        return true;
    if (l->server++ == 0)
        l->first = name;
    if (l->chosen.n && str_eq(name, l->chosen))
        l->found = name;
    return true;
}

enum server_tools server_tools_in(const struct json_hit *tools, const struct json_hit *choice,
                                  struct str *name)
{
    enum { TYPE, NAME, WANTS };
    static const struct json_want want[WANTS] = {
        [TYPE] = {STR_LIT("type"), {0}}, [NAME] = {STR_LIT("name"), {0}}};
    struct json_hit h[WANTS];
    struct looking l = {.tools = 0};
    if (choice->kind == JSON_IS_OBJECT && json_find(choice->raw, want, h, WANTS) &&
        json_raw_is(string_of(&h[TYPE]), STR("tool")))
        l.chosen = string_of(&h[NAME]);
    if (tools->kind == JSON_IS_ARRAY)
        json_each(tools->raw, look_at_tool, &l);
    *name = l.found.n ? l.found : l.first;
    if (!l.server)
        return SERVER_TOOLS_NONE;
    return l.found.n || l.server == l.tools ? SERVER_TOOLS_NEEDED : SERVER_TOOLS_SOME;
}

enum server_tools server_tools_of(struct str body, struct str *name)
{
    enum { TOOLS, CHOICE, WANTS };
    static const struct json_want want[WANTS] = {
        [TOOLS] = {STR_LIT("tools"), {0}}, [CHOICE] = {STR_LIT("tool_choice"), {0}}};
    struct json_hit h[WANTS];
    *name = STR("");
    if (!json_find(body, want, h, WANTS))
        return SERVER_TOOLS_NONE;
    return server_tools_in(&h[TOOLS], &h[CHOICE], name);
}
