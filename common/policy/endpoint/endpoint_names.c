#include "common/policy/endpoint/endpoint_names.h"

const char *ep_health_name(enum ep_health h)
{
    static const char *const names[EP_HEALTH__COUNT] = {
        [EP_UNKNOWN] = "unknown",
        [EP_HEALTHY] = "healthy",
        [EP_DEGRADED] = "degraded",
        [EP_UNHEALTHY] = "unhealthy",
    };
    return (unsigned)h < EP_HEALTH__COUNT ? names[h] : "?";
}

const char *ep_disabled_name(enum ep_disabled d)
{
    static const char *const names[EP_DISABLED__COUNT] = {
        [EP_ENABLED] = "enabled",
        [EP_BY_CONFIG] = "disabled by configuration",
        [EP_BY_AUTH] = "disabled by auth",
        [EP_BY_OPERATOR] = "disabled by operator",
    };
    return (unsigned)d < EP_DISABLED__COUNT ? names[d] : "?";
}

const char *ep_what_name(enum ep_what w)
{
    static const char *const names[EP_NOTE__COUNT] = {
        [EP_NOTE_HEALTH] = "health",       [EP_NOTE_BREAKER] = "breaker",
        [EP_NOTE_COOLDOWN] = "cooldown",   [EP_NOTE_QUEUE] = "failure queue",
        [EP_NOTE_REACH] = "failure queue", [EP_NOTE_DISABLED] = "service",
        [EP_NOTE_DRAIN] = "drain",         [EP_NOTE_COUNT_TOKENS] = "count_tokens",
    };
    return (unsigned)w < EP_NOTE__COUNT ? names[w] : "?";
}

const char *ep_action_name(enum ep_action a)
{
    static const char *const names[EP_ACTION__COUNT] = {
        [EP_ACT_ENABLE] = "enable", [EP_ACT_DISABLE] = "disable", [EP_ACT_DRAIN] = "drain",
        [EP_ACT_VERIFY] = "verify", [EP_ACT_RESET] = "reset",
    };
    return (unsigned)a < EP_ACTION__COUNT ? names[a] : "?";
}
