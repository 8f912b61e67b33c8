#include "worker/dialect/request/openai_request.h"

#include "worker/dialect/request/openai_format.h"
#include "worker/dialect/request/openai_messages.h"
#include "worker/dialect/request/openai_tools.h"
#include "worker/dialect/request/openai_translation.h"
#include "worker/dialect/server_tools.h"
#include "worker/json/json_find.h"
#include "worker/json/json_raw.h"
#include "worker/json/json_valid.h"

#include <openssl/sha.h>

/* STOPS: what OpenAI takes. */
enum { STOPS = 4, BUDGET_LOW = 4096, BUDGET_MEDIUM = 16384 };

/* Members of the body. */
enum {
    MODEL,
    MESSAGES,
    SYSTEM,
    MAX_TOKENS,
    STREAM,
    TEMPERATURE,
    TOP_P,
    STOP_SEQUENCES,
    TOOLS,
    TOOL_CHOICE,
    THINKING,
    OUTPUT_CONFIG,
    OUTPUT_FORMAT,
    WANTS
};

static const struct json_want wants[WANTS] = {
    [MODEL] = {STR_LIT("model"), {0}},
    [MESSAGES] = {STR_LIT("messages"), {0}},
    [SYSTEM] = {STR_LIT("system"), {0}},
    [MAX_TOKENS] = {STR_LIT("max_tokens"), {0}},
    [STREAM] = {STR_LIT("stream"), {0}},
    [TEMPERATURE] = {STR_LIT("temperature"), {0}},
    [TOP_P] = {STR_LIT("top_p"), {0}},
    [STOP_SEQUENCES] = {STR_LIT("stop_sequences"), {0}},
    [TOOLS] = {STR_LIT("tools"), {0}},
    [TOOL_CHOICE] = {STR_LIT("tool_choice"), {0}},
    [THINKING] = {STR_LIT("thinking"), {0}},
    [OUTPUT_CONFIG] = {STR_LIT("output_config"), {0}},
    [OUTPUT_FORMAT] = {STR_LIT("output_format"), {0}},
};

/* First bytes of SHA-256(base_url), which signatures of thinking carry in hex. */
static void base_hash(struct str base_url, unsigned char out[static 4])
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)base_url.p, base_url.n, hash);
    memcpy(out, hash, 4);
}

/* Whether OpenAI's own reasoning models go by that name: o1, o3-mini, gpt-5, gpt-5.4-nano; they
 * refuse max_tokens and sampling. */
static bool is_reasoning_model(struct str model)
{
    for (size_t i = model.n; i > 0; i--)
        if (model.p[i - 1] == '/') {
            model = str_make(model.p + i, model.n - i);
            break;
        }
    if (model.n >= 2 && ascii_lower(model.p[0]) == 'o' && model.p[1] >= '1' && model.p[1] <= '9')
        return true;
    if (!str_starts_nocase(model, STR("gpt-")) || model.n < 5 || !ascii_digit(model.p[4]))
        return false;
    return model.p[4] >= '5' || (model.n > 5 && ascii_digit(model.p[5]) && model.p[4] != '0');
}

/* The text of a member that is a string, undecoded. */
static struct str string_of(const struct json_hit *h)
{
    return h->kind == JSON_IS_STRING ? h->raw : STR("");
}

/* Finds members of a value; all absent if it is no object. */
static void members_of(const struct json_hit *object, const struct json_want *want,
                       struct json_hit *hits, size_t n)
{
    if (object->kind != JSON_IS_OBJECT || !json_find(object->raw, want, hits, n))
        memset(hits, 0, n * sizeof *hits);
}

/* ---- single fields */

/* Reads digits, of which more than fit are UINT64_MAX. False: they are none, or 0. */
static bool count_of(struct str raw, uint64_t *n)
{
    size_t digits = 0;
    while (digits < raw.n && ascii_digit(raw.p[digits]))
        digits++;
    if (!str_to_u64(raw, UINT64_MAX, n))
        *n = digits && digits == raw.n ? UINT64_MAX : 0;
    return *n != 0;
}

static void put_max_tokens(struct translation *t, const struct openai_options *o,
                           const struct json_hit *asked)
{
    struct dialect_learnt none = {0};
    const struct dialect_learnt *l = o->learnt ? o->learnt : &none;
    bool completion = is_reasoning_model(o->model);
    uint64_t n;
    if (asked->kind != JSON_IS_NUMBER)
        return;
    if (l->changes & (DIALECT_MAX_COMPLETION_TOKENS | DIALECT_MAX_TOKENS))
        completion = l->completion_field;
    translation_put(t, completion ? STR(",\"max_completion_tokens\":") : STR(",\"max_tokens\":"));
    t->ctx->put |= completion ? DIALECT_PUT_MAX_COMPLETION_TOKENS : DIALECT_PUT_MAX_TOKENS;
    if (!count_of(asked->raw, &n)) {
        translation_put_raw(t, asked->raw); /* faulty: the maker says so */
        return;
    }
    const uint64_t caps[] = {o->max_tokens, l->changes & DIALECT_LIMIT ? l->limit : 0,
                             l->once_limit};
    for (size_t i = 0; i < COUNT_OF(caps); i++)
        if (caps[i] && caps[i] < n)
            n = caps[i];
    t->ctx->max_tokens = n;
    if (n == UINT64_MAX)
        translation_put_raw(t, asked->raw);
    else
        t->full = t->full || !buf_u64(t->out, n);
}

static void put_number(struct translation *t, struct str member, const struct json_hit *v,
                       enum dialect_put put)
{
    if (v->kind != JSON_IS_NUMBER)
        return;
    translation_put(t, member);
    translation_put_raw(t, v->raw);
    t->ctx->put |= (uint32_t)put;
}

struct stops {
    struct translation *t;
    struct str *v; /* STOPS */
    size_t n;
};

static bool put_stop(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    struct stops *s = ctx;
    (void)name, (void)escaped;
    if (v->kind != JSON_IS_STRING || !v->raw.n)
        return true;
    translation_put(s->t, s->n ? STR(",\"") : STR(",\"stop\":[\""));
    translation_put_raw(s->t, v->raw);
    translation_put(s->t, STR("\""));
    s->v[s->n++] = translation_text(s->t, v->raw);
    return s->n < STOPS;
}

static void put_stops(struct translation *t, const struct json_hit *list)
{
    struct stops s = {.t = t};
    if (list->kind != JSON_IS_ARRAY || translation_has(t, DIALECT_NO_STOP))
        return;
    s.v = translation_alloc(t, STOPS * sizeof *s.v);
    if (!s.v)
        return;
    json_each(list->raw, put_stop, &s);
    t->ctx->stops = s.v;
    t->ctx->nstops = s.n;
    if (!s.n)
        return;
    translation_put(t, STR("]"));
    t->ctx->put |= DIALECT_PUT_STOP;
}

/* The word for how much the client wants the model to think; n 0: it does not say. */
static struct str effort_of(const struct json_hit *thinking, const struct json_hit *effort)
{
    static const struct json_want want[] = {{STR_LIT("type"), {0}},
                                            {STR_LIT("budget_tokens"), {0}}};
    static const struct {
        struct str asked, sent;
    } words[] = {{STR_LIT("low"), STR_LIT("low")},
                 {STR_LIT("medium"), STR_LIT("medium")},
                 {STR_LIT("high"), STR_LIT("high")},
                 {STR_LIT("xhigh"), STR_LIT("high")},
                 {STR_LIT("max"), STR_LIT("high")}};
    struct json_hit h[COUNT_OF(want)];
    uint64_t budget;
    members_of(thinking, want, h, COUNT_OF(want));
    if (json_raw_is(string_of(&h[0]), STR("disabled")))
        return STR("");
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (json_raw_is(string_of(effort), words[i].asked))
            return words[i].sent;
    if (h[1].kind != JSON_IS_NUMBER || !str_to_u64(h[1].raw, UINT64_MAX, &budget))
        return STR("");
    return budget <= BUDGET_LOW      ? STR("low")
           : budget <= BUDGET_MEDIUM ? STR("medium")
                                     : STR("high");
}

static void put_effort(struct translation *t, struct str effort, bool tools)
{
    if (translation_has(t, DIALECT_NO_EFFORT))
        return;
    if (tools && translation_has(t, DIALECT_EFFORT_NONE))
        effort = STR("none");
    if (!effort.n)
        return;
    translation_put(t, STR(",\"reasoning_effort\":"));
    translation_put_string(t, effort);
    t->ctx->put |= DIALECT_PUT_REASONING_EFFORT;
}

/* ---- the whole */

static void note_context(struct translation *t, const struct openai_options *o,
                         const struct json_hit *h)
{
    static const struct json_want want = {STR_LIT("type"), {0}};
    struct json_hit type;
    members_of(&h[THINKING], &want, &type, 1);
    struct str asked = string_of(&h[MODEL]);
    *t->ctx = (struct dialect_context){
        .model = asked.n ? translation_text(t, asked) : o->model,
        .stream = h[STREAM].kind == JSON_IS_TRUE,
        .thinking =
            h[THINKING].kind == JSON_IS_OBJECT && !json_raw_is(string_of(&type), STR("disabled")),
        .input_estimate = o->input_estimate ? o->input_estimate : 1,
    };
    base_hash(o->base_url, t->ctx->base_hash);
}

static void put_sampling(struct translation *t, const struct openai_options *o,
                         const struct json_hit *h)
{
    bool fixed = is_reasoning_model(o->model);
    if (h[STREAM].kind == JSON_IS_TRUE) {
        translation_put(t, STR(",\"stream\":true"));
        if (!translation_has(t, DIALECT_NO_STREAM_OPTIONS)) {
            translation_put(t, STR(",\"stream_options\":{\"include_usage\":true}"));
            t->ctx->put |= DIALECT_PUT_STREAM_OPTIONS;
        }
    }
    if (!fixed && !translation_has(t, DIALECT_NO_TEMPERATURE))
        put_number(t, STR(",\"temperature\":"), &h[TEMPERATURE], DIALECT_PUT_TEMPERATURE);
    if (!fixed && !translation_has(t, DIALECT_NO_TOP_P))
        put_number(t, STR(",\"top_p\":"), &h[TOP_P], DIALECT_PUT_TOP_P);
}

static void put_all(struct translation *t, const struct openai_options *o, const struct json_hit *h)
{
    enum { EFFORT, FORMAT, INNER };
    static const struct json_want inner[INNER] = {
        [EFFORT] = {STR_LIT("effort"), {0}}, [FORMAT] = {STR_LIT("format"), {0}}};
    struct json_hit config[INNER];
    struct str name;
    members_of(&h[OUTPUT_CONFIG], inner, config, INNER);
    struct str schema = openai_format_schema(&config[FORMAT], &name);
    if (!schema.n)
        schema = openai_format_schema(&h[OUTPUT_FORMAT], &name);
    openai_tools_read(t, t->tools, &h[TOOLS], &h[TOOL_CHOICE]);
    if (schema.n && translation_has(t, DIALECT_FORMAT_IN_WORDS))
        t->format_in_words = schema;

    translation_put(t, STR("{\"model\":"));
    translation_put_string(t, o->model);
    translation_put(t, STR(",\"messages\":["));
    openai_messages_put(t, &h[SYSTEM], &h[MESSAGES]);
    translation_put(t, STR("]"));
    if (translation_failed(t))
        return;
    put_max_tokens(t, o, &h[MAX_TOKENS]);
    put_sampling(t, o, h);
    put_stops(t, &h[STOP_SEQUENCES]);
    bool any = openai_tools_put(t, t->tools);
    put_effort(t, effort_of(&h[THINKING], &config[EFFORT]), any);
    if (schema.n && !t->format_in_words.n)
        openai_format_put(t, schema, name);
    translation_put(t, STR("}"));
}

enum openai_made openai_request(struct str body, const struct openai_options *o, struct arena *mem,
                                struct buf *out, struct dialect_context *ctx, const char **fault)
{
    struct openai_tools tools = {0};
    struct translation t = {.mem = mem, .out = out, .ctx = ctx, .tools = &tools};
    struct json_hit h[WANTS];
    struct str server;
    if (o->learnt)
        t.changes = o->learnt->changes | o->learnt->once;
    *fault = NULL;
    memset(h, 0, sizeof h);
    enum json_validity validity = json_valid(body);
    bool object = validity == JSON_VALID && json_find(body, wants, h, WANTS);
    note_context(&t, o, h);
    if (validity == JSON_TOO_DEEP)
        translation_fault(&t, "the body is nested deeper than %d levels", JSON_VALID_DEPTH);
    else if (!object)
        translation_fault(&t, "the body is no JSON object");
    else if (server_tools_in(&h[TOOLS], &h[TOOL_CHOICE], &server) == SERVER_TOOLS_NEEDED) {
        char room[TOOL_NAME_MAX];
        struct str name = tool_name_sent(server, room);
        translation_fault(&t,
                          "only Anthropic has the tool %.*s, and no Anthropic endpoint can be used "
                          "now",
                          STR_ARG(name));
        *fault = t.fault;
        return OPENAI_SERVER_TOOL;
    } else {
        put_all(&t, o, h);
    }
    *fault = t.fault;
    return t.fault ? OPENAI_FAULTY : t.full ? OPENAI_NO_ROOM : OPENAI_MADE;
}
