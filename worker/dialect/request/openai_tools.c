#include "worker/dialect/request/openai_tools.h"

#include "worker/dialect/server_tools.h"
#include "worker/dialect/tool_id.h"
#include "worker/json/json_raw.h"

#include <stdlib.h>

/* ---- reading */

struct reading {
    struct translation *t;
    struct openai_tools *tools;
};

static bool read_tool(void *ctx, struct str member, bool escaped, const struct json_hit *v)
{
    enum { NAME, DESCRIPTION, SCHEMA, DEFER, WANTS };
    static const struct json_want want[WANTS] = {[NAME] = {STR_LIT("name"), {0}},
                                                 [DESCRIPTION] = {STR_LIT("description"), {0}},
                                                 [SCHEMA] = {STR_LIT("input_schema"), {0}},
                                                 [DEFER] = {STR_LIT("defer_loading"), {0}}};
    struct reading *r = ctx;
    struct openai_tools *o = r->tools;
    struct json_hit h[WANTS];
    struct str server;
    (void)member, (void)escaped;
    if (v->kind != JSON_IS_OBJECT || server_tool(v, &server) ||
        !json_find(v->raw, want, h, WANTS) || h[NAME].kind != JSON_IS_STRING || !h[NAME].raw.n)
        return true;
    struct openai_tool *tools = translation_grow(r->t, o->v, o->n, &o->cap, sizeof *tools);
    if (!tools)
        return false;
    o->v = tools;
    o->v[o->n++] = (struct openai_tool){
        .name = translation_text(r->t, h[NAME].raw),
        .description = h[DESCRIPTION].kind == JSON_IS_STRING ? h[DESCRIPTION].raw : STR(""),
        .schema = h[SCHEMA].kind == JSON_IS_OBJECT ? h[SCHEMA].raw : STR(""),
        .deferred = h[DEFER].kind == JSON_IS_TRUE};
    o->ndeferred += o->v[o->n - 1].deferred;
    return !translation_failed(r->t);
}

static int compare_names(const void *a, const void *b)
{
    const struct openai_tool *const *x = a, *const *y = b;
    return tool_id_compare((*x)->name, (*y)->name);
}

void openai_tools_read(struct translation *t, struct openai_tools *tools,
                       const struct json_hit *list, const struct json_hit *choice)
{
    struct reading r = {t, tools};
    *tools = (struct openai_tools){.choice = *choice};
    if (list->kind == JSON_IS_ARRAY)
        json_each(list->raw, read_tool, &r);
    if (!tools->ndeferred || translation_failed(t))
        return;
    tools->deferred = translation_alloc(t, tools->ndeferred * sizeof(struct openai_tool *));
    if (!tools->deferred)
        return;
    size_t n = 0;
    for (size_t i = 0; i < tools->n; i++)
        if (tools->v[i].deferred)
            tools->deferred[n++] = &tools->v[i];
    qsort(tools->deferred, n, sizeof(struct openai_tool *), compare_names);
}

void openai_tools_use(struct openai_tools *tools, struct str name)
{
    size_t low = 0, high = tools->ndeferred;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (tool_id_compare(tools->deferred[mid]->name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < tools->ndeferred && str_eq(tools->deferred[low]->name, name); low++)
        tools->deferred[low]->deferred = false;
}

/* ---- writing */

struct schema {
    struct translation *t;
    struct str left_out; /* undecoded name of $schema; p NULL: there is none */
    bool type, properties;
    size_t n; /* members that were written */
};

static bool look_at_member(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    struct schema *s = ctx;
    (void)escaped, (void)v;
    if (json_raw_is(name, STR("$schema")))
        s->left_out = name;
    s->type = s->type || json_raw_is(name, STR("type"));
    s->properties = s->properties || json_raw_is(name, STR("properties"));
    return true;
}

static bool put_member(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    struct schema *s = ctx;
    bool string = v->kind == JSON_IS_STRING;
    (void)escaped;
    if (json_raw_is(name, STR("$schema")))
        return true;
    if (s->n++)
        translation_put(s->t, STR(","));
    translation_put(s->t, STR("\""));
    translation_put_raw(s->t, name);
    translation_put(s->t, STR("\":"));
    translation_put_raw(s->t, str_make(v->raw.p - string, v->raw.n + (size_t)string * 2));
    return true;
}

static void put_parameters(struct translation *t, struct str schema)
{
    struct schema s = {.t = t};
    json_each(schema, look_at_member, &s);
    if (s.type && s.properties && !s.left_out.p) {
        translation_put_raw(t, schema);
        return;
    }
    translation_put(t, STR("{"));
    if (!s.type) {
        translation_put(t, STR("\"type\":\"object\""));
        s.n++;
    }
    json_each(schema, put_member, &s);
    if (!s.properties)
        translation_put(t, s.n ? STR(",\"properties\":{}") : STR("\"properties\":{}"));
    translation_put(t, STR("}"));
}

static void put_tool(struct translation *t, const struct openai_tool *tool)
{
    char room[TOOL_NAME_MAX];
    translation_put(t, STR("{\"type\":\"function\",\"function\":{\"name\":"));
    translation_put_string(t, tool_name_sent(tool->name, room));
    if (tool->description.n) {
        translation_put(t, STR(",\"description\":\""));
        translation_put_raw(t, tool->description);
        translation_put(t, STR("\""));
    }
    translation_put(t, STR(",\"parameters\":"));
    put_parameters(t, tool->schema);
    translation_put(t, STR("}}"));
}

/* Notes in the context the tools whose name was changed. */
static void note_names(struct translation *t, const struct openai_tools *tools)
{
    struct tool_name *names = NULL;
    size_t n = 0, cap = 0;
    for (size_t i = 0; i < tools->n && !t->full; i++) {
        char room[TOOL_NAME_MAX];
        struct str sent = tool_name_sent(tools->v[i].name, room);
        if (sent.p != room)
            continue;
        struct tool_name *more = translation_grow(t, names, n, &cap, sizeof *names);
        char *kept = translation_alloc(t, sent.n);
        if (!more || !kept)
            return;
        memcpy(kept, sent.p, sent.n);
        names = more;
        names[n++] = (struct tool_name){str_make(kept, sent.n), tools->v[i].name};
    }
    t->ctx->names = names;
    t->ctx->nnames = n;
}

static void put_choice(struct translation *t, const struct json_hit *choice)
{
    enum { TYPE, NAME, SERIAL, WANTS };
    static const struct json_want want[WANTS] = {
        [TYPE] = {STR_LIT("type"), {0}},
        [NAME] = {STR_LIT("name"), {0}},
        [SERIAL] = {STR_LIT("disable_parallel_tool_use"), {0}}};
    static const struct {
        struct str type, sent;
    } words[] = {
        {STR_LIT("auto"), STR_LIT("\"auto\"")},
        {STR_LIT("any"), STR_LIT("\"required\"")},
        {STR_LIT("none"), STR_LIT("\"none\"")},
    };
    struct json_hit h[WANTS];
    if (choice->kind != JSON_IS_OBJECT || !json_find(choice->raw, want, h, WANTS))
        return;
    struct str type = h[TYPE].kind == JSON_IS_STRING ? h[TYPE].raw : STR("");
    bool left_out = translation_has(t, DIALECT_NO_TOOL_CHOICE);
    for (size_t i = 0; !left_out && i < COUNT_OF(words); i++)
        if (json_raw_is(type, words[i].type)) {
            translation_put(t, STR(",\"tool_choice\":"));
            translation_put(t, words[i].sent);
            t->ctx->put |= DIALECT_PUT_TOOL_CHOICE;
        }
    if (!left_out && json_raw_is(type, STR("tool")) && h[NAME].kind == JSON_IS_STRING) {
        char room[TOOL_NAME_MAX];
        translation_put(t, STR(",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":"));
        translation_put_string(t, tool_name_sent(translation_text(t, h[NAME].raw), room));
        translation_put(t, STR("}}"));
        t->ctx->put |= DIALECT_PUT_TOOL_CHOICE;
    }
    if (h[SERIAL].kind == JSON_IS_TRUE && !translation_has(t, DIALECT_NO_PARALLEL_TOOL_CALLS)) {
        translation_put(t, STR(",\"parallel_tool_calls\":false"));
        t->ctx->put |= DIALECT_PUT_PARALLEL_TOOL_CALLS;
    }
}

/* The tool that tool_choice names is wanted. */
static void use_chosen(struct translation *t, struct openai_tools *tools)
{
    static const struct json_want want = {STR_LIT("name"), {0}};
    struct json_hit name;
    if (tools->choice.kind == JSON_IS_OBJECT && json_find(tools->choice.raw, &want, &name, 1) &&
        name.kind == JSON_IS_STRING)
        openai_tools_use(tools, translation_text(t, name.raw));
}

bool openai_tools_put(struct translation *t, struct openai_tools *tools)
{
    bool any = false;
    use_chosen(t, tools);
    for (size_t i = 0; i < tools->n && !t->full; i++) {
        if (tools->v[i].deferred)
            continue;
        translation_put(t, any ? STR(",") : STR(",\"tools\":["));
        put_tool(t, &tools->v[i]);
        any = true;
    }
    note_names(t, tools);
    if (!any)
        return false;
    translation_put(t, STR("]"));
    t->ctx->put |= DIALECT_PUT_TOOLS;
    put_choice(t, &tools->choice);
    return true;
}
