#include "worker/dialect/reply/tool_ids.h"

#include "common/base/mem.h"
#include "worker/dialect/tool_id.h"

enum { FIRST_SIZE = 32 };

uint64_t tool_ids_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void tool_ids_free(struct tool_ids *t)
{
    mem_free(t->seen);
    t->seen = NULL;
    t->n = t->size = 0;
}

/* FNV-1a; never 0. Two ids with one hash only cost the second its own form. */
static uint64_t hash(struct str id)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < id.n; i++)
        h = (h ^ (unsigned char)id.p[i]) * UINT64_C(0x100000001b3);
    return h ? h : 1;
}

/* The slot of the hash, or the free one where it belongs. */
static uint64_t *slot(uint64_t *seen, uint32_t size, uint64_t h)
{
    uint32_t at = (uint32_t)(h ^ h >> 32) & (size - 1);
    while (seen[at] && seen[at] != h)
        at = (at + 1) & (size - 1);
    return &seen[at];
}

static bool grow(struct tool_ids *t)
{
    uint32_t size = t->size ? 2 * t->size : FIRST_SIZE;
    uint64_t *seen = mem_try(size * sizeof *seen);
    if (!seen)
        return false;
    memset(seen, 0, size * sizeof *seen);
    for (uint32_t i = 0; i < t->size; i++)
        if (t->seen[i])
            *slot(seen, size, t->seen[i]) = t->seen[i];
    mem_free(t->seen);
    t->seen = seen;
    t->size = size;
    return true;
}

static bool is_plain(struct str id)
{
    if (!id.n || id.n > TOOL_ID_PLAIN_MAX)
        return false;
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i], low = ascii_lower(c);
        if (!ascii_digit(c) && !(low >= 'a' && low <= 'z') && c != '_' && c != '-')
            return false;
    }
    return true;
}

static bool in_history(const struct dialect_context *ctx, struct str id)
{
    size_t from = 0, to = ctx->nids;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        int order = tool_id_compare(ctx->ids[mid], id);
        if (order == 0)
            return true;
        if (order < 0)
            from = mid + 1;
        else
            to = mid;
    }
    return false;
}

/* Appends base64url without padding (RFC 4648 section 5). Returns the end. */
static char *base64url(char *to, struct str s)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (size_t i = 0; i < s.n; i += 3) {
        uint32_t v = 0;
        size_t n = min_size(3, s.n - i);
        for (size_t k = 0; k < 3; k++)
            v = v << 8 | (k < n ? (unsigned char)s.p[i + k] : 0);
        for (size_t k = 0; k <= n; k++)
            *to++ = digit[v >> (18 - 6 * k) & 63];
    }
    return to;
}

static struct str carrier(struct tool_ids *t, struct str id, char room[static TOOL_ID_GIVEN_MAX])
{
    static const struct str prefix = STR_LIT("toolu_qcc");
    memcpy(room, prefix.p, prefix.n);
    char *to = room + prefix.n;
    if (id.n && id.n <= TOOL_ID_CARRIED_MAX) {
        str_put_hex(to, tool_ids_random(&t->random), 6);
        to[6] = '_';
        to = base64url(to + 7, id);
    } else {
        str_put_hex(to, tool_ids_random(&t->random), 12);
        str_put_hex(to + 12, tool_ids_random(&t->random), 12);
        to += 24;
    }
    return str_make(room, (size_t)(to - room));
}

struct str tool_ids_give(struct tool_ids *t, const struct dialect_context *ctx, struct str id,
                         char room[static TOOL_ID_GIVEN_MAX])
{
    if (2 * (t->n + 1) > t->size && !grow(t))
        return (struct str){0};
    struct str given = id;
    bool fits = is_plain(id);
    for (;;) {
        if (!fits)
            given = carrier(t, id, room);
        uint64_t *s = slot(t->seen, t->size, hash(given));
        if (!*s && !in_history(ctx, given)) {
            *s = hash(given);
            t->n++;
            break;
        }
        fits = false;
    }
    if (fits)
        memcpy(room, given.p, given.n);
    return str_make(room, given.n);
}
