/* Fuzz target of openai_request.h and anthropic_splice.h: whatever a client sends, what goes out is
 * JSON and UTF-8, has only the fields of the contract, every call has its result straight behind
 * it, and no text is empty. The first two bytes choose what was learnt. */
#include "tests/fuzz/fuzz.h"
#include "worker/dialect/anthropic_splice.h"
#include "worker/dialect/request/openai_request.h"
#include "worker/dialect/server_tools.h"
#include "worker/dialect/tool_name.h"
#include "worker/json/json_valid.h"

#include <jansson.h>

enum { MEM = 16 << 20 };

static void check_members(json_t *o, const char *const *names, size_t n)
{
    const char *key;
    json_t *v;
    json_object_foreach(o, key, v)
    {
        bool known = false;
        for (size_t i = 0; i < n; i++)
            known = known || strcmp(names[i], key) == 0;
        MUST(known);
    }
}

static void check_tool_name(const json_t *name)
{
    size_t n = json_string_length(name);
    const char *p = json_string_value(name);
    MUST(p && n > 0 && n <= TOOL_NAME_MAX);
    for (size_t i = 0; i < n; i++)
        MUST(ascii_digit(p[i]) || (ascii_lower(p[i]) >= 'a' && ascii_lower(p[i]) <= 'z') ||
             p[i] == '_' || p[i] == '-');
}

/* Checks the message; returns its calls. */
static json_t *check_message(json_t *m)
{
    static const char *const names[] = {"role",      "content",    "reasoning_content",
                                        "reasoning", "tool_calls", "tool_call_id"};
    json_t *content = json_object_get(m, "content"), *calls = json_object_get(m, "tool_calls");
    check_members(m, names, COUNT_OF(names));
    MUST(content && (!json_is_null(content) || calls));
    MUST(!json_is_string(content) || json_string_length(content) > 0);
    size_t i;
    json_t *part;
    json_array_foreach(content, i, part)
    {
        json_t *text = json_object_get(part, "text");
        MUST(!text || json_string_length(text) > 0);
    }
    return calls;
}

static void check_messages(json_t *messages)
{
    json_t *calls = NULL, *seen = json_object();
    size_t answered = 0;
    bool user = false;
    MUST(json_array_size(messages) > 0);
    for (size_t i = 0; i < json_array_size(messages); i++) {
        json_t *m = json_array_get(messages, i);
        const char *role = json_string_value(json_object_get(m, "role"));
        json_t *found = check_message(m);
        MUST(role && (strcmp(role, "system") != 0 || i == 0));
        MUST(!found || strcmp(role, "assistant") == 0);
        if (calls && answered < json_array_size(calls)) {
            json_t *call = json_array_get(calls, answered++);
            MUST(strcmp(role, "tool") == 0);
            MUST(json_equal(json_object_get(call, "id"), json_object_get(m, "tool_call_id")));
            continue;
        }
        MUST(strcmp(role, "tool") != 0);
        MUST(!user || strcmp(role, "user") != 0);
        user = strcmp(role, "user") == 0;
        calls = found;
        answered = 0;
        json_object_clear(seen);
        for (size_t k = 0; k < json_array_size(calls); k++) {
            json_t *call = json_array_get(calls, k);
            json_t *f = json_object_get(call, "function");
            const char *id = json_string_value(json_object_get(call, "id"));
            MUST(id && *id && json_string_length(json_object_get(call, "id")) <= 160);
            if (strlen(id) == json_string_length(json_object_get(call, "id"))) {
                MUST(!json_object_get(seen, id));
                json_object_set_new(seen, id, json_true());
            }
            check_tool_name(json_object_get(f, "name"));
            json_t *arguments = json_object_get(f, "arguments");
            MUST(json_is_string(arguments));
            MUST(json_valid(str_make(json_string_value(arguments),
                                     json_string_length(arguments))) == JSON_VALID);
        }
    }
    MUST(!calls || answered == json_array_size(calls));
    json_decref(seen);
}

static void check_out(struct str out)
{
    static const char *const names[] = {"model",
                                        "messages",
                                        "max_tokens",
                                        "max_completion_tokens",
                                        "stream",
                                        "stream_options",
                                        "temperature",
                                        "top_p",
                                        "stop",
                                        "tools",
                                        "tool_choice",
                                        "parallel_tool_calls",
                                        "reasoning_effort",
                                        "response_format"};
    json_error_t error;
    MUST(json_valid(out) == JSON_VALID);
    for (struct str s = out; s.n;) {
        size_t n = str_utf8_len(s);
        MUST(n);
        s = str_make(s.p + n, s.n - n);
    }
    json_t *o = json_loadb(out.p, out.n, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    /* jansson goes 2,048 levels deep, and holds no number beyond a double */
    MUST(o || strstr(error.text, "overflow"));
    if (!o)
        return;
    check_members(o, names, COUNT_OF(names));
    check_messages(json_object_get(o, "messages"));
    MUST(!json_object_get(o, "max_tokens") || !json_object_get(o, "max_completion_tokens"));
    MUST(!json_object_get(o, "stream_options") || json_object_get(o, "stream"));
    MUST(!json_object_get(o, "tool_choice") || json_object_get(o, "tools"));
    json_t *tools = json_object_get(o, "tools");
    MUST(!tools || json_array_size(tools) > 0);
    for (size_t i = 0; i < json_array_size(tools); i++) {
        json_t *f = json_object_get(json_array_get(tools, i), "function");
        json_t *p = json_object_get(f, "parameters");
        check_tool_name(json_object_get(f, "name"));
        MUST(json_object_get(p, "type") && json_object_get(p, "properties"));
        MUST(!json_object_get(p, "$schema"));
    }
    json_decref(o);
}

static void check_splice(struct str body, bool no_thinking)
{
    struct buf out, again;
    buf_init(&out, 2 * body.n + 1024);
    buf_init(&again, 2 * body.n + 1024);
    enum anthropic_spliced made = anthropic_splice(body, no_thinking, &out);
    MUST(made != ANTHROPIC_NO_ROOM);
    if (made == ANTHROPIC_SPLICED && json_valid(body) == JSON_VALID) {
        MUST(json_valid(buf_view(&out)) == JSON_VALID);
        made = anthropic_splice(buf_view(&out), no_thinking, &again);
        MUST(made == ANTHROPIC_AS_IT_IS || str_eq(buf_view(&out), buf_view(&again)));
    }
    buf_free(&out);
    buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct dialect_learnt learnt = {.changes = (uint32_t)data[0] | (uint32_t)data[1] << 8,
                                    .limit = 1000,
                                    .once_limit = data[0]};
    struct openai_options o = {.model = data[1] & 1 ? STR("gpt-5") : STR("m"),
                               .base_url = STR("https://a.test/v1"),
                               .learnt = &learnt};
    char *copy = fuzz_copy(data + 2, size - 2);
    struct str body = str_make(copy, size - 2), name;
    struct arena mem;
    struct buf out;
    struct dialect_context ctx;
    const char *fault;
    arena_init(&mem, MEM);
    buf_init(&out, 8 * body.n + 65536);
    enum openai_made made = openai_request(body, &o, &mem, &out, &ctx, &fault);
    MUST((made == OPENAI_FAULTY || made == OPENAI_SERVER_TOOL) == (fault != NULL));
    MUST(made != OPENAI_NO_ROOM || size > 10000);
    if (made == OPENAI_MADE) {
        check_out(buf_view(&out));
        MUST(server_tools_of(body, &name) != SERVER_TOOLS_NEEDED);
        for (size_t i = 1; i < ctx.nids; i++)
            MUST(!str_eq(ctx.ids[i - 1], ctx.ids[i]));
    }
    check_splice(body, data[0] & 1);
    arena_free(&mem);
    buf_free(&out);
    free(copy);
    return 0;
}
