/* hist: a histogram of durations from a millisecond to some minutes, in buckets that grow by about
 * a half each, with round bounds: exact enough for a quantile, small enough for each endpoint.
 * Pure. */
#ifndef QCC_COMMON_POLICY_HIST_H
#define QCC_COMMON_POLICY_HIST_H

#include "common/base/base.h"

/* The number of buckets; the last one has no upper bound. */
enum { HIST_BUCKETS = 35 };

/* Upper bounds of all buckets but the last, in milliseconds; a value on the bound is within. */
extern const uint32_t hist_bound_ms[HIST_BUCKETS - 1];

/* The bucket of a duration. */
unsigned hist_bucket(uint64_t us);

/* The duration in microseconds below which `permille` of all are, spread evenly within a bucket;
 * what is above the last bound counts as the bound. -1: nothing was counted. */
int64_t hist_quantile(const uint64_t count[HIST_BUCKETS], unsigned permille);

#endif
