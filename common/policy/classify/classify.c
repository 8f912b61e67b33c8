#include "common/policy/classify/classify.h"

#include "common/policy/classify/classify_rules.h"
#include "common/policy/classify/classify_scope.h"
#include "common/policy/classify/retry_after.h"
#include "common/policy/classify/words.h"

/* Error types and codes that mean: the endpoint checked the request and found it invalid. */
#define VALIDATION                                                                                 \
    "invalidrequest|invalidrequesterror|invalidargument|validationexception|validationerror|"      \
    "invalidparameter*|invalidparams|invalidparam|badrequest|badrequesterror|missingparameter*|"   \
    "unprocessableentity|unprocessableentityerror|parametererror|invalidinput*|schemaerror|"       \
    "*validationerror|*validationfailed|invalidrequest*|invalidbody|*invalidjson|malformed*|"      \
    "missingfield|missingparam*|invalidmessage*|invalidtool*|invalidschema|invalidformat|"         \
    "invalidtype|invalidvalue|unsupportedparameter|unsupportedvalue|paramerror|parameterinvalid"

/* Members of a request's body, with which error messages begin. Names with an underscore do not
 * occur in prose; behind the others a path or a colon must follow. */
static const struct {
    struct str name;
    bool unique;
} members[] = {
    {STR_LIT("messages"), false},
    {STR_LIT("message"), false},
    {STR_LIT("tools"), false},
    {STR_LIT("system"), false},
    {STR_LIT("content"), false},
    {STR_LIT("input"), false},
    {STR_LIT("metadata"), false},
    {STR_LIT("thinking"), false},
    {STR_LIT("temperature"), true},
    {STR_LIT("max_tokens"), true},
    {STR_LIT("max_completion_tokens"), true},
    {STR_LIT("max_output_tokens"), true},
    {STR_LIT("tool_choice"), true},
    {STR_LIT("top_p"), true},
    {STR_LIT("top_k"), true},
    {STR_LIT("stop_sequences"), true},
    {STR_LIT("stop"), false},
    {STR_LIT("stream"), false},
    {STR_LIT("context_management"), true},
    {STR_LIT("output_config"), true},
    {STR_LIT("output_format"), true},
    {STR_LIT("input_schema"), true},
    {STR_LIT("mcp_servers"), true},
    {STR_LIT("cache_control"), true},
    {STR_LIT("response_format"), true},
    {STR_LIT("budget_tokens"), true},
    {STR_LIT("reasoning_effort"), true},
    {STR_LIT("reasoning"), false},
    {STR_LIT("thinking_budget"), true},
    {STR_LIT("parallel_tool_calls"), true},
    {STR_LIT("tool_calls"), true},
    {STR_LIT("tool_call_id"), true},
    {STR_LIT("tool_use"), true},
    {STR_LIT("tool_result"), true},
    {STR_LIT("presence_penalty"), true},
    {STR_LIT("frequency_penalty"), true},
    {STR_LIT("functions"), false},
    {STR_LIT("contents"), false},
    {STR_LIT("generationconfig"), true},
    {STR_LIT("generation_config"), true},
    {STR_LIT("system_instruction"), true},
    {STR_LIT("previous_response_id"), true},
    {STR_LIT("timeout"), false},
    {STR_LIT("prompt"), false},
    {STR_LIT("body"), false},
};

static struct str behind(struct str s, size_t n)
{
    return str_make(s.p + n, s.n - n);
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || ascii_digit(c);
}

/* Whether s begins with a member: "messages.1.content: …", "tools[0].name …", "max_tokens must be
 * …". */
static bool names_member(struct str s)
{
    while (s.n &&
           (s.p[0] == '`' || s.p[0] == '\'' || s.p[0] == '"' || s.p[0] == '$' || s.p[0] == '.'))
        s = behind(s, 1);
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        size_t n = members[i].name.n;
        if (!str_starts_nocase(s, members[i].name) || (s.n > n && is_word(s.p[n])))
            continue;
        if (members[i].unique)
            return true;
        char next = s.n > n ? s.p[n] : '\0';
        char then = s.n > n + 1 ? s.p[n + 1] : '\0';
        return next == '[' || next == ':' || (next == '.' && is_word(then));
    }
    return false;
}

/* Whether s has a path with an index, which does not occur in prose: "ValidationException:
 * messages.3.content.0: …". */
static bool has_path(struct str s)
{
    static const struct str roots[] = {STR_LIT("messages"), STR_LIT("tools"), STR_LIT("contents"),
                                       STR_LIT("system"), STR_LIT("input")};
    for (size_t i = 0; i < COUNT_OF(roots); i++) {
        struct str rest = s;
        for (ptrdiff_t at; (at = str_find(rest, roots[i])) >= 0;) {
            rest = behind(rest, (size_t)at + roots[i].n);
            if (rest.n > 1 && (rest.p[0] == '.' || rest.p[0] == '[') && ascii_digit(rest.p[1]))
                return true;
        }
    }
    return false;
}

/* Whether s quotes a member, as OpenAI's messages do: "Invalid value for 'messages[1].content'". */
static bool quotes_member(struct str s)
{
    static const struct str before[] = {
        STR_LIT("invalid '"),
        STR_LIT("invalid value for '"),
        STR_LIT("invalid type for '"),
        STR_LIT("parameter: '"),
        STR_LIT("parameter: "),
        STR_LIT("value: '"),
        STR_LIT("argument supplied: "),
        STR_LIT("argument: "),
        STR_LIT("field: "),
        STR_LIT("missing required field "),
    };
    for (size_t i = 0; i < COUNT_OF(before); i++) {
        ptrdiff_t at = str_find(s, before[i]);
        if (at < 0)
            continue;
        struct str name = behind(s, (size_t)at + before[i].n);
        while (name.n && (name.p[0] == '`' || name.p[0] == '\'' || name.p[0] == '"'))
            name = behind(name, 1);
        for (size_t m = 0; m < COUNT_OF(members); m++)
            if (str_starts(name, members[m].name) &&
                (name.n == members[m].name.n || !is_word(name.p[members[m].name.n])))
                return true;
    }
    return false;
}

static bool param_is_member(struct str param)
{
    for (size_t i = 0; i < COUNT_OF(members); i++)
        if (str_starts_nocase(param, members[i].name) &&
            (param.n == members[i].name.n || !is_word(param.p[members[i].name.n])))
            return true;
    return false;
}

static bool has_symbol(const struct evidence *ev, const char *patterns, bool types_only)
{
    for (size_t i = 0; i < ev->ncode; i++)
        if ((!types_only || ev->code[i].type) && words_symbol(ev->code[i].value, patterns))
            return true;
    return false;
}

bool classify_names_field(const struct evidence *ev)
{
    bool named = param_is_member(ev->param);
    for (size_t i = 0; i < ev->ntext && !named; i++)
        named = names_member(ev->text[i]) || has_path(ev->text[i]) || quotes_member(ev->text[i]);
    return named;
}

/* Bytes from which a message says more than the phrase of its status: "Forbidden", "请求失败" do
 * not. */
enum { SENTENCE = 16 };

static unsigned traits_of(const struct evidence *ev)
{
    unsigned t = (ev->empty ? TRAIT_EMPTY : 0) | (ev->json ? TRAIT_JSON : 0) |
                 (ev->page ? TRAIT_PAGE : 0) | (ev->rich_page ? TRAIT_RICH_PAGE : 0) |
                 (ev->to_login ? TRAIT_LOGIN : 0) | (ev->ntext ? TRAIT_TEXT : 0) |
                 (ev->status == 200 ? TRAIT_OK : 0);
    if (ev->status == 422 || has_symbol(ev, VALIDATION, false))
        t |= TRAIT_VALIDATION;
    if (classify_names_field(ev))
        t |= TRAIT_FIELD;
    if (classify_names_model(ev))
        t |= TRAIT_NAMES_MODEL;
    for (size_t i = 0; i < ev->ntext; i++)
        if (ev->text[i].n >= SENTENCE)
            t |= TRAIT_SENTENCE;
    return t;
}

static unsigned on_status(unsigned status)
{
    static const struct {
        unsigned status, on;
    } own[] = {
        {400, ON_400}, {401, ON_401}, {402, ON_402}, {403, ON_403}, {404, ON_404},
        {405, ON_405}, {413, ON_413}, {422, ON_422}, {429, ON_429}, {529, ON_529},
    };
    for (size_t i = 0; i < COUNT_OF(own); i++)
        if (own[i].status == status)
            return own[i].on;
    switch (status / 100) {
    case 2:
        return ON_200;
    case 3:
        return ON_3XX;
    case 4:
        return ON_4XX;
    case 5:
        return ON_500;
    default:
        return ON_ODD;
    }
}

static bool says(const struct evidence *ev, const struct classify_rule *r, unsigned traits,
                 const char *patterns)
{
    bool bare = !r->quoted && (traits & (TRAIT_VALIDATION | TRAIT_FIELD));
    for (size_t i = 0; i < ev->ntext; i++)
        if (words_match(bare ? ev->bare[i] : ev->text[i], patterns))
            return true;
    return r->markup && words_match(ev->markup, patterns);
}

static bool fits(const struct evidence *ev, const struct classify_rule *r, unsigned on,
                 unsigned traits)
{
    return (r->on & on) && (traits & r->need) == r->need && !(traits & r->without) &&
           (!r->type || has_symbol(ev, r->type, true)) &&
           (!r->code || has_symbol(ev, r->code, false)) &&
           (!r->words || says(ev, r, traits, r->words)) &&
           (!r->also || says(ev, r, traits, r->also)) && (!r->but || !says(ev, r, traits, r->but));
}

/* Whether a rate limit is RETRY_UNPAID. 402 means so without a word. */
static bool unpaid(const struct evidence *ev, unsigned status, bool money)
{
    const char *words = money ? classify_unpaid_words : classify_spent_words;
    bool is = money && (status == 402 || has_symbol(ev, classify_unpaid_code, false));
    for (size_t i = 0; i < ev->ntext; i++) {
        if (words_match(ev->text[i], classify_unpaid_but))
            return false;
        is |= words_match(ev->text[i], words);
    }
    return is;
}

static void decide(struct verdict *out, enum outcome cls, enum fault fault, unsigned flags,
                   const char *name)
{
    *out = (struct verdict){
        .cls = cls,
        .fault = fault,
        .retry_after_ms = RETRY_UNTOLD,
        .rule = name,
        .overloaded = flags & FLAG_OVERLOADED,
        .about_model = flags & FLAG_MODEL,
        .beyond_doubt = flags & FLAG_SURE,
    };
}

void classify(const struct evidence *ev, int64_t wall_now_ms, struct verdict *out)
{
    /* Inside a 200 the error's own code stands for the status that was not sent. */
    bool inside = ev->kind != EVIDENCE_HTTP || ev->status / 100 == 2;
    unsigned status = inside && ev->inner_status ? ev->inner_status : ev->status;
    unsigned on = on_status(status) | (inside ? (unsigned)ON_200 : 0);
    unsigned traits = traits_of(ev);
    const struct classify_rule *r = classify_rules, *end = r + classify_rules_n;
    while (r < end && !fits(ev, r, on, traits))
        r++;
    unsigned flags;
    if (r < end) {
        flags = r->flags;
        decide(out, r->cls, r->fault, flags, r->name);
        out->scope = r->scope;
    } else {
        const struct classify_status *s = classify_statuses;
        while (status < s->from || status > s->to)
            s++;
        flags = s->flags;
        decide(out, s->cls, s->fault, flags, s->name);
    }
    out->no_opinion = out->cls == OUTCOME_PERMANENT && (ev->page || status / 100 == 3);
    out->beyond_doubt &= !out->no_opinion;
    bool limit = out->cls == OUTCOME_RATE_LIMIT || out->cls == OUTCOME_TRANSIENT;
    out->retry_after_ms = retry_after_read(ev, !limit, wall_now_ms);
    if (out->cls == OUTCOME_RATE_LIMIT && out->retry_after_ms <= 0 &&
        unpaid(ev, status, flags & FLAG_MONEY))
        out->retry_after_ms = RETRY_UNPAID;
    out->scope = classify_scope(ev, out, status, flags & FLAG_MONEY);
}

/* Scopes of a transport's failure: before the reply's head, and after it. */
#define OF_ENDPOINT SCOPE_ENDPOINT, SCOPE_MODEL
#define OF_SILENCE SCOPE_MODEL, SCOPE_MODEL
#define OF_NOBODY SCOPE_REQUEST, SCOPE_REQUEST

void classify_net(enum net_fault n, bool head, struct verdict *out)
{
    static const struct {
        enum outcome cls;
        enum fault fault;
        enum scope before, after;
        const char *name;
    } rows[NET__COUNT] = {
        [NET_NONE] = {OUTCOME_UNKNOWN, FAULT_UNCLEAR, OF_NOBODY, "net-none"},
        [NET_RESOLVE] = {OUTCOME_TRANSIENT, FAULT_UNCLEAR, OF_ENDPOINT, "net-resolve"},
        [NET_REFUSED] = {OUTCOME_TRANSIENT, FAULT_ENDPOINT, OF_ENDPOINT, "net-refused"},
        [NET_CONNECT] = {OUTCOME_TRANSIENT, FAULT_ENDPOINT, OF_ENDPOINT, "net-connect"},
        [NET_CONNECT_TIMEOUT] = {OUTCOME_TRANSIENT, FAULT_ENDPOINT, OF_ENDPOINT,
                                 "net-connect-timeout"},
        /* The proxy that QCC connects through failed, which says nothing of the endpoint. */
        [NET_PROXY] = {OUTCOME_TRANSIENT, FAULT_UNCLEAR, OF_ENDPOINT, "net-proxy"},
        [NET_TLS] = {OUTCOME_TRANSIENT, FAULT_ENDPOINT, OF_ENDPOINT, "net-tls"},
        /* Repeating is neither safe nor useful. */
        [NET_CERT] = {OUTCOME_PERMANENT, FAULT_ENDPOINT, OF_ENDPOINT, "net-cert"},
        [NET_SEND] = {OUTCOME_TRANSIENT, FAULT_ENDPOINT, OF_ENDPOINT, "net-send"},
        [NET_RESET] = {OUTCOME_TRANSIENT, FAULT_ENDPOINT, OF_ENDPOINT, "net-reset"},
        [NET_EMPTY] = {OUTCOME_TRANSIENT, FAULT_ENDPOINT, OF_ENDPOINT, "net-empty"},
        [NET_PARTIAL] = {OUTCOME_TRANSIENT, FAULT_ENDPOINT, OF_ENDPOINT, "net-partial"},
        [NET_GARBAGE] = {OUTCOME_UNKNOWN, FAULT_ENDPOINT, OF_ENDPOINT, "net-garbage"},
        [NET_FIRST_BYTE_TIMEOUT] = {OUTCOME_TRANSIENT, FAULT_ENDPOINT, OF_SILENCE,
                                    "net-first-byte-timeout"},
        [NET_IDLE_TIMEOUT] = {OUTCOME_TRANSIENT, FAULT_ENDPOINT, OF_SILENCE, "net-idle-timeout"},
        [NET_LOCAL] = {OUTCOME_UNKNOWN, FAULT_UNCLEAR, OF_NOBODY, "net-local"},
        [NET_SILENT] = {OUTCOME_TRANSIENT, FAULT_ENDPOINT, OF_SILENCE, "net-silent"},
    };
    unsigned i = (unsigned)n < NET__COUNT ? (unsigned)n : NET_NONE;
    decide(out, rows[i].cls, rows[i].fault, 0, rows[i].name);
    out->scope = head ? rows[i].after : rows[i].before;
}
