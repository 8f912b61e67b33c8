#include "worker/dialect/request/openai_format.h"

#include "worker/dialect/tool_name.h"
#include "worker/json/json_raw.h"

enum { SCHEMA_DEPTH = 32 };

struct str openai_format_schema(const struct json_hit *format, struct str *name)
{
    enum { TYPE, SCHEMA, NAME, WANTS };
    static const struct json_want want[WANTS] = {[TYPE] = {STR_LIT("type"), {0}},
                                                 [SCHEMA] = {STR_LIT("schema"), {0}},
                                                 [NAME] = {STR_LIT("name"), {0}}};
    struct json_hit h[WANTS];
    *name = STR("");
    if (format->kind != JSON_IS_OBJECT || !json_find(format->raw, want, h, WANTS) ||
        h[TYPE].kind != JSON_IS_STRING || !json_raw_is(h[TYPE].raw, STR("json_schema")) ||
        h[SCHEMA].kind != JSON_IS_OBJECT)
        return STR("");
    if (h[NAME].kind == JSON_IS_STRING)
        *name = h[NAME].raw;
    return h[SCHEMA].raw;
}

/* ---- strict */

struct strict {
    unsigned depth;   /* schemas open */
    bool strict;      /* so far */
    struct str names; /* `required` of the object whose properties are looked at */
};

static void check_schema(struct strict *s, const struct json_hit *v);

static bool check_each(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    struct strict *s = ctx;
    (void)name, (void)escaped;
    check_schema(s, v);
    return s->strict;
}

struct search {
    struct str name; /* undecoded */
    bool found;
};

static bool is_required(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    struct search *s = ctx;
    (void)name, (void)escaped;
    s->found = v->kind == JSON_IS_STRING && str_eq(v->raw, s->name);
    return !s->found;
}

static bool check_property(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    struct strict *s = ctx;
    struct search required = {.name = name};
    (void)escaped, (void)v;
    json_each(s->names, is_required, &required);
    s->strict = s->strict && required.found;
    return s->strict;
}

/* Whether `type` is or contains "object". */
static bool says_object(const struct json_hit *type)
{
    if (type->kind == JSON_IS_STRING)
        return json_raw_is(type->raw, STR("object"));
    struct search object = {.name = STR("object")};
    if (type->kind == JSON_IS_ARRAY)
        json_each(type->raw, is_required, &object);
    return object.found;
}

enum { TYPE, PROPERTIES, REQUIRED, ADDITIONAL, INNER };

static void check_object(struct strict *s, const struct json_hit *h)
{
    s->strict = s->strict && h[ADDITIONAL].kind == JSON_IS_FALSE;
    if (h[PROPERTIES].kind != JSON_IS_OBJECT)
        return;
    s->names = h[REQUIRED].kind == JSON_IS_ARRAY ? h[REQUIRED].raw : STR("[]");
    json_each(h[PROPERTIES].raw, check_property, s);
    json_each(h[PROPERTIES].raw, check_each, s);
}

static void check_schema(struct strict *s, const struct json_hit *v)
{
    static const struct json_want want[] = {
        [TYPE] = {STR_LIT("type"), {0}},
        [PROPERTIES] = {STR_LIT("properties"), {0}},
        [REQUIRED] = {STR_LIT("required"), {0}},
        [ADDITIONAL] = {STR_LIT("additionalProperties"), {0}},
        [INNER] = {STR_LIT("items"), {0}},
        {STR_LIT("not"), {0}},
        {STR_LIT("anyOf"), {0}},
        {STR_LIT("allOf"), {0}},
        {STR_LIT("oneOf"), {0}},
        {STR_LIT("prefixItems"), {0}},
        {STR_LIT("$defs"), {0}},
        {STR_LIT("definitions"), {0}},
    };
    struct json_hit h[COUNT_OF(want)];
    if (v->kind != JSON_IS_OBJECT || !s->strict)
        return;
    s->strict = s->depth < SCHEMA_DEPTH && json_find(v->raw, want, h, COUNT_OF(want));
    s->depth++;
    if (s->strict && (says_object(&h[TYPE]) || h[PROPERTIES].kind != JSON_IS_ABSENT))
        check_object(s, h);
    for (size_t i = INNER; i < COUNT_OF(want) && s->strict; i++) {
        bool schema =
            str_eq(want[i].name, STR("not")) || (i == INNER && h[i].kind == JSON_IS_OBJECT);
        if (schema)
            check_schema(s, &h[i]);
        else if (h[i].kind == JSON_IS_ARRAY || h[i].kind == JSON_IS_OBJECT)
            json_each(h[i].raw, check_each, s);
    }
    s->depth--;
}

/* Whether every object in the schema forbids other properties and requires all of its own: what
 * OpenAI's strict mode takes. A schema nested too deep is none. */
static bool is_strict(struct str schema)
{
    struct json_hit whole = {.kind = JSON_IS_OBJECT, .raw = schema};
    struct json_want type = {.name = STR("type")};
    struct json_hit hit;
    struct strict s = {.strict = json_find(schema, &type, &hit, 1) && says_object(&hit)};
    check_schema(&s, &whole);
    return s.strict;
}

/* ---- writing */

void openai_format_put(struct translation *t, struct str schema, struct str name)
{
    char room[TOOL_NAME_MAX];
    name = name.n ? tool_name_sent(translation_text(t, name), room) : STR("answer");
    translation_put(t, STR(",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":"
                           "{\"name\":"));
    translation_put_string(t, name);
    translation_put(t, STR(",\"schema\":"));
    translation_put_raw(t, schema);
    translation_put(t, is_strict(schema) ? STR(",\"strict\":true}}") : STR(",\"strict\":false}}"));
    t->ctx->put |= DIALECT_PUT_RESPONSE_FORMAT;
}
