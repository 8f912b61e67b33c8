#include "worker/dialect/reply/openai_chunk.h"

/* Chunks are many, and their members few: each object is walked once, and its members are told
 * apart by their names' lengths. Names with escapes, which no maker writes, are none of these. */

/* What the walk over the outermost object finds. */
struct top {
    struct json_hit choices, usage, error, groq;
};

/* What the walk over a choice finds, and whether it is a choice other than 0. */
struct choice {
    struct json_hit delta, message, usage, error;
    struct json_hit finish, stop;
    struct str text;
    bool other;
};

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

/* ---- the walks */

/* Whether the name is `word`, of which the length is known to be the same. */
#define IS(name, word) (memcmp((name).p, word, sizeof word - 1) == 0)

static bool on_top(void *ctx, struct str name, bool escaped, const struct json_hit *value)
{
    struct top *t = ctx;
    if (escaped)
        return true;
    if (name.n == 7 && IS(name, "choices"))
        t->choices = *value;
    else if (name.n == 5 && IS(name, "usage"))
        t->usage = *value;
    else if (name.n == 5 && IS(name, "error"))
        t->error = *value;
    else if (name.n == 6 && IS(name, "x_groq"))
        t->groq = *value;
    return true;
}

static bool on_choice(void *ctx, struct str name, bool escaped, const struct json_hit *value)
{
    struct choice *c = ctx;
    uint64_t v;
    if (escaped)
        return true;
    if (name.n == 5 && IS(name, "delta"))
        c->delta = *value;
    else if (name.n == 5 && IS(name, "index"))
        c->other = value->kind == JSON_IS_NUMBER && str_to_u64(value->raw, UINT32_MAX, &v) && v;
    else if (name.n == 5 && IS(name, "usage"))
        c->usage = *value;
    else if (name.n == 5 && IS(name, "error"))
        c->error = *value;
    else if (name.n == 13 && IS(name, "finish_reason"))
        c->finish = *value;
    else if (name.n == 11 && IS(name, "stop_reason"))
        c->stop = *value;
    else if (name.n == 7 && IS(name, "message"))
        c->message = *value;
    return true;
}

static bool on_delta(void *ctx, struct str name, bool escaped, const struct json_hit *value)
{
    struct openai_chunk *c = ctx;
    if (escaped)
        return true;
    if (name.n == 7 && IS(name, "content"))
        c->content = *value;
    else if (name.n == 7 && IS(name, "refusal"))
        c->refusal = *value;
    else if (name.n == 9 && IS(name, "reasoning"))
        c->reasoning = *value;
    else if (name.n == 10 && IS(name, "tool_calls"))
        c->tool_calls = *value;
    else if (name.n == 13 && IS(name, "function_call"))
        c->function_call = *value;
    else if (name.n == 17 && IS(name, "reasoning_content"))
        c->reasoning_content = *value;
    return true;
}

/* What the walk over the choices finds: choice 0, which may have no index. */
struct search {
    struct choice choice;
    bool found, bad;
};

static bool on_choices(void *ctx, struct str name, bool escaped, const struct json_hit *value)
{
    struct search *s = ctx;
    (void)name, (void)escaped;
    if (value->kind != JSON_IS_OBJECT)
        return true;
    s->choice = (struct choice){.text = value->raw};
    s->bad = !json_find_each(value->raw, NULL, NULL, 0, on_choice, &s->choice);
    s->found = !s->choice.other;
    return !s->found;
}

static void read_choice(const struct search *s, struct openai_chunk *c, struct openai_usage *u)
{
    const struct choice *from = &s->choice;
    const struct json_hit *delta = &from->delta;
    if (delta->kind != JSON_IS_OBJECT && from->message.kind == JSON_IS_OBJECT) {
        delta = &from->message;
        c->whole = true;
    }
    if (s->bad || (delta->kind == JSON_IS_OBJECT &&
                   !json_find_each(delta->raw, NULL, NULL, 0, on_delta, c))) {
        c->kind = OPENAI_CHUNK_BAD;
        return;
    }
    c->choice = true;
    if (is_error(&from->error))
        c->error = from->text;
    c->finish = from->finish;
    c->stop = from->stop;
    if (from->usage.kind == JSON_IS_OBJECT)
        openai_usage_take(u, from->usage.raw);
}

static bool first_object(void *ctx, struct str name, bool escaped, const struct json_hit *value)
{
    struct str *first = ctx;
    (void)name, (void)escaped;
    if (value->kind == JSON_IS_OBJECT)
        *first = value->raw;
    return value->kind != JSON_IS_OBJECT;
}

/* Whether the first object of the list is an error: Gemini's come so. */
static bool is_error_list(struct str text)
{
    struct str first = {0};
    struct top t = {.error = {.kind = JSON_IS_ABSENT}};
    json_each(text, first_object, &first);
    return first.n && json_find_each(first, NULL, NULL, 0, on_top, &t) && is_error(&t.error);
}

void openai_chunk_read(struct str text, struct openai_chunk *c, struct openai_usage *u)
{
    struct top t = {.error = {.kind = JSON_IS_ABSENT}};
    *c = (struct openai_chunk){.kind = OPENAI_CHUNK};
    if (text.n && text.p[0] == '[') {
        c->kind = is_error_list(text) ? OPENAI_CHUNK_ERROR : OPENAI_CHUNK_BAD;
        return;
    }
    bool whole = json_find_each(text, NULL, NULL, 0, on_top, &t);
    if (is_error(&t.error)) {
        c->kind = OPENAI_CHUNK_ERROR;
        return;
    }
    if (!whole) {
        c->kind = OPENAI_CHUNK_BAD;
        return;
    }
    if (t.choices.kind == JSON_IS_ARRAY) {
        struct search s = {.found = false};
        json_each(t.choices.raw, on_choices, &s);
        if (s.found)
            read_choice(&s, c, u);
    } else if (t.choices.kind == JSON_IS_ABSENT && is_bare_error(text)) {
        c->kind = OPENAI_CHUNK_ERROR;
    }
    if (t.groq.kind == JSON_IS_OBJECT) {
        struct top groq = {.error = {.kind = JSON_IS_ABSENT}};
        if (json_find_each(t.groq.raw, NULL, NULL, 0, on_top, &groq) &&
            groq.usage.kind == JSON_IS_OBJECT)
            openai_usage_take(u, groq.usage.raw);
    }
    if (t.usage.kind == JSON_IS_OBJECT)
        openai_usage_take(u, t.usage.raw);
}
