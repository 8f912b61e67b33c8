/* retry_after: how long a reply tells the client to wait. Read from the first place that gives a
 * value:
 *   1. header retry-after-ms, then retry-after (seconds, or an HTTP-date)
 *   2. the reset header of the exhausted window: anthropic-ratelimit-*, x-ratelimit-*, ratelimit-*,
 *      x-rate-limit-*; a window with something remaining does not bind
 *   3. RetryInfo.retryDelay of a Google error, then JSON members that say it in so many words
 *   4. the message: "try again in 6.5s", "retry after 7 seconds", "请在 30 秒后重试"
 * Malformed and negative numbers give nothing. A moment counts from the reply's Date, without one
 * from our own clock; one in the past gives 0. Pure. */
#ifndef QCC_COMMON_POLICY_CLASSIFY_RETRY_AFTER_H
#define QCC_COMMON_POLICY_CLASSIFY_RETRY_AFTER_H

#include "common/policy/classify/classify_evidence.h"

/* Longer waits are cut to this, so that a time plus a wait never overflows. The caller's policy
 * sets the sensible bound. */
#define RETRY_AFTER_MAX_MS INT64_C(1000000000000000)

/* The wait in milliseconds; -1: the reply names none. `headers_only` leaves out all but 1: a reply
 * that is neither a limit nor transient names times in other senses ("if you recently fixed this,
 * wait 5 minutes"). wall_now_ms may be negative: not known. */
int64_t retry_after_read(const struct evidence *ev, bool headers_only, int64_t wall_now_ms);

/* Whether a JSON member of that name (lower-case letters and digits) names a wait. */
bool retry_after_member(struct str name);

#endif
