#include "worker/dialect/reply/openai_usage.h"

#include "worker/json/json_find.h"

/* More than any reply can use; sums of some are whole numbers. */
#define COUNT_MOST (UINT64_C(1) << 53)

enum {
    PROMPT,
    INPUT,
    COMPLETION,
    OUTPUT,
    CACHED,
    CACHED_INPUT,
    HIT,
    CACHED_TOP,
    WRITTEN,
    CREATED,
    USAGE__COUNT
};

/* The first of the members from..to that is a number; those of some relays have a fraction. */
static bool number(const struct json_hit *hit, size_t from, size_t to, uint64_t *v)
{
    for (size_t i = from; i <= to; i++) {
        struct str s = hit[i].raw;
        const char *point = hit[i].kind == JSON_IS_NUMBER ? memchr(s.p, '.', s.n) : NULL;
        if (point)
            s.n = (size_t)(point - s.p);
        if (hit[i].kind == JSON_IS_NUMBER && str_to_u64(s, COUNT_MOST, v))
            return true;
    }
    return false;
}

void openai_usage_take(struct openai_usage *u, struct str object)
{
    static const struct json_want want[USAGE__COUNT] = {
        [PROMPT] = {STR_LIT("prompt_tokens"), {0}},
        [INPUT] = {STR_LIT("input_tokens"), {0}},
        [COMPLETION] = {STR_LIT("completion_tokens"), {0}},
        [OUTPUT] = {STR_LIT("output_tokens"), {0}},
        [CACHED] = {STR_LIT("prompt_tokens_details"), STR_LIT("cached_tokens")},
        [CACHED_INPUT] = {STR_LIT("input_tokens_details"), STR_LIT("cached_tokens")},
        [HIT] = {STR_LIT("prompt_cache_hit_tokens"), {0}},
        [CACHED_TOP] = {STR_LIT("cached_tokens"), {0}},
        [WRITTEN] = {STR_LIT("prompt_tokens_details"), STR_LIT("cache_write_tokens")},
        [CREATED] = {STR_LIT("prompt_tokens_details"), STR_LIT("cache_creation_tokens")},
    };
    struct json_hit hit[USAGE__COUNT];
    uint64_t v;
    if (!json_find(object, want, hit, USAGE__COUNT))
        return;
    if (number(hit, PROMPT, INPUT, &v)) {
        u->prompt = v;
        u->cache_read = u->cache_write = 0;
    }
    if (number(hit, COMPLETION, OUTPUT, &v))
        u->completion = v;
    if (number(hit, CACHED, CACHED_TOP, &v))
        u->cache_read = v;
    if (number(hit, WRITTEN, CREATED, &v))
        u->cache_write = v;
}

struct message_usage openai_usage_counts(const struct openai_usage *u, uint64_t input,
                                         uint64_t output)
{
    uint64_t cached = u->cache_read + u->cache_write;
    struct message_usage m = {.cache_read = u->cache_read,
                              .cache_write = u->cache_write,
                              .input = u->prompt > cached ? u->prompt - cached : 0,
                              .output = u->completion};
    if (!u->prompt && !cached)
        m.input = input ? input : 1;
    if (!u->completion && (output || !u->prompt))
        m.output = output ? output : 1;
    return m;
}
