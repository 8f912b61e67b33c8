#include "common/policy/classify/classify_scope.h"

#include "common/policy/classify/classify_rules.h"
#include "common/policy/classify/words.h"
#include "common/policy/model_name.h"

/* clang-format off */

/* A model in general. */
#define W_A_MODEL                                                                                  \
    "this model|the model%|that model|%for model|%on model|%of model|%to model|%model:|%model=|"   \
    "%model `|%model '|%model \"|%model_name|per model|per-model|selected model|"                  \
    "requested model|model group|model*rate limit|model's|model*limit reached|limit for the*model%|limit of the*model%|model*cooling down|" \
    "该模型|此模型|这个模型|当前模型|本模型|模型请求|模型调用|模型*限流|模型*限速|模型*达到"

/* All models, or another one than was asked for. */
#define W_OTHER_MODEL                                                                              \
    "all models|any model|every model|across models|all of the model|regardless of the model|"     \
    "whatever the model|the model provider|switch*the model|change the model|所有模型|全部模型|任何模型"

/* Symbols with "model" that are names of services, or speak of all models. */
#define OTHER_CODE "*modelarts*|*modelscope*|*modelstudio*|*allmodels*|*modelprovider*"

/* An account, organisation, key or subscription, or a window of its use. */
#define W_ACCOUNT                                                                                  \
    "account|%organi|%org %|workspace|api key|api-key|api_key|apikey|%key%|%key's|subscription|"   \
    "%plan%|%plan's|%user%|%user's|%team%|%team's|%project%|%project's|tenant|%ip%|"               \
    "weekly limit|weekly usage|monthly limit|monthly usage|daily limit|daily usage|hourly limit|"  \
    "daily token limit|daily request limit|session limit|usage limit|usage cap|5-hour|5 hour|"     \
    "five-hour|five hour|7-day|seven-day|free-models-per|free tier|free-tier|your current quota|"  \
    "your quota|账户|账号|帐户|帐号|用户|令牌|密钥|组织|企业|租户|套餐|订阅|项目|团队|额度|"       \
    "每日*限|每天*限|每周*限|每月*限|小时*限|小时*上限"

/* The symbols for the same. */
#define ACCOUNT_CODE                                                                               \
    "*account*|*organization*|*workspace*|*apikey*|*subscription*|*peruser*|userrate*|*tenant*|"   \
    "*project*|*usagelimit*|dailylimit*|weeklylimit*|monthlylimit*"

/* A limit, as against an empty balance. */
#define W_LIMITED "limit|budget|%cap%|上限|限额|限制"

/* Before the name of a model: it is proposed instead. */
#define W_ADVICE                                                                                   \
    "switch to*$|switching to*$|fall back to*$|change to*$|continue with*$|continue using*$|"      \
    "%try $|%try claude $|%try claude-$|please use $|please use claude $|please use claude-$|can use $|can use claude $|切换*$|改用*$"

/* clang-format on */

/* Families by which Anthropic pools limits. */
static const struct str families[] = {STR_LIT("opus"), STR_LIT("sonnet"), STR_LIT("haiku"),
                                      STR_LIT("fable")};

/* How names of models begin. Only one that has a digit too is a model's: "claude-code" is none. */
static const struct str series[] = {STR_LIT("claude-"),   STR_LIT("gpt-"),    STR_LIT("gemini-"),
                                    STR_LIT("deepseek-"), STR_LIT("qwen"),    STR_LIT("glm-"),
                                    STR_LIT("kimi-"),     STR_LIT("llama-"),  STR_LIT("mistral-"),
                                    STR_LIT("grok-"),     STR_LIT("minimax-")};

/* ---- names of models */

static bool alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || ascii_digit(c);
}

/* Whether what stands at text.p + at is proposed for use instead. */
static bool is_advice(struct str text, size_t at)
{
    size_t n = min_size(at, 2 * (size_t)WORDS_GAP);
    return words_match(str_make(text.p + at - n, n), W_ADVICE);
}

/* Whether the text has the name as a whole word, other than as an advice to use that model. */
static bool has_name(struct str text, struct str name)
{
    struct str rest = text;
    for (ptrdiff_t hit; name.n && (hit = str_find_nocase(rest, name)) >= 0;) {
        const char *p = rest.p + hit, *q = p + name.n;
        rest = str_make(p + 1, (size_t)(text.p + text.n - p - 1));
        bool whole = (p == text.p || !alnum(p[-1])) && (q == text.p + text.n || !alnum(*q));
        if (whole && !is_advice(text, (size_t)(p - text.p)))
            return true;
    }
    return false;
}

static bool has_family(struct str text)
{
    for (size_t i = 0; i < COUNT_OF(families); i++)
        if (has_name(text, families[i]))
            return true;
    return false;
}

static bool in_name(char c)
{
    return alnum(c) || c == '-' || c == '.' || c == '_' || c == ':';
}

/* Whether the word is a model's name. behind: the text behind it, for "gemini 2.5 pro". */
static bool is_of_series(struct str word, struct str behind)
{
    bool digit = behind.n > 1 && behind.p[0] == ' ' && ascii_digit(behind.p[1]);
    for (size_t i = 0; i < COUNT_OF(series); i++)
        if (digit && str_eq(word, str_make(series[i].p, series[i].n - 1)))
            return true;
    digit = false;
    for (size_t i = 0; i < word.n; i++)
        digit |= ascii_digit(word.p[i]);
    for (size_t i = 0; i < COUNT_OF(series); i++)
        if (digit && str_starts(word, series[i]))
            return true;
    return false;
}

static bool has_series(struct str text)
{
    for (size_t at = 0, end; at < text.n; at = end + 1) {
        for (end = at; end < text.n && in_name(text.p[end]);)
            end++;
        struct str word = str_make(text.p + at, end - at);
        if (word.n && is_of_series(word, str_make(text.p + end, text.n - end)) &&
            !is_advice(text, at))
            return true;
    }
    return false;
}

/* Whether the name cannot be a word of prose: "auto" and "default" can. */
static bool is_distinct(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!alnum(name.p[i]) || ascii_digit(name.p[i]))
            return true;
    return false;
}

/* Whether the text has the name that the endpoint was asked for, without the vendor in front too,
 * or its family. */
static bool has_asked(struct str text, struct str model)
{
    char room[MODEL_NAME_MAX];
    if (model.n == 0 || model.n > MODEL_NAME_MAX)
        return false;
    struct str bare = model;
    for (size_t i = 0; i < model.n; i++)
        if (model.p[i] == '/')
            bare = str_make(model.p + i + 1, model.n - i - 1);
    struct str names[] = {bare, model_name(model, room)};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (is_distinct(names[i]) && has_name(text, names[i]))
            return true;
    return has_name(text, is_distinct(model) ? model_family(model, room) : STR(""));
}

bool classify_names_model(const struct evidence *ev)
{
    for (size_t i = 0; i < ev->ntext; i++)
        if (has_asked(ev->text[i], ev->model) || has_family(ev->text[i]) || has_series(ev->text[i]))
            return true;
    return false;
}

/* ---- limits */

static bool says(const struct evidence *ev, const char *patterns)
{
    for (size_t i = 0; i < ev->ntext; i++)
        if (words_match(ev->text[i], patterns))
            return true;
    return false;
}

static bool has_code(const struct evidence *ev, const char *patterns)
{
    for (size_t i = 0; i < ev->ncode; i++)
        if (words_symbol(ev->code[i].value, patterns))
            return true;
    return false;
}

/* Symbols have no words: a family counts anywhere in them. */
static bool code_names_model(const struct evidence *ev)
{
    for (size_t i = 0; i < ev->ncode; i++) {
        struct str code = ev->code[i].value;
        if (words_symbol(code, "*model*") && !words_symbol(code, OTHER_CODE))
            return true;
        for (size_t f = 0; f < COUNT_OF(families); f++)
            if (str_find(code, families[f]) >= 0)
                return true;
    }
    return false;
}

static struct str header(const struct evidence *ev, struct str name)
{
    for (size_t i = 0; i < ev->nfield; i++)
        if (str_eq(ev->field[i].name, name))
            return ev->field[i].value;
    return (struct str){0};
}

static bool is_exhausted(const struct evidence_field *f)
{
    return (str_ends(f->name, STR("-status")) && str_eq_nocase(f->value, STR("rejected"))) ||
           (str_find(f->name, STR("remaining")) >= 0 && str_eq(f->value, STR("0")));
}

/* What the windows in the headers say; SCOPE_NONE: nothing. Those that are called unified are a
 * subscription's. */
static enum scope of_windows(const struct evidence *ev)
{
    static const struct str unified = STR_LIT("anthropic-ratelimit-unified-");
    struct str status = header(ev, STR("anthropic-ratelimit-unified-status"));
    struct str claim = header(ev, STR("anthropic-ratelimit-unified-representative-claim"));
    if (status.n && !str_eq_nocase(status, STR("rejected")))
        return SCOPE_NONE;
    if (claim.n)
        return has_family(claim) ? SCOPE_MODEL : SCOPE_ENDPOINT;
    bool account = false, model = false;
    for (size_t i = 0; i < ev->nfield; i++) {
        struct str name = ev->field[i].name;
        bool named = has_family(name) || has_asked(name, ev->model);
        if (!is_exhausted(&ev->field[i]) || str_find(name, STR("overage")) >= 0)
            continue;
        model |= named;
        account |= !named && str_starts(name, unified) &&
                   !str_eq(name, STR("anthropic-ratelimit-unified-status"));
    }
    if (account || (status.n && !model))
        return SCOPE_ENDPOINT;
    return model ? SCOPE_MODEL : SCOPE_NONE;
}

/* Whose limit it is; SCOPE_NONE: nothing says so. */
static enum scope of_limit(const struct evidence *ev, const struct verdict *v, bool money)
{
    enum scope window = of_windows(ev);
    if (window != SCOPE_NONE)
        return window;
    bool general = says(ev, W_A_MODEL) && !says(ev, W_OTHER_MODEL);
    bool named = classify_names_model(ev) || general || code_names_model(ev);
    if (named && (v->retry_after_ms != RETRY_UNPAID || says(ev, W_LIMITED)))
        return SCOPE_MODEL;
    bool account = money || v->retry_after_ms == RETRY_UNPAID || says(ev, classify_spent_words) ||
                   says(ev, W_ACCOUNT) || has_code(ev, ACCOUNT_CODE);
    return account ? SCOPE_ENDPOINT : SCOPE_NONE;
}

/* ---- refusals */

/* What the success of another endpoint would prove. A refusal that says nothing of the request
 * comes from the endpoint's front, unless its status alone blames the request. */
static enum scope of_refusal(const struct evidence *ev, const struct verdict *v)
{
    if (v->about_model)
        return SCOPE_NAME;
    if (v->beyond_doubt)
        return SCOPE_REQUEST;
    if (ev->json && !v->no_opinion)
        return SCOPE_FEATURE;
    return v->fault == FAULT_REQUEST ? SCOPE_REQUEST : SCOPE_ENDPOINT;
}

/* ---- all */

enum scope classify_scope(const struct evidence *ev, const struct verdict *v, unsigned status,
                          bool money)
{
    if (v->scope != SCOPE_NONE) /* by its rule */
        return v->scope;
    if (v->cls == OUTCOME_AUTH)
        return SCOPE_ENDPOINT;
    if (v->cls == OUTCOME_PERMANENT)
        return of_refusal(ev, v);
    if (ev->page || status / 100 == 3)
        return SCOPE_ENDPOINT;
    enum scope limit = v->cls == OUTCOME_RATE_LIMIT ? of_limit(ev, v, money) : SCOPE_NONE;
    if (limit != SCOPE_NONE)
        return limit;
    bool after_head = ev->kind == EVIDENCE_SSE_ERROR || ev->status / 100 == 2;
    return after_head || status == 429 || status == 529 || ev->error_object ? SCOPE_MODEL
                                                                            : SCOPE_ENDPOINT;
}
