#include "common/policy/poison.h"

#include <string.h>

/* One step of a multiplicative hash: the halves of a 128-bit product, folded. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 m = (unsigned __int128)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static uint64_t word(const char *p, size_t n)
{
    uint64_t w = 0;
    memcpy(&w, p, n);
    return w;
}

uint64_t poison_hash(struct str body)
{
    static const uint64_t k0 = 0x9e3779b97f4a7c15u, k1 = 0xbf58476d1ce4e5b9u,
                          k2 = 0x94d049bb133111ebu;
    uint64_t h = k0 ^ body.n;
    const char *p = body.p;
    size_t n = body.n;
    for (; n >= 16; p += 16, n -= 16)
        h = fold(word(p, 8) ^ k1, word(p + 8, 8) ^ h) + k2;
    h = fold(word(p, min_size(n, 8)) ^ k1, (n > 8 ? word(p + 8, n - 8) : 0) ^ h) + k2;
    h = fold(h ^ k0, k1);
    return h ? h : 1;
}

enum {
    SAMPLE_WHOLE = 1024, /* bytes of a body that is hashed as a whole */
    SAMPLE_END = 256,    /* bytes at the front and at the end of a longer one */
    SAMPLE_STEPS = 32,   /* pieces between, of SAMPLE_PIECE bytes */
    SAMPLE_PIECE = 16
};

uint64_t poison_sample(struct str body)
{
    if (body.n <= SAMPLE_WHOLE)
        return poison_hash(body);
    char s[2 * SAMPLE_END + SAMPLE_STEPS * SAMPLE_PIECE + sizeof body.n];
    size_t at = 0, step = (body.n - 2 * SAMPLE_END) / SAMPLE_STEPS;
    memcpy(s, body.p, SAMPLE_END);
    at += SAMPLE_END;
    for (size_t i = 0; i < SAMPLE_STEPS; i++, at += SAMPLE_PIECE)
        memcpy(s + at, body.p + SAMPLE_END + i * step, SAMPLE_PIECE);
    memcpy(s + at, body.p + body.n - SAMPLE_END, SAMPLE_END);
    at += SAMPLE_END;
    memcpy(s + at, &body.n, sizeof body.n);
    return poison_hash(str_make(s, at + sizeof body.n));
}

enum poison_sign poison_sign(enum outcome cls, enum net_fault net, uint32_t status)
{
    if (net_fault_unsent(net))
        return POISON_NOTHING;
    switch (net) {
    case NET_SEND:
    case NET_RESET:
    case NET_EMPTY:
    case NET_PARTIAL:
    case NET_GARBAGE:
        return POISON_SIGN;
    case NET_NONE:
        break;
    case NET_RESOLVE:
    case NET_REFUSED:
    case NET_CONNECT:
    case NET_CONNECT_TIMEOUT:
    case NET_PROXY:
    case NET_TLS:
    case NET_CERT:
    case NET_FIRST_BYTE_TIMEOUT:
    case NET_IDLE_TIMEOUT:
    case NET_LOCAL:
    case NET_SILENT:
    case NET__COUNT:
        return POISON_AGAINST;
    }
    if (cls == OUTCOME_RATE_LIMIT || cls == OUTCOME_AUTH)
        return POISON_AGAINST;
    /* class unknown under 200 is no answer at all; the other classes are an error in a 200 */
    return status >= 400 || cls != OUTCOME_UNKNOWN ? POISON_SIGN : POISON_AGAINST;
}

bool poison_counts_anyway(enum outcome cls, enum net_fault net)
{
    return cls == OUTCOME_RATE_LIMIT || cls == OUTCOME_AUTH || net_fault_unsent(net);
}

static uint32_t find(const struct poison *p, uint64_t hash)
{
    uint32_t i = 0;
    while (i < p->n && p->v[i].hash != hash)
        i++;
    return i;
}

/* The message's entry, a new one with all else zero if it had none or that is too old. */
static struct poison_message *entry(struct poison *p, uint64_t hash, int64_t now_ms)
{
    uint32_t at = find(p, hash);
    if (at < p->n && p->v[at].until_ms > now_ms)
        return &p->v[at];
    if (at == p->n && p->n < POISON_MAX) {
        p->n++;
    } else if (at == p->n) {
        at = 0;
        for (uint32_t i = 1; i < p->n; i++)
            if (p->v[i].until_ms < p->v[at].until_ms)
                at = i;
    }
    p->v[at] = (struct poison_message){.hash = hash, .until_ms = now_ms + POISON_MS};
    return &p->v[at];
}

void poison_remember(struct poison *p, uint64_t hash, int64_t now_ms)
{
    struct poison_message *m = entry(p, hash, now_ms);
    m->until_ms = now_ms + POISON_MS;
    m->proven = true;
}

bool poison_broke(struct poison *p, uint64_t hash, uint64_t endpoint, bool alone, int64_t now_ms)
{
    struct poison_message *m = entry(p, hash, now_ms);
    bool was = m->proven;
    m->proven |= alone || (m->broke_at && m->broke_at != endpoint);
    if (!m->broke_at)
        m->broke_at = endpoint;
    return m->proven && !was;
}

void poison_forget(struct poison *p, uint64_t hash)
{
    uint32_t at = find(p, hash);
    if (at < p->n)
        p->v[at] = p->v[--p->n];
}

bool poison_has(const struct poison *p, uint64_t hash, int64_t now_ms)
{
    uint32_t at = hash ? find(p, hash) : p->n;
    return at < p->n && p->v[at].proven && p->v[at].until_ms > now_ms;
}
