/* retry_after: how long a reply tells us to stay away. Read from the first place that gives a
 * value:
 *   1. header retry-after-ms, then retry-after (seconds, or an HTTP-date against the date header)
 *   2. the reset header of the exhausted window: anthropic-ratelimit-*, x-ratelimit-*, ratelimit-*,
 *      x-rate-limit-*; a window with something remaining does not bind
 *   3. RetryInfo.retryDelay of a Google error, then JSON members that say it in so many words
 *   4. the message: "try again in 6.5s", "retry after 7 seconds", "请在 30 秒后重试"
 * Garbage and negative numbers give nothing, a moment in the past gives 0. Pure. */
#ifndef QCC_COMMON_POLICY_CLASSIFY_RETRY_AFTER_H
#define QCC_COMMON_POLICY_CLASSIFY_RETRY_AFTER_H

#include "common/policy/classify/classify_evidence.h"

/* Longer waits are cut to this, so that a time plus a wait never overflows. What is sensible is the
 * caller's policy. */
#define RETRY_AFTER_MAX_MS INT64_C(1000000000000000)

/* Milliseconds, or -1: told nothing. `headers_only` leaves out all but 1: a reply that is neither a
 * limit nor a hiccup speaks of time in other senses ("if you recently fixed this, wait 5 minutes").
 * wall_now_ms may be negative: not known. */
int64_t retry_after_read(const struct evidence *ev, bool headers_only, int64_t wall_now_ms);

/* Whether a JSON member of that name (lower-case letters and digits) tells a wait. */
bool retry_after_member(struct str name);

#endif
