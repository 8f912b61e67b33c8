#include "common/policy/endpoint/nameless.h"

/* Whether refusals of two clients are among them, or clients are not known. */
static bool several_clients(const struct nameless *x)
{
    uint32_t clients = 1;
    for (uint32_t i = 1; i < x->n; i++)
        clients += x->v[i].client != x->v[0].client;
    return x->v[0].client == 0 || clients >= NAMELESS_CLIENTS;
}

bool nameless_add(struct nameless *x, uint64_t conversation, uint64_t client, int64_t now_ms)
{
    if (now_ms < x->ruled_out_until_ms)
        return false;
    for (uint32_t i = 0; i < x->n; i++)
        if (x->v[i].conversation == conversation)
            return false;
    /* Full, and all of one client: that of another one takes the place of the last. */
    uint32_t at = x->n < NAMELESS_CONVERSATIONS ? x->n++ : NAMELESS_CONVERSATIONS - 1;
    x->v[at].conversation = conversation;
    x->v[at].client = client;
    if (x->n < NAMELESS_CONVERSATIONS || !several_clients(x))
        return false;
    x->n = 0;
    x->queued = true;
    return true;
}

void nameless_served(struct nameless *x)
{
    x->n = 0;
}

void nameless_verified(struct nameless *x, int64_t ms, int64_t now_ms)
{
    if (x->queued)
        x->ruled_out_until_ms = now_ms + ms;
    x->queued = false;
    x->n = 0;
}
