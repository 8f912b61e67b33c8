#include "common/ipc/recent_record.h"

#include "common/policy/model_name.h"

#include <stddef.h>

/* Bytes at most of each text, so that the texts of a record always fit and leave room for
 * attempts. */
enum {
    CLIENT_MAX = 24,
    MODEL_MAX = 64, /* Bedrock's names have up to 50 */
    METHOD_MAX = 8,
    TARGET_MAX = 40,
    ENDPOINT_MAX = 40,
    END_MAX = 40,
    REASON_MAX = 112, /* where that leaves room for FURTHER attempts; else END_MAX */
    FURTHER = 3,
    WORD_MAX = 16
};

/* The numbers of an attempt, packed in front of its texts. */
struct fixed {
    uint32_t at_ms, ms, retry_after_ms;
    uint16_t status;
    uint8_t cls;
    uint8_t fault : 4, scope : 4;
};

_Static_assert((unsigned)FAULT__COUNT <= 16 && (unsigned)SCOPE__COUNT <= 16, "both fit in a byte");

static void put(struct recent_record *r, struct str s, size_t max)
{
    size_t n = min_size(s.n, max);
    r->text[r->len] = (char)n;
    if (n)
        memcpy(r->text + r->len + 1, s.p, n);
    r->len = (uint16_t)(r->len + 1 + n);
}

void recent_put(struct recent_record *r, const struct recent_texts *t)
{
    _Static_assert(CLIENT_MAX + 3 * MODEL_MAX + METHOD_MAX + TARGET_MAX + ENDPOINT_MAX + END_MAX +
                           3 * WORD_MAX + 11 <=
                       RECENT_TEXT,
                   "the texts of a record always fit");
    r->len = r->listed = r->said_len = 0;
    put(r, t->client, CLIENT_MAX);
    put(r, t->model, MODEL_MAX);
    put(r, t->method, METHOD_MAX);
    put(r, t->path, TARGET_MAX);
    put(r, t->endpoint, ENDPOINT_MAX);
    put(r, t->end, END_MAX);
    put(r, t->sent, MODEL_MAX);
    put(r, t->served, MODEL_MAX);
    put(r, t->tier, WORD_MAX);
    put(r, t->speed, WORD_MAX);
    put(r, t->geo, WORD_MAX);
}

bool recent_put_attempt(struct recent_record *r, const struct recent_attempt *a)
{
    struct fixed fixed = {a->at_ms,
                          a->ms,
                          a->retry_after_ms,
                          (uint16_t)a->status,
                          (uint8_t)a->cls,
                          (unsigned)a->fault & 15,
                          (unsigned)a->scope & 15};
    size_t least = sizeof fixed + 2 + min_size(a->endpoint.n, ENDPOINT_MAX) + END_MAX;
    size_t room = (size_t)RECENT_TEXT - r->len;
    bool wide = room >= (1 + FURTHER) * least + REASON_MAX - END_MAX;
    size_t reason = min_size(a->reason.n, wide ? REASON_MAX : END_MAX);
    if (least - END_MAX + reason > room || r->listed == UINT8_MAX)
        return false;
    memcpy(r->text + r->len, &fixed, sizeof fixed);
    r->len = (uint16_t)(r->len + sizeof fixed);
    put(r, a->endpoint, ENDPOINT_MAX);
    put(r, a->reason, reason);
    r->listed++;
    return true;
}

static bool get(const struct recent_record *r, size_t *at, struct str *s)
{
    if (*at >= r->len)
        return false;
    size_t n = (uint8_t)r->text[*at];
    if (n > r->len - *at - 1)
        return false;
    *s = str_make(r->text + *at + 1, n);
    *at += 1 + n;
    return true;
}

bool recent_get(const struct recent_record *r, struct recent_texts *t, size_t *at)
{
    *at = 0;
    return r->len <= RECENT_TEXT && get(r, at, &t->client) && get(r, at, &t->model) &&
           get(r, at, &t->method) && get(r, at, &t->path) && get(r, at, &t->endpoint) &&
           get(r, at, &t->end) && get(r, at, &t->sent) && get(r, at, &t->served) &&
           get(r, at, &t->tier) && get(r, at, &t->speed) && get(r, at, &t->geo);
}

bool recent_get_attempt(const struct recent_record *r, size_t *at, struct recent_attempt *a)
{
    struct fixed fixed;
    if (r->len > RECENT_TEXT || *at > r->len || r->len - *at < sizeof fixed)
        return false;
    memcpy(&fixed, r->text + *at, sizeof fixed);
    if (fixed.cls >= OUTCOME__COUNT || fixed.fault >= FAULT__COUNT || fixed.scope >= SCOPE__COUNT)
        return false;
    *at += sizeof fixed;
    *a = (struct recent_attempt){.cls = fixed.cls,
                                 .fault = fixed.fault,
                                 .scope = fixed.scope,
                                 .status = fixed.status,
                                 .at_ms = fixed.at_ms,
                                 .ms = fixed.ms,
                                 .retry_after_ms = fixed.retry_after_ms};
    return get(r, at, &a->endpoint) && get(r, at, &a->reason);
}

/* ---- what endpoints said */

bool recent_put_said(struct recent_record *r, unsigned at, struct str words)
{
    if (!words.n || at > UINT8_MAX || words.n + 2 > (size_t)RECENT_SAID - r->said_len)
        return false;
    uint8_t *p = r->said + r->said_len;
    p[0] = (uint8_t)at;
    p[1] = (uint8_t)words.n;
    memcpy(p + 2, words.p, words.n);
    r->said_len = (uint8_t)(r->said_len + 2 + words.n);
    return true;
}

struct str recent_said(const struct recent_record *r, unsigned at)
{
    size_t end = min_size(r->said_len, RECENT_SAID);
    for (size_t i = 0; i + 2 <= end; i += 2u + r->said[i + 1])
        if (r->said[i] == at && i + 2 + r->said[i + 1] <= end)
            return str_make((const char *)r->said + i + 2, r->said[i + 1]);
    return (struct str){0};
}

/* ---- */

/* Whether the byte is a bool: one that is neither 0 nor 1 must not be read as one. */
static bool is_bool(const bool *p)
{
    return *(const uint8_t *)p <= 1;
}

/* The bits that a record brings; the others follow from its choices and texts. */
enum { TOLD = RECENT_STREAM | RECENT_OPENAI };

bool recent_sound(const struct recent_record *r)
{
    struct recent_texts t;
    struct recent_attempt a;
    size_t at;
    unsigned n;
    bool ok = !(r->told & ~TOLD) && is_bool(&r->message) && is_bool(&r->open) &&
              recent_get(r, &t, &at) && choices_sound(&r->choices, &n);
    for (unsigned i = 0; ok && i < r->listed; i++)
        ok = recent_get_attempt(r, &at, &a);
    return ok;
}

/* ---- packed: uint16_t size; the struct up to its choices; the choices, as far as they are used;
 * the id; the text, as far as it is used */

enum {
    AT_CHOICES = offsetof(struct recent_record, choices),
    CHOICES_HEAD = offsetof(struct choices, bytes),
    ID_BYTES = sizeof((struct recent_record *)0)->id
};

size_t recent_pack(const struct recent_record *r, uint8_t out[static RECENT_PACKED_MAX])
{
    size_t nchoices = (size_t)CHOICES_HEAD + r->choices.len;
    uint16_t size = (uint16_t)(2 + AT_CHOICES + nchoices + ID_BYTES + r->len);
    uint8_t *p = out;
    memcpy(p, &size, 2);
    p += 2;
    memcpy(p, r, AT_CHOICES);
    p += AT_CHOICES;
    memcpy(p, &r->choices, nchoices);
    p += nchoices;
    memcpy(p, r->id, ID_BYTES);
    p += ID_BYTES;
    memcpy(p, r->text, r->len);
    return size;
}

size_t recent_packed_size(const uint8_t *p, size_t n)
{
    uint16_t size;
    if (n < sizeof size)
        return 0;
    memcpy(&size, p, sizeof size);
    return size >= 2 + AT_CHOICES + CHOICES_HEAD + ID_BYTES && size <= n &&
                   size <= RECENT_PACKED_MAX
               ? size
               : 0;
}

bool recent_unpack(const uint8_t *p, size_t size, struct recent_record *r)
{
    const uint8_t *end = p + size;
    p += 2;
    memcpy(r, p, AT_CHOICES);
    p += AT_CHOICES;
    memcpy(&r->choices, p, CHOICES_HEAD);
    p += CHOICES_HEAD;
    if ((r->told & ~TOLD) || !is_bool(&r->message) || r->choices.len > CHOICES_BYTES ||
        r->len > RECENT_TEXT || (size_t)(end - p) != (size_t)r->choices.len + ID_BYTES + r->len)
        return false;
    memcpy(r->choices.bytes, p, r->choices.len);
    p += r->choices.len;
    memcpy(r->id, p, ID_BYTES);
    memcpy(r->text, p + ID_BYTES, r->len);
    r->open = false;
    r->said_len = 0;
    return true;
}

const char *recent_protocol(unsigned flags, bool answered)
{
    return !answered ? NULL : flags & RECENT_OPENAI ? "openai" : "anthropic";
}

unsigned recent_flags(const struct recent_record *r, const struct recent_texts *t)
{
    struct choice x;
    struct choice_skip skip;
    size_t at = 0;
    unsigned f = r->told;
    f |= model_name_differs(t->sent, t->served) ? RECENT_MODEL_DIFFERS : 0;
    while (choice_next(&r->choices, &at, &x)) {
        f |= x.flags & CHOICE_TRIAL ? RECENT_TRIAL : 0;
        f |= x.flags & CHOICE_OPINION ? RECENT_OPINION : 0;
        f |= x.bound == SEL_BOUND_LEFT ? RECENT_MOVED : 0;
        for (unsigned i = 0; i < x.listed; i++)
            if (!choice_next_skip(&r->choices, &at, &skip))
                return f;
    }
    return f;
}
