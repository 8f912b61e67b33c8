#include "tests/fake_upstream/reply/openai.h"

#include "tests/fake_upstream/site.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum usage_place { USAGE_LAST_ALONE, USAGE_LAST, USAGE_CHOICE, USAGE_GROQ, USAGE_CHOICES };
enum call_index { INDEX_COUNTED, INDEX_ZERO, INDEX_NONE };
enum error_form { ERROR_OPENAI, ERROR_FLAT, ERROR_LIST, ERROR_QWEN };

/* What is particular about a maker. */
static const struct dialect {
    const char *name;
    const char *reasoning; /* field of a delta; NULL: parts of content */
    const char *id;        /* of a call: with %s its name and number, with %d its number */
    enum usage_place usage;
    enum call_index index;
    enum error_form error;
    bool whole_calls; /* a call is one chunk */
    bool says_stop;   /* finish_reason is stop after calls */
    bool role_first;  /* a first chunk has role and "" */
    bool blank;       /* "\n\n" before calls */
    bool nulls;       /* later pieces of a call have "id":"" and "name":null */
    const char *begin;
} dialects[] = {
    {"openai", "reasoning_content", "call_%d", .role_first = true},
    {"azure", "reasoning_content", "call_%d", .role_first = true,
     .begin = "{\"choices\":[],\"prompt_filter_results\":[{\"prompt_index\":0}]}"},
    {"deepseek", "reasoning_content", "call_00_%d", USAGE_LAST, .role_first = true},
    {"qwen", "reasoning_content", "call_q%d", .role_first = true, .blank = true, .nulls = true,
     .error = ERROR_QWEN},
    {"glm", "reasoning_content", "call_-8%d", USAGE_LAST, .whole_calls = true, .blank = true},
    {"kimi", "reasoning_content", "functions.%s", USAGE_CHOICE, .role_first = true},
    {"openrouter", "reasoning", "toolu_vrtx_%d", USAGE_CHOICES, .role_first = true},
    {"vllm", "reasoning", "chatcmpl-tool-0123456789abcdef0123456789abcde%d", .role_first = true,
     .error = ERROR_FLAT},
    {"ollama", "reasoning", "call_o%d", .index = INDEX_ZERO, .whole_calls = true,
     .says_stop = true},
    {"llama.cpp", "reasoning_content", "Yh%d", USAGE_LAST, .role_first = true},
    {"gemini", "reasoning_content", "", USAGE_LAST, .index = INDEX_NONE, .whole_calls = true,
     .says_stop = true, .error = ERROR_LIST},
    {"mistral", NULL, "D681PevK%d", USAGE_LAST, .whole_calls = true, .error = ERROR_FLAT},
    {"groq", "reasoning", "fc_%d", USAGE_GROQ, .role_first = true},
};

static const struct dialect *dialect(const struct behave *b)
{
    for (size_t i = 0; i < COUNT_OF(dialects); i++)
        if (strcmp(dialects[i].name, b->openai) == 0)
            return &dialects[i];
    return &dialects[0];
}

bool openai_refuses(const struct behave *b, const struct request *r)
{
    char name[128];
    if (!b->refuse || !r)
        return false;
    int n = snprintf(name, sizeof name, "\"%s\":", b->refuse);
    return n > 0 && (size_t)n < sizeof name &&
           str_find(buf_view(&r->body), str_make(name, (size_t)n)) >= 0;
}

const char *openai_refusal(const struct behave *b, char room[static 256])
{
    bool tokens = strcmp(b->refuse, "max_tokens") == 0;
    snprintf(room, 256, "Unsupported parameter: '%.100s' is not supported with this model.%s",
             b->refuse, tokens ? " Use 'max_completion_tokens' instead." : "");
    return room;
}

/* Whether the reply calls a tool: the request has some, and its last message is not a result. */
static bool calls(const struct maker *m)
{
    return m->b->tool && m->r && !m->r->answered &&
           str_find(buf_view(&m->r->body), STR("\"tools\":")) >= 0;
}

/* ---- pieces of JSON */

static void put_id(struct buf *t, const struct dialect *d, const char *tool)
{
    struct str id = str_c(d->id);
    ptrdiff_t name = str_find(id, STR("%s")), number = str_find(id, STR("%d"));
    struct buf b;
    buf_init(&b, TEXT_MAX);
    if (name >= 0)
        maker_need(buf_add(&b, id.p, (size_t)name) && buf_str(&b, str_c(tool)) &&
                   buf_str(&b, STR(":0")));
    else if (number >= 0)
        maker_need(buf_add(&b, id.p, (size_t)number) && buf_str(&b, STR("0")));
    maker_need(json_text(t, buf_view(&b)));
    buf_free(&b);
}

static void put_usage(struct buf *t, const struct maker *m)
{
    maker_need(buf_printf(t,
                          "{\"prompt_tokens\":%" PRIu64 ",\"completion_tokens\":%" PRIu64
                          ",\"total_tokens\":%" PRIu64 "}",
                          m->b->in_tokens, m->b->out_tokens, m->b->in_tokens + m->b->out_tokens));
}

static const char *finish(const struct maker *m)
{
    return calls(m) && !dialect(m->b)->says_stop ? "tool_calls" : "stop";
}

/* Appends a thought as members of a message or delta, with a comma behind them. */
static void put_thought(struct buf *t, const struct dialect *d, struct str text)
{
    if (!d->reasoning) {
        maker_need(buf_str(t, STR("\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":"
                                  "\"text\",\"text\":")) &&
                   json_text(t, text) && buf_str(t, STR("}]}]")));
        return;
    }
    maker_need(buf_printf(t, "\"%s\":", d->reasoning) && json_text(t, text));
}

/* A call of the tool with its arguments, as an element of tool_calls. */
static void put_call(struct buf *t, const struct maker *m, bool indexed)
{
    const struct dialect *d = dialect(m->b);
    maker_need(buf_str(t, STR("{")));
    if (indexed && d->index != INDEX_NONE)
        maker_need(buf_str(t, STR("\"index\":0,")));
    maker_need(buf_str(t, STR("\"id\":")));
    put_id(t, d, m->b->tool);
    maker_need(buf_str(t, STR(",\"type\":\"function\",\"function\":{\"name\":")) &&
               json_text(t, str_c(m->b->tool)) && buf_str(t, STR(",\"arguments\":")) &&
               json_text(t, str_c(or_else(m->b->arguments, "{}"))) && buf_str(t, STR("}}")));
}

/* ---- a stream */

/* Sends one line of data with its framing. */
static void line(struct maker *m, struct str data)
{
    const char *nl = m->b->crlf ? "\r\n" : "\n";
    struct buf *t = &m->text;
    if (m->emitted == m->stop)
        return;
    t->len = t->off = 0;
    if (m->framing == FRAME_CHUNKED)
        maker_need(buf_printf(t, "%zx\r\n", 6 + data.n + 2 * strlen(nl)));
    maker_need(buf_str(t, STR("data: ")) && buf_str(t, data) && buf_printf(t, "%s%s", nl, nl));
    if (m->framing == FRAME_CHUNKED)
        maker_need(buf_str(t, STR("\r\n")));
    play_text(m->p, buf_view(t),
              m->emitted >= m->b->burst
                  ? maker_us(m->b->gap_ms) +
                        (int64_t)(m->b->gap_us < INT32_MAX ? m->b->gap_us : INT32_MAX)
                  : 0);
    m->emitted++;
}

/* Sends a chunk: delta is the inside of its object; reason: finish_reason or NULL. */
static void chunk(struct maker *m, struct str delta, const char *reason)
{
    const struct dialect *d = dialect(m->b);
    struct buf t;
    buf_init(&t, TEXT_MAX);
    maker_need(buf_str(&t, STR("{\"id\":\"chatcmpl-fake\",\"object\":\"chat.completion.chunk\","
                               "\"created\":1,\"model\":")) &&
               json_text(&t, maker_model(m)) &&
               buf_str(&t, STR(",\"choices\":[{\"index\":0,\"delta\":{")) && buf_str(&t, delta) &&
               buf_str(&t, STR("},\"finish_reason\":")));
    maker_need(reason ? json_text(&t, str_c(reason)) : buf_str(&t, STR("null")));
    if (reason && d->usage == USAGE_CHOICE) {
        maker_need(buf_str(&t, STR(",\"usage\":")));
        put_usage(&t, m);
    }
    maker_need(buf_str(&t, STR("}]")));
    if (reason && (d->usage == USAGE_LAST || d->usage == USAGE_GROQ)) {
        maker_need(buf_str(&t, d->usage == USAGE_GROQ ? STR(",\"x_groq\":{\"usage\":")
                                                      : STR(",\"usage\":")));
        put_usage(&t, m);
        maker_need(d->usage != USAGE_GROQ || buf_str(&t, STR("}")));
    }
    maker_need(buf_str(&t, STR("}")));
    line(m, buf_view(&t));
    buf_free(&t);
}

static void text_chunk(struct maker *m, const char *member, struct str text)
{
    struct buf t;
    buf_init(&t, TEXT_MAX);
    maker_need(buf_printf(&t, "\"%s\":", member) && json_text(&t, text));
    chunk(m, buf_view(&t), NULL);
    buf_free(&t);
}

static void stream_thought(struct maker *m)
{
    struct buf t;
    buf_init(&t, TEXT_MAX);
    put_thought(&t, dialect(m->b), str_c(m->b->think));
    chunk(m, buf_view(&t), NULL);
    buf_free(&t);
}

/* A piece of the call's arguments; the first has its id and name. */
static void call_piece(struct maker *m, struct str args, bool first)
{
    const struct dialect *d = dialect(m->b);
    struct buf t;
    buf_init(&t, TEXT_MAX);
    maker_need(buf_str(&t, STR("\"tool_calls\":[{\"index\":0,")));
    if (first) {
        maker_need(buf_str(&t, STR("\"type\":\"function\",\"id\":")));
        put_id(&t, d, m->b->tool);
        maker_need(buf_str(&t, STR(",\"function\":{\"name\":")) &&
                   json_text(&t, str_c(m->b->tool)) && buf_str(&t, STR(",")));
    } else {
        maker_need(buf_str(&t, d->nulls ? STR("\"id\":\"\",\"function\":{\"name\":null,")
                                        : STR("\"function\":{")));
    }
    maker_need(buf_str(&t, STR("\"arguments\":")) && json_text(&t, args) &&
               buf_str(&t, STR("}}]")));
    chunk(m, buf_view(&t), NULL);
    buf_free(&t);
}

static void stream_call(struct maker *m)
{
    const struct dialect *d = dialect(m->b);
    struct str args = str_c(or_else(m->b->arguments, "{}"));
    if (d->blank)
        text_chunk(m, "content", STR("\n\n"));
    if (d->whole_calls) {
        struct buf t;
        buf_init(&t, TEXT_MAX);
        maker_need(buf_str(&t, STR("\"tool_calls\":[")));
        put_call(&t, m, true);
        maker_need(buf_str(&t, STR("]")));
        chunk(m, buf_view(&t), NULL);
        buf_free(&t);
        return;
    }
    call_piece(m, STR(""), true);
    call_piece(m, str_make(args.p, args.n / 2), false);
    call_piece(m, str_make(args.p + args.n / 2, args.n - args.n / 2), false);
}

static void stream_text(struct maker *m)
{
    static const struct str words[] = {STR_LIT(" This"), STR_LIT(" is"), STR_LIT(" a"),
                                       STR_LIT(" simulated"), STR_LIT(" answer.")};
    for (uint64_t i = 0; i < m->b->events && m->emitted < m->stop; i++) {
        struct str word = i ? words[(i - 1) % COUNT_OF(words)] : maker_said(m);
        if (i && m->b->event_bytes > word.n) {
            static char filler[16384];
            memset(filler, 'x', sizeof filler);
            word = str_make(filler, min_size((size_t)m->b->event_bytes, sizeof filler));
        }
        text_chunk(m, "content", word);
    }
}

static void stream_usage(struct maker *m)
{
    struct buf t;
    bool odd = dialect(m->b)->usage == USAGE_CHOICES;
    buf_init(&t, TEXT_MAX);
    maker_need(buf_str(&t, odd ? STR("{\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
                                     "\"content\":\"\"},\"finish_reason\":null}],\"usage\":")
                               : STR("{\"choices\":[],\"usage\":")));
    put_usage(&t, m);
    maker_need(buf_str(&t, STR("}")));
    line(m, buf_view(&t));
    buf_free(&t);
}

void openai_stream(struct maker *m)
{
    const struct dialect *d = dialect(m->b);
    if (d->begin)
        line(m, str_c(d->begin));
    if (d->role_first)
        chunk(m, STR("\"role\":\"assistant\",\"content\":\"\""), NULL);
    play_content(m->p);
    if (m->b->think)
        stream_thought(m);
    if (calls(m))
        stream_call(m);
    else
        stream_text(m);
    chunk(m, STR(""), finish(m));
    if (d->usage == USAGE_LAST_ALONE || d->usage == USAGE_CHOICES)
        stream_usage(m);
    line(m, STR("[DONE]"));
}

/* ---- a whole answer */

void openai_whole(struct maker *m)
{
    const struct dialect *d = dialect(m->b);
    struct buf *t = &m->text;
    maker_need(
        buf_str(t, STR("{\"id\":\"chatcmpl-fake\",\"object\":\"chat.completion\",\"created\":"
                       "1,\"model\":")) &&
        json_text(t, maker_model(m)) &&
        buf_str(t, STR(",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",")));
    if (m->b->think && d->reasoning) {
        put_thought(t, d, str_c(m->b->think));
        maker_need(buf_str(t, STR(",")));
    }
    if (calls(m)) {
        maker_need(buf_str(t, STR("\"content\":null,\"tool_calls\":[")));
        put_call(t, m, false);
        maker_need(buf_str(t, STR("]")));
    } else {
        size_t fill = (size_t)min_size((size_t)m->b->reply_bytes, TEXT_MAX / 2);
        maker_need(buf_str(t, STR("\"content\":")) && json_text(t, maker_said(m)));
        if (fill > t->len + 160) { /* within the text's quotes */
            fill -= t->len + 160;
            t->len--;
            maker_need(buf_reserve(t, fill + 1));
            memset(buf_tail(t), 'x', fill);
            buf_added(t, fill);
            maker_need(buf_str(t, STR("\"")));
        }
    }
    maker_need(buf_printf(t, "},\"finish_reason\":\"%s\"}],\"usage\":", finish(m)));
    put_usage(t, m);
    maker_need(buf_str(t, STR("}")));
    play_content(m->p);
    play_text(m->p, buf_view(t), 0);
}

/* ---- errors */

void openai_error_body(struct maker *m, unsigned status, const char *type, const char *message)
{
    static const char *const before[] = {
        [ERROR_OPENAI] = "{\"error\":{\"message\":",
        [ERROR_FLAT] = "{\"object\":\"error\",\"message\":",
        [ERROR_LIST] = "[{\"error\":{\"message\":",
        [ERROR_QWEN] = "{\"request_id\":\"r\",\"message\":",
    };
    enum error_form form = dialect(m->b)->error;
    struct buf *t = &m->text;
    maker_need(buf_str(t, str_c(before[form])) && json_text(t, str_c(message)));
    if (form == ERROR_LIST)
        maker_need(buf_printf(t, ",\"code\":%u,\"status\":\"FAILED\"}}]", status));
    else if (form == ERROR_FLAT)
        maker_need(buf_printf(t, ",\"type\":\"%s\",\"code\":%u}", type, status));
    else if (form == ERROR_QWEN)
        maker_need(buf_printf(t, ",\"code\":\"%s\"}", type));
    else
        maker_need(buf_printf(t, ",\"type\":\"%s\",\"param\":null,\"code\":null}}", type));
    play_text(m->p, buf_view(t), 0);
}
