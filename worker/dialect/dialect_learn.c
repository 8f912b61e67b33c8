#include "worker/dialect/dialect_learn.h"

#include "worker/dialect/refusal_limit.h"
#include "worker/dialect/refusal_words.h"

struct refusal {
    struct refusal_words words;
    const struct dialect_context *sent;
    struct dialect_learnt *l;
};

static bool was_put(const struct refusal *r, uint32_t put)
{
    return (r->sent->put & put) != 0;
}

static bool says_any(const struct refusal *r, const struct str *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (refusal_says(&r->words, v[i]))
            return true;
    return false;
}

/* Makes a change. False: it was made already. */
static bool make(struct refusal *r, enum dialect_change c)
{
    if ((r->l->changes | r->l->once) & (uint32_t)c)
        return false;
    r->l->changes |= (uint32_t)c;
    return true;
}

/* The outermost field of the maker's `param`: "response_format.json_schema", "messages[1]". */
static struct str param_root(const struct refusal *r)
{
    struct str p = str_make(r->words.param, r->words.nparam);
    for (size_t i = 0; i < p.n; i++)
        if (p.p[i] == '.' || p.p[i] == '[')
            return str_make(p.p, i);
    return p;
}

/* Whether the refusal is about that field: by `param` if it is one that requests have, else by the
 * words. */
static bool is_about(const struct refusal *r, struct str field)
{
    static const struct str fields[] = {
        STR_LIT("max_tokens"),
        STR_LIT("max_completion_tokens"),
        STR_LIT("temperature"),
        STR_LIT("top_p"),
        STR_LIT("stop"),
        STR_LIT("stream_options"),
        STR_LIT("tool_choice"),
        STR_LIT("parallel_tool_calls"),
        STR_LIT("response_format"),
        STR_LIT("reasoning_effort"),
        STR_LIT("messages"),
        STR_LIT("tools"),
    };
    struct str root = param_root(r);
    for (size_t i = 0; i < COUNT_OF(fields); i++)
        if (str_eq(root, fields[i]))
            return str_eq(root, field);
    return refusal_names(&r->words, field);
}

/* ---- the rows of the table */

static bool learn_context(struct refusal *r)
{
    uint64_t left = refusal_context_left(str_make(r->words.text, r->words.ntext));
    if (!left || left >= r->sent->max_tokens || r->l->once_limit)
        return false;
    r->l->once_limit = left;
    return true;
}

static bool learn_limit(struct refusal *r)
{
    static const struct str other_names[] = {
        STR_LIT("maxoutputtokens"), STR_LIT("max_output_tokens"), STR_LIT("completion tokens")};
    if (!is_about(r, STR("max_tokens")) && !is_about(r, STR("max_completion_tokens")) &&
        !says_any(r, other_names, COUNT_OF(other_names)))
        return false;
    uint64_t limit = refusal_limit(str_make(r->words.text, r->words.ntext), r->sent->max_tokens);
    if (!limit)
        return false;
    r->l->limit = limit;
    r->l->changes |= DIALECT_LIMIT;
    return true;
}

static bool learn_token_field(struct refusal *r)
{
    /* about how many, not about the field */
    static const struct str amount[] = {STR_LIT("too large"), STR_LIT("context length"),
                                        STR_LIT("at least"), STR_LIT("greater than")};
    static const struct str advice[] = {STR_LIT("instead"), STR_LIT("use ")};
    if (says_any(r, amount, COUNT_OF(amount)))
        return false;
    if (was_put(r, DIALECT_PUT_MAX_TOKENS) && is_about(r, STR("max_tokens")) &&
        refusal_says(&r->words, STR("max_completion_tokens")) &&
        says_any(r, advice, COUNT_OF(advice)) && make(r, DIALECT_MAX_COMPLETION_TOKENS)) {
        r->l->completion_field = true;
        return true;
    }
    if (was_put(r, DIALECT_PUT_MAX_COMPLETION_TOKENS) &&
        is_about(r, STR("max_completion_tokens")) && make(r, DIALECT_MAX_TOKENS)) {
        r->l->completion_field = false;
        return true;
    }
    return false;
}

static bool learn_fields(struct refusal *r)
{
    static const struct {
        struct str field;
        enum dialect_put put;
        enum dialect_change change;
    } rows[] = {
        {STR_LIT("temperature"), DIALECT_PUT_TEMPERATURE, DIALECT_NO_TEMPERATURE},
        {STR_LIT("top_p"), DIALECT_PUT_TOP_P, DIALECT_NO_TOP_P},
        {STR_LIT("stop"), DIALECT_PUT_STOP, DIALECT_NO_STOP},
        {STR_LIT("stream_options"), DIALECT_PUT_STREAM_OPTIONS, DIALECT_NO_STREAM_OPTIONS},
        {STR_LIT("parallel_tool_calls"), DIALECT_PUT_PARALLEL_TOOL_CALLS,
         DIALECT_NO_PARALLEL_TOOL_CALLS},
        {STR_LIT("tool_choice"), DIALECT_PUT_TOOL_CHOICE, DIALECT_NO_TOOL_CHOICE},
    };
    bool any = false;
    /* "temperature and top_p cannot both be specified": one of them may stay. */
    if (was_put(r, DIALECT_PUT_TEMPERATURE) && was_put(r, DIALECT_PUT_TOP_P) &&
        refusal_names(&r->words, STR("both")) && is_about(r, STR("temperature")) &&
        is_about(r, STR("top_p")) && make(r, DIALECT_NO_TOP_P))
        return true;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (was_put(r, (uint32_t)rows[i].put) && is_about(r, rows[i].field))
            any = make(r, rows[i].change) || any;
    return any;
}

static bool learn_effort_none(struct refusal *r)
{
    static const struct str words[] = {STR_LIT("none"), STR_LIT("/v1/responses")};
    if (!was_put(r, DIALECT_PUT_TOOLS) || !refusal_names(&r->words, STR("reasoning_effort")) ||
        !says_any(r, words, COUNT_OF(words)) || !make(r, DIALECT_EFFORT_NONE))
        return false;
    r->l->changes &= ~(uint32_t)DIALECT_NO_EFFORT;
    return true;
}

static bool learn_no_effort(struct refusal *r)
{
    if (!was_put(r, DIALECT_PUT_REASONING_EFFORT))
        return false;
    return (is_about(r, STR("reasoning_effort")) ||
            refusal_names(&r->words, STR("reasoningeffort")) ||
            refusal_says(&r->words, STR("not support thinking")) ||
            refusal_says(&r->words, STR("not support reasoning"))) &&
           make(r, DIALECT_NO_EFFORT);
}

static bool learn_format(struct refusal *r)
{
    return was_put(r, DIALECT_PUT_RESPONSE_FORMAT) &&
           (is_about(r, STR("response_format")) || is_about(r, STR("json_schema"))) &&
           make(r, DIALECT_FORMAT_IN_WORDS);
}

static bool learn_images(struct refusal *r)
{
    static const struct str words[] = {STR_LIT("image_url"),     STR_LIT("image input"),
                                       STR_LIT("multimodal"),    STR_LIT("multi-modal"),
                                       STR_LIT("support image"), STR_LIT("image content")};
    /* about this picture, not about pictures */
    static const struct str broken[] = {STR_LIT("download"),      STR_LIT("fetch"),
                                        STR_LIT("decode"),        STR_LIT("corrupt"),
                                        STR_LIT("invalid image"), STR_LIT("invalid_image"),
                                        STR_LIT("too large"),     STR_LIT("image format")};
    bool file = was_put(r, DIALECT_PUT_FILES) &&
                (refusal_says(&r->words, STR("`file`")) || refusal_says(&r->words, STR("'file'")));
    bool any = was_put(r, DIALECT_PUT_IMAGES | DIALECT_PUT_FILES) &&
               (says_any(r, words, COUNT_OF(words)) || refusal_names(&r->words, STR("vision")));
    if (!file && !any)
        return false;
    if (!says_any(r, broken, COUNT_OF(broken)))
        return make(r, DIALECT_NO_IMAGES);
    if ((r->l->changes | r->l->once) & DIALECT_NO_IMAGES)
        return false;
    r->l->once |= DIALECT_NO_IMAGES;
    return true;
}

static bool learn_reasoning(struct refusal *r)
{
    static const struct str wanted[] = {STR_LIT("missing"),        STR_LIT("passed back"),
                                        STR_LIT("must be passed"), STR_LIT("required"),
                                        STR_LIT("must include"),   STR_LIT("must contain")};
    static const struct str refused[] = {
        STR_LIT("not support"),   STR_LIT("unsupported"), STR_LIT("not allowed"),
        STR_LIT("not permitted"), STR_LIT("unknown"),     STR_LIT("unrecognized"),
        STR_LIT("unexpected"),    STR_LIT("extra "),      STR_LIT("invalid")};
    bool content = refusal_names(&r->words, STR("reasoning_content"));
    if (content && was_put(r, DIALECT_PUT_TOOL_CALLS) && says_any(r, wanted, COUNT_OF(wanted)))
        return make(r, DIALECT_BLANK_REASONING);
    if (!was_put(r, DIALECT_PUT_REASONING))
        return false;
    return (content || (refusal_names(&r->words, STR("reasoning")) &&
                        says_any(r, refused, COUNT_OF(refused)))) &&
           make(r, DIALECT_NO_REASONING);
}

static bool learn_signature(struct refusal *r)
{
    return was_put(r, DIALECT_PUT_TOOL_CALLS) &&
           (refusal_names(&r->words, STR("thought_signature")) ||
            refusal_names(&r->words, STR("thoughtsignature"))) &&
           make(r, DIALECT_THOUGHT_SIGNATURE);
}

bool dialect_learn(unsigned status, struct str refusal, const struct dialect_context *sent,
                   struct dialect_learnt *l)
{
    struct refusal r = {.sent = sent, .l = l};
    if (status != 400 && status != 404 && status != 422)
        return false;
    refusal_words_read(&r.words, refusal);
    return learn_context(&r) || learn_effort_none(&r) || learn_signature(&r) ||
           learn_reasoning(&r) || learn_limit(&r) || learn_token_field(&r) || learn_fields(&r) ||
           learn_no_effort(&r) || learn_format(&r) || learn_images(&r);
}
