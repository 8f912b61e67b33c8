/* endpoint_word: the state of an endpoint in one word, the most serious reason against it, as the
 * API, qccctl and the dashboard show it. Pure. */
#ifndef QCC_COMMON_POLICY_ENDPOINT_ENDPOINT_WORD_H
#define QCC_COMMON_POLICY_ENDPOINT_ENDPOINT_WORD_H

#include "common/policy/endpoint/endpoint_state.h"

enum ep_word {
    EP_IS_HEALTHY,
    EP_IS_DEGRADED,
    EP_IS_COOLING,
    EP_IS_DRAINING,
    EP_IS_UNHEALTHY,
    EP_IS_CIRCUIT_OPEN,
    EP_IS_QUEUED,
    EP_IS_DISABLED,
    EP_WORD__COUNT
};

/* The word for the state at now_ms; a cooldown ends by time alone. */
enum ep_word ep_word(const struct ep_state *s, int64_t now_ms);

/* Since when that word holds, if it was `before` since since_ms: that time, the end of the cooldown
 * that was over between since_ms and now_ms, or now_ms. */
int64_t ep_word_since(const struct ep_state *s, enum ep_word before, int64_t since_ms,
                      int64_t now_ms);

/* "healthy" "degraded" …; "?" for an unknown value. */
const char *ep_word_name(enum ep_word w);

#endif
