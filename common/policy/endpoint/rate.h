/* rate: a moving average in a few bytes and without history. Pure. */
#ifndef QCC_POLICY_RATE_H
#define QCC_POLICY_RATE_H

#include "common/base/base.h"

/* Average of the last few values, the newest counting 1/8. Zero bytes: nothing measured. */
struct rate_avg {
    uint32_t eighths; /* the average times 8: the rest of a division is not lost */
};

/* Takes in a value, for instance microseconds to the first byte; at most 2^29-1 counts. */
void rate_avg_add(struct rate_avg *a, uint64_t value);

/* The average; 0 when nothing was measured (a measured one is at least 1). */
uint32_t rate_avg_get(const struct rate_avg *a);

#endif
