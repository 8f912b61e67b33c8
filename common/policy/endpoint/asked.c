#include "common/policy/endpoint/asked.h"

#include <string.h>

/* FNV-1a. */
static uint64_t hash_of(struct str s)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (uint8_t)s.p[i]) * 0x100000001b3u;
    return h;
}

struct str asked_name(const struct asked *a, size_t i)
{
    return str_make(a->v[i].name, a->v[i].n);
}

static int find(const struct asked *a, struct str name, uint64_t hash)
{
    for (size_t i = 0; i < ASKED_MAX; i++)
        if (a->v[i].at_ms && a->v[i].hash == hash && str_eq(asked_name(a, i), name))
            return (int)i;
    return -1;
}

int asked_find(const struct asked *a, struct str name)
{
    return find(a, name, hash_of(name));
}

bool asked_due(struct asked *a, struct str name, int64_t now_ms)
{
    bool again = a->v[a->last].at_ms && str_eq(asked_name(a, a->last), name);
    int at = again ? a->last : name.n <= ASKED_NAME_MAX ? asked_find(a, name) : -1;
    if (at >= 0)
        a->last = (uint8_t)at;
    return name.n <= ASKED_NAME_MAX && (at < 0 || now_ms - a->v[at].at_ms >= ASKED_PAUSE_MS);
}

int asked_note(struct asked *a, struct str name, int64_t at_ms)
{
    uint64_t hash = hash_of(name);
    int at = name.n <= ASKED_NAME_MAX ? find(a, name, hash) : -1;
    if (name.n > ASKED_NAME_MAX || at_ms <= 0)
        return -1;
    if (at < 0) {
        at = 0;
        for (size_t i = 1; i < ASKED_MAX; i++)
            if (a->v[i].at_ms < a->v[at].at_ms)
                at = (int)i;
        a->v[at].at_ms = 0;
        a->v[at].hash = hash;
        a->v[at].n = (uint8_t)name.n;
        if (name.n)
            memcpy(a->v[at].name, name.p, name.n);
    }
    if (at_ms > a->v[at].at_ms)
        a->v[at].at_ms = at_ms;
    return at;
}

int asked_drop(struct asked *a, int64_t now_ms)
{
    for (size_t i = 0; i < ASKED_MAX; i++)
        if (a->v[i].at_ms && !asked_within(a, i, now_ms)) {
            a->v[i].at_ms = 0;
            return (int)i;
        }
    return -1;
}

int64_t asked_next_ms(const struct asked *a)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < ASKED_MAX; i++)
        if (a->v[i].at_ms && a->v[i].at_ms + ASKED_FOR_MS < next)
            next = a->v[i].at_ms + ASKED_FOR_MS;
    return next;
}
