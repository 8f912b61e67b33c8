#include "worker/dialect/reply/openai_chunk.h"

/* Members of the outermost object. */
enum { TOP_CHOICES, TOP_USAGE, TOP_ERROR, TOP_GROQ, TOP__COUNT };

static const struct json_want top[TOP__COUNT] = {
    [TOP_CHOICES] = {STR_LIT("choices"), {0}},
    [TOP_USAGE] = {STR_LIT("usage"), {0}},
    [TOP_ERROR] = {STR_LIT("error"), {0}},
    [TOP_GROQ] = {STR_LIT("x_groq"), STR_LIT("usage")},
};

/* Members of a choice and of its delta. */
enum {
    AT_INDEX,
    AT_FINISH,
    AT_STOP,
    AT_USAGE,
    AT_MESSAGE,
    AT_CONTENT,
    AT_REASONING_CONTENT,
    AT_REASONING,
    AT_REFUSAL,
    AT_TOOL_CALLS,
    AT_FUNCTION_CALL,
    AT__COUNT
};

#define CHOICE(delta)                                                                              \
    {                                                                                              \
        [AT_INDEX] = {STR_LIT("index"), {0}}, [AT_FINISH] = {STR_LIT("finish_reason"), {0}},       \
        [AT_STOP] = {STR_LIT("stop_reason"), {0}}, [AT_USAGE] = {STR_LIT("usage"), {0}},           \
        [AT_CONTENT] = {STR_LIT(delta), STR_LIT("content")},                                       \
        [AT_REASONING_CONTENT] = {STR_LIT(delta), STR_LIT("reasoning_content")},                   \
        [AT_REASONING] = {STR_LIT(delta), STR_LIT("reasoning")},                                   \
        [AT_REFUSAL] = {STR_LIT(delta), STR_LIT("refusal")},                                       \
        [AT_TOOL_CALLS] = {STR_LIT(delta), STR_LIT("tool_calls")},                                 \
        [AT_FUNCTION_CALL] = {STR_LIT(delta), STR_LIT("function_call")},                           \
        [AT_MESSAGE] = {STR_LIT("message"), {0}},                                                  \
    }

static const struct json_want of_chunk[AT__COUNT] = CHOICE("delta");

/* Whether the value of "error" stands for an error: null, false and "" do not. */
static bool is_error(const struct json_hit *hit)
{
    switch (hit->kind) {
    case JSON_IS_ABSENT:
    case JSON_IS_NULL:
    case JSON_IS_FALSE:
        return false;
    case JSON_IS_STRING:
        return hit->raw.n != 0;
    case JSON_IS_NUMBER:
    case JSON_IS_TRUE:
    case JSON_IS_OBJECT:
    case JSON_IS_ARRAY:
        break;
    }
    return true;
}

/* Whether an object without choices is an error as Mistral, DashScope and others write it: a
 * message beside a code, or an object or a type of that name. */
static bool is_bare_error(struct str text)
{
    static const struct json_want want[] = {{STR_LIT("message"), {0}},
                                            {STR_LIT("code"), {0}},
                                            {STR_LIT("object"), {0}},
                                            {STR_LIT("type"), {0}},
                                            {STR_LIT("error_code"), {0}}};
    struct json_hit hit[COUNT_OF(want)];
    if (!json_find(text, want, hit, COUNT_OF(want)))
        return false;
    bool words = hit[0].kind == JSON_IS_STRING && hit[0].raw.n;
    bool code = (hit[1].kind == JSON_IS_STRING && hit[1].raw.n) || hit[1].kind == JSON_IS_NUMBER ||
                (hit[4].kind == JSON_IS_STRING && hit[4].raw.n) || hit[4].kind == JSON_IS_NUMBER;
    return (words && code) || str_eq(hit[2].raw, STR("error")) || str_eq(hit[3].raw, STR("error"));
}

struct search {
    struct str choice;
    struct json_hit hit[AT__COUNT];
    bool found, bad;
};

/* Looks for choice 0, which may have no index. */
static bool take_choice(void *ctx, struct str name, bool escaped, const struct json_hit *value)
{
    struct search *s = ctx;
    (void)name, (void)escaped;
    if (value->kind != JSON_IS_OBJECT)
        return true;
    s->bad = !json_find(value->raw, of_chunk, s->hit, AT__COUNT);
    uint64_t v;
    if (s->hit[AT_INDEX].kind == JSON_IS_NUMBER &&
        str_to_u64(s->hit[AT_INDEX].raw, UINT32_MAX, &v) && v != 0)
        return true;
    s->choice = value->raw;
    s->found = true;
    return false;
}

/* Reads the choice as an answer if it has a message and no delta. False: it is malformed. */
static bool read_whole(struct search *s, struct openai_chunk *c)
{
    static const struct json_want of_answer[AT__COUNT] = CHOICE("message");
    static const struct json_want want = {STR_LIT("delta"), {0}};
    struct json_hit delta;
    if (!json_find(s->choice, &want, &delta, 1))
        return false;
    c->whole = delta.kind != JSON_IS_OBJECT;
    return !c->whole || json_find(s->choice, of_answer, s->hit, AT__COUNT);
}

static void read_choice(struct search *s, struct openai_chunk *c, struct openai_usage *u)
{
    const struct json_hit *hit = s->hit;
    if (s->bad || (hit[AT_MESSAGE].kind == JSON_IS_OBJECT && !read_whole(s, c))) {
        c->kind = OPENAI_CHUNK_BAD;
        return;
    }
    c->choice = true;
    c->finish = hit[AT_FINISH];
    c->stop = hit[AT_STOP];
    c->content = hit[AT_CONTENT];
    c->reasoning_content = hit[AT_REASONING_CONTENT];
    c->reasoning = hit[AT_REASONING];
    c->refusal = hit[AT_REFUSAL];
    c->tool_calls = hit[AT_TOOL_CALLS];
    c->function_call = hit[AT_FUNCTION_CALL];
    if (hit[AT_USAGE].kind == JSON_IS_OBJECT)
        openai_usage_take(u, hit[AT_USAGE].raw);
}

/* Whether the first object of the list is an error: Gemini's come so. */
static bool is_error_list(struct str text)
{
    struct search s;
    s.found = false;
    static const struct json_want want = {STR_LIT("error"), {0}};
    struct json_hit hit;
    json_each(text, take_choice, &s);
    return s.found && json_find(s.choice, &want, &hit, 1) && is_error(&hit);
}

void openai_chunk_read(struct str text, struct openai_chunk *c, struct openai_usage *u)
{
    struct json_hit hit[TOP__COUNT];
    *c = (struct openai_chunk){.kind = OPENAI_CHUNK};
    if (text.n && text.p[0] == '[') {
        c->kind = is_error_list(text) ? OPENAI_CHUNK_ERROR : OPENAI_CHUNK_BAD;
        return;
    }
    bool whole = json_find(text, top, hit, TOP__COUNT);
    if (is_error(&hit[TOP_ERROR])) {
        c->kind = OPENAI_CHUNK_ERROR;
        return;
    }
    if (!whole) {
        c->kind = OPENAI_CHUNK_BAD;
        return;
    }
    if (hit[TOP_CHOICES].kind == JSON_IS_ARRAY) {
        struct search s;
        s.found = false;
        json_each(hit[TOP_CHOICES].raw, take_choice, &s);
        if (s.found)
            read_choice(&s, c, u);
    } else if (hit[TOP_CHOICES].kind == JSON_IS_ABSENT && is_bare_error(text)) {
        c->kind = OPENAI_CHUNK_ERROR;
    }
    if (hit[TOP_GROQ].kind == JSON_IS_OBJECT)
        openai_usage_take(u, hit[TOP_GROQ].raw);
    if (hit[TOP_USAGE].kind == JSON_IS_OBJECT)
        openai_usage_take(u, hit[TOP_USAGE].raw);
}
