#include "worker/http/sse_usage.h"

#include "worker/json/json_find.h"

static void set_count(int64_t *to, const struct json_hit *hit)
{
    uint64_t v;
    if (hit->kind == JSON_IS_NUMBER && str_to_u64(hit->raw, INT64_MAX, &v))
        *to = (int64_t)v;
}

void sse_usage_read(struct str object, struct sse_usage *u)
{
    enum {
        USAGE_INPUT,
        USAGE_OUTPUT,
        USAGE_CACHE_READ,
        USAGE_CACHE_WRITE,
        USAGE_PROMPT,
        USAGE_COMPLETION,
        USAGE_PROMPT_CACHED,
        USAGE_INPUT_CACHED,
        USAGE__COUNT
    };
    static const struct json_want want[USAGE__COUNT] = {
        [USAGE_INPUT] = {STR_LIT("input_tokens"), {0}},
        [USAGE_OUTPUT] = {STR_LIT("output_tokens"), {0}},
        [USAGE_CACHE_READ] = {STR_LIT("cache_read_input_tokens"), {0}},
        [USAGE_CACHE_WRITE] = {STR_LIT("cache_creation_input_tokens"), {0}},
        [USAGE_PROMPT] = {STR_LIT("prompt_tokens"), {0}},
        [USAGE_COMPLETION] = {STR_LIT("completion_tokens"), {0}},
        [USAGE_PROMPT_CACHED] = {STR_LIT("prompt_tokens_details"), STR_LIT("cached_tokens")},
        [USAGE_INPUT_CACHED] = {STR_LIT("input_tokens_details"), STR_LIT("cached_tokens")},
    };
    struct json_hit hit[USAGE__COUNT];
    if (!json_find(object, want, hit, USAGE__COUNT))
        return;
    set_count(&u->input, &hit[USAGE_PROMPT]);
    set_count(&u->input, &hit[USAGE_INPUT]);
    set_count(&u->output, &hit[USAGE_COMPLETION]);
    set_count(&u->output, &hit[USAGE_OUTPUT]);
    set_count(&u->cache_read, &hit[USAGE_PROMPT_CACHED]);
    set_count(&u->cache_read, &hit[USAGE_INPUT_CACHED]);
    set_count(&u->cache_read, &hit[USAGE_CACHE_READ]);
    set_count(&u->cache_write, &hit[USAGE_CACHE_WRITE]);
}
