/* endpoint_names: the states of an endpoint, the kinds of changes and the operators' actions, with
 * their names for logs, the API and people. */
#ifndef QCC_COMMON_POLICY_ENDPOINT_ENDPOINT_NAMES_H
#define QCC_COMMON_POLICY_ENDPOINT_ENDPOINT_NAMES_H

#include "common/base/base.h"

enum ep_health { EP_UNKNOWN, EP_HEALTHY, EP_DEGRADED, EP_UNHEALTHY, EP_HEALTH__COUNT };

enum ep_disabled { EP_ENABLED, EP_BY_CONFIG, EP_BY_AUTH, EP_BY_OPERATOR, EP_DISABLED__COUNT };

enum ep_action {
    EP_ACT_ENABLE, /* ends drain and any disabling */
    EP_ACT_DISABLE,
    EP_ACT_DRAIN,  /* the endpoint gets no new conversations */
    EP_ACT_VERIFY, /* one verification now */
    EP_ACT_RESET,  /* as enable, and clears health, breaker, queue, cooldown */
    EP_ACTION__COUNT
};

enum ep_what {
    EP_NOTE_HEALTH,
    EP_NOTE_BREAKER,
    EP_NOTE_COOLDOWN, /* ep_note.ms: its duration */
    EP_NOTE_QUEUE,
    EP_NOTE_REACH, /* a queued endpoint comes in reach of requests, or out of it */
    EP_NOTE_DISABLED,
    EP_NOTE_DRAIN,
    EP_NOTE_COUNT_TOKENS,
    EP_NOTE__COUNT
};

/* Names: "unknown" "healthy" …; "enabled" "disabled by auth" …; "health" "breaker" …; "enable" ….
 * "?" for an unknown value. */
const char *ep_health_name(enum ep_health h);
const char *ep_disabled_name(enum ep_disabled d);
const char *ep_what_name(enum ep_what w);
const char *ep_action_name(enum ep_action a);

#endif
