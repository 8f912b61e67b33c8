#include "worker/http/sse_usage.h"

#include "worker/json/json_find.h"

/* Bytes of a string with escapes that are decoded: \\uXXXX stands for at least one byte. */
enum { RAW_MAX = 6 * SSE_MODEL_MAX };

/* More than any reply can use; sums of some are whole numbers. */
#define COUNT_MOST (INT64_C(1) << 53)

/* Returns whether the member is a number and was taken. */
static bool set_count(int64_t *to, const struct json_hit *hit)
{
    uint64_t v;
    if (hit->kind != JSON_IS_NUMBER || !str_to_u64(hit->raw, COUNT_MOST, &v))
        return false;
    *to = (int64_t)v;
    return true;
}

/* Copies s, cut at max bytes between two characters. Returns the bytes written. */
static uint8_t copy_text(char *to, size_t max, struct str s)
{
    size_t n = 0;
    while (s.n) {
        size_t len = str_utf8_len(s);
        unsigned char c = (unsigned char)s.p[0];
        bool shown = len > 0 && c >= 0x20 && c != 0x7f;
        size_t take = shown ? len : 1;
        if (take > max - n)
            break;
        if (shown)
            memcpy(to + n, s.p, len);
        else
            to[n] = '?';
        n += take;
        s = str_make(s.p + (len ? len : 1), s.n - (len ? len : 1));
    }
    return (uint8_t)n;
}

/* Copies the string of JSON to `to`. Returns the bytes written. */
static uint8_t copy_string(char *to, size_t max, const struct json_hit *hit)
{
    if (!hit->escaped)
        return copy_text(to, max, hit->raw);
    struct buf plain;
    buf_init(&plain, RAW_MAX);
    /* What stands before a faulty escape, or one that is cut here, is taken. */
    (void)!json_unescape(str_make(hit->raw.p, min_size(hit->raw.n, RAW_MAX)), &plain);
    uint8_t n = copy_text(to, max, buf_view(&plain));
    buf_free(&plain);
    return n;
}

static void set_word(struct sse_word *to, const struct json_hit *hit)
{
    if (hit->kind == JSON_IS_STRING)
        to->n = copy_string(to->p, sizeof to->p, hit);
}

enum {
    USAGE_INPUT,
    USAGE_OUTPUT,
    USAGE_CACHE_READ,
    USAGE_CACHE_WRITE,
    USAGE_WRITE_5M,
    USAGE_WRITE_1H,
    USAGE_WEB,
    USAGE_TIER,
    USAGE_SPEED,
    USAGE_GEO,
    USAGE_PROMPT,
    USAGE_COMPLETION,
    USAGE_PROMPT_CACHED,
    USAGE_INPUT_CACHED,
    USAGE__COUNT
};

/* Takes OpenAI's counts, whose input includes what was read from the cache. */
static void read_openai(const struct json_hit hit[static USAGE__COUNT], struct sse_usage *u)
{
    int64_t cached = 0;
    bool input = set_count(&u->input, &hit[USAGE_PROMPT]);
    set_count(&u->output, &hit[USAGE_COMPLETION]);
    bool details = set_count(&cached, &hit[USAGE_PROMPT_CACHED]);
    if (set_count(&cached, &hit[USAGE_INPUT_CACHED])) { /* of /v1/responses */
        details = true;
        input = set_count(&u->input, &hit[USAGE_INPUT]);
    }
    if (!details)
        return;
    u->cache_read = cached;
    if (input)
        u->input = u->input > cached ? u->input - cached : 0;
}

void sse_usage_read(struct str object, struct sse_usage *u)
{
    static const struct json_want want[USAGE__COUNT] = {
        [USAGE_INPUT] = {STR_LIT("input_tokens"), {0}},
        [USAGE_OUTPUT] = {STR_LIT("output_tokens"), {0}},
        [USAGE_CACHE_READ] = {STR_LIT("cache_read_input_tokens"), {0}},
        [USAGE_CACHE_WRITE] = {STR_LIT("cache_creation_input_tokens"), {0}},
        [USAGE_WRITE_5M] = {STR_LIT("cache_creation"), STR_LIT("ephemeral_5m_input_tokens")},
        [USAGE_WRITE_1H] = {STR_LIT("cache_creation"), STR_LIT("ephemeral_1h_input_tokens")},
        [USAGE_WEB] = {STR_LIT("server_tool_use"), STR_LIT("web_search_requests")},
        [USAGE_TIER] = {STR_LIT("service_tier"), {0}},
        [USAGE_SPEED] = {STR_LIT("speed"), {0}},
        [USAGE_GEO] = {STR_LIT("inference_geo"), {0}},
        [USAGE_PROMPT] = {STR_LIT("prompt_tokens"), {0}},
        [USAGE_COMPLETION] = {STR_LIT("completion_tokens"), {0}},
        [USAGE_PROMPT_CACHED] = {STR_LIT("prompt_tokens_details"), STR_LIT("cached_tokens")},
        [USAGE_INPUT_CACHED] = {STR_LIT("input_tokens_details"), STR_LIT("cached_tokens")},
    };
    struct json_hit hit[USAGE__COUNT];
    if (!json_find(object, want, hit, USAGE__COUNT))
        return;
    read_openai(hit, u);
    if (hit[USAGE_INPUT_CACHED].kind != JSON_IS_NUMBER)
        set_count(&u->input, &hit[USAGE_INPUT]);
    set_count(&u->output, &hit[USAGE_OUTPUT]);
    set_count(&u->cache_read, &hit[USAGE_CACHE_READ]);
    bool parts = set_count(&u->write_5m, &hit[USAGE_WRITE_5M]);
    parts |= set_count(&u->write_1h, &hit[USAGE_WRITE_1H]);
    if (!set_count(&u->cache_write, &hit[USAGE_CACHE_WRITE]) && parts)
        u->cache_write = (u->write_5m > 0 ? u->write_5m : 0) + (u->write_1h > 0 ? u->write_1h : 0);
    set_count(&u->web_searches, &hit[USAGE_WEB]);
    set_word(&u->tier, &hit[USAGE_TIER]);
    set_word(&u->speed, &hit[USAGE_SPEED]);
    set_word(&u->geo, &hit[USAGE_GEO]);
}

void sse_usage_model(const struct json_hit *name, struct sse_usage *u)
{
    if (name->kind == JSON_IS_STRING && !u->model_n)
        u->model_n = copy_string(u->model, sizeof u->model, name);
}

void sse_usage_container(const struct json_hit *container, struct sse_usage *u)
{
    static const struct json_want want[] = {{.name = STR_LIT("id")}};
    struct json_hit id = *container;
    if (id.kind == JSON_IS_OBJECT && !json_find(container->raw, want, &id, 1))
        return;
    if (id.kind != JSON_IS_STRING || id.escaped || id.raw.n > sizeof u->container)
        return;
    memcpy(u->container, id.raw.p, id.raw.n);
    u->container_n = (uint8_t)id.raw.n;
}
