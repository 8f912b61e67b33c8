/* rate: moving averages in a few bytes and without history. Pure. */
#ifndef QCC_COMMON_POLICY_ENDPOINT_RATE_H
#define QCC_COMMON_POLICY_ENDPOINT_RATE_H

#include "common/base/base.h"

/* Average of the last few values, the newest counting 1/8. Zero bytes: nothing measured. */
struct rate_avg {
    uint32_t eighths; /* the average times 8: the rest of a division is not lost */
};

/* Takes in a value, for instance microseconds to the first byte; at most 2^29-1 counts. */
void rate_avg_add(struct rate_avg *a, uint64_t value);

/* The average; 0 when nothing was measured (a measured one is at least 1). */
uint32_t rate_avg_get(const struct rate_avg *a);

/* How much came within the last period, from two buckets: the running one, and the one before it as
 * far as it still reaches in. Zero bytes: nothing yet. One period for each counter, in ms. */
struct rate {
    int64_t start_ms; /* of the running bucket */
    uint64_t now, before;
};

void rate_add(struct rate *r, int64_t period_ms, int64_t now_ms, uint64_t n);
uint64_t rate_get(const struct rate *r, int64_t period_ms, int64_t now_ms);

#endif
