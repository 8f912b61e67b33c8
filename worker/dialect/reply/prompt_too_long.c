#include "worker/dialect/reply/prompt_too_long.h"

#include "worker/json/json_find.h"

/* Numbers that are read; bytes between words and their number; the shortest context of any model:
 * smaller numbers are codes. */
enum { NUMBERS = 12, NEAR = 48, LEAST = 512 };

/* Words that say so, in messages of: OpenAI, Azure, DeepSeek, vLLM, Mistral, OpenRouter; many;
 * SGLang; Kimi; DashScope; GLM and others; llama.cpp; vLLM; Gemini; relays of Anthropic. */
static const struct str told[] = {
    STR_LIT("maximum context length"),
    STR_LIT("context window"),
    STR_LIT("longer than the model's context length"),
    STR_LIT("exceeded model token limit"),
    STR_LIT("range of input length should be"),
    STR_LIT("exceeds max length"),
    STR_LIT("available context size"),
    STR_LIT("maximum model length"),
    STR_LIT("exceeds the maximum number of tokens allowed"),
    STR_LIT("prompt is too long"),
};

/* Words in front of the maximum. */
static const struct str before_maximum[] = {
    STR_LIT("maximum context length"), STR_LIT("maximum model length"),
    STR_LIT("model token limit"),      STR_LIT("context length"),
    STR_LIT("context size"),           STR_LIT("context window"),
    STR_LIT("tokens allowed"),
};

/* ---- code and type */

enum { CODE, CODE_TOP, TYPE, TYPE_TOP, TOKENS, MAXIMUM, AT__COUNT };

static const struct json_want want[AT__COUNT] = {
    [CODE] = {STR_LIT("error"), STR_LIT("code")},
    [CODE_TOP] = {STR_LIT("code"), {0}},
    [TYPE] = {STR_LIT("error"), STR_LIT("type")},
    [TYPE_TOP] = {STR_LIT("type"), {0}},
    [TOKENS] = {STR_LIT("error"), STR_LIT("n_prompt_tokens")},
    [MAXIMUM] = {STR_LIT("error"), STR_LIT("n_ctx")},
};

static bool by_symbol(struct str body, struct prompt_length *l)
{
    static const struct str symbols[] = {STR_LIT("context_length_exceeded"),
                                         STR_LIT("exceed_context_size_error"), STR_LIT("1261")};
    struct json_hit hit[AT__COUNT];
    if (body.n && body.p[0] == '[' && body.n > 1) /* Gemini's list */
        body = str_trim(str_make(body.p + 1, body.n - 1));
    (void)!json_find(body, want, hit, AT__COUNT);
    uint64_t tokens, maximum;
    if (hit[TOKENS].kind == JSON_IS_NUMBER && hit[MAXIMUM].kind == JSON_IS_NUMBER &&
        str_to_u64(hit[TOKENS].raw, UINT32_MAX, &tokens) &&
        str_to_u64(hit[MAXIMUM].raw, UINT32_MAX, &maximum))
        *l = (struct prompt_length){tokens, maximum};
    for (size_t i = CODE; i <= TYPE_TOP; i++)
        for (size_t s = 0; s < COUNT_OF(symbols); s++)
            if (str_eq(hit[i].raw, symbols[s]))
                return true;
    return false;
}

/* ---- words */

static bool by_words(struct str s)
{
    for (size_t i = 0; i < COUNT_OF(told); i++)
        if (str_find_nocase(s, told[i]) >= 0)
            return true;
    return false;
}

/* Reads the next number at or behind *at, which commas may part; words that end in digits, as
 * gpt-4, are none. *from: where it begins; *at is moved behind it. */
static bool next_number(struct str s, size_t *at, size_t *from, uint64_t *v)
{
    for (size_t i = *at; i < s.n; i++) {
        if (!ascii_digit(s.p[i]))
            continue;
        char before = i ? s.p[i - 1] : ' ';
        bool of_word = before == '-' || before == '.' || before == '_' ||
                       (ascii_lower(before) >= 'a' && ascii_lower(before) <= 'z');
        *from = i;
        for (*v = 0; i < s.n; i++) {
            bool comma = s.p[i] == ',' && i + 1 < s.n && ascii_digit(s.p[i + 1]);
            if (!comma && !ascii_digit(s.p[i]))
                break;
            if (!comma && *v < UINT32_MAX)
                *v = 10 * *v + (uint64_t)(s.p[i] - '0');
        }
        *at = i;
        if (!of_word && *v < UINT32_MAX)
            return true;
    }
    return false;
}

/* The number shortly behind the words; 0: none. */
static uint64_t number_behind(struct str s, struct str words)
{
    ptrdiff_t found = str_find_nocase(s, words);
    size_t at = found < 0 ? s.n : (size_t)found + words.n, end = at, from;
    uint64_t v;
    return found >= 0 && next_number(s, &at, &from, &v) && from - end <= NEAR ? v : 0;
}

/* Reads the numbers of a message: the maximum by the words before it, the prompt's length as the
 * smallest number over it; of two numbers alone the larger is the length. */
static void read_numbers(struct str s, struct prompt_length *l)
{
    uint64_t v[NUMBERS], maximum = 0;
    size_t n = 0, at = 0, from;
    while (n < NUMBERS && next_number(s, &at, &from, &v[n]))
        n += v[n] > 1;
    for (size_t i = 0; !maximum && i < COUNT_OF(before_maximum); i++)
        maximum = number_behind(s, before_maximum[i]);
    if (!maximum && n == 2 && v[0] >= LEAST && v[1] >= LEAST)
        maximum = v[0] < v[1] ? v[0] : v[1];
    uint64_t tokens = 0;
    for (size_t i = 0; i < n; i++)
        if (v[i] > maximum && (!tokens || v[i] < tokens))
            tokens = v[i];
    if (maximum && tokens)
        *l = (struct prompt_length){tokens, maximum};
}

bool prompt_too_long(unsigned status, struct str body, struct str words, struct prompt_length *l)
{
    *l = (struct prompt_length){0};
    bool symbol = by_symbol(body, l);
    /* of a login, a balance or a rate words like these say something else */
    bool other = status == 401 || status == 402 || status == 403 || status == 429;
    if (!symbol && (other || !(by_words(words) || by_words(body))))
        return false;
    if (!l->maximum)
        read_numbers(words, l);
    if (!l->maximum && !by_words(words) && by_words(body))
        read_numbers(body, l);
    return true;
}
