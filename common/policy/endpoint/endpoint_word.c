#include "common/policy/endpoint/endpoint_word.h"

enum ep_word ep_word(const struct ep_state *s, int64_t now_ms)
{
    static const enum ep_word of_tier[SEL_TIER__COUNT] = {
        [SEL_HEALTHY] = EP_IS_HEALTHY,
        [SEL_DEGRADED] = EP_IS_DEGRADED,
        [SEL_UNHEALTHY] = EP_IS_UNHEALTHY,
        [SEL_CIRCUIT_OPEN] = EP_IS_CIRCUIT_OPEN,
    };
    enum sel_tier tier = ep_tier(s);
    bool own;
    if (s->disabled != EP_ENABLED)
        return EP_IS_DISABLED;
    if (ep_queued(s))
        return EP_IS_QUEUED;
    if (tier >= SEL_UNHEALTHY)
        return of_tier[tier];
    if (cooldown_left(&s->cooldown, now_ms, &own) > 0)
        return EP_IS_COOLING;
    return s->draining ? EP_IS_DRAINING : of_tier[tier];
}

int64_t ep_word_since(const struct ep_state *s, enum ep_word before, int64_t since_ms,
                      int64_t now_ms)
{
    const struct cooldown *c = &s->cooldown;
    int64_t end = c->own_until_ms > c->untold_until_ms ? c->own_until_ms : c->untold_until_ms;
    if (ep_word(s, now_ms) == before)
        return since_ms;
    return before == EP_IS_COOLING && end > since_ms && end < now_ms ? end : now_ms;
}

const char *ep_word_name(enum ep_word w)
{
    static const char *const names[EP_WORD__COUNT] = {
        [EP_IS_HEALTHY] = "healthy",     [EP_IS_DEGRADED] = "degraded",
        [EP_IS_COOLING] = "cooling",     [EP_IS_DRAINING] = "draining",
        [EP_IS_UNHEALTHY] = "unhealthy", [EP_IS_CIRCUIT_OPEN] = "circuit_open",
        [EP_IS_QUEUED] = "queued",       [EP_IS_DISABLED] = "disabled",
    };
    return w < EP_WORD__COUNT ? names[w] : "?";
}
