/* rate: a moving average in a few bytes and without history. Pure. */
#ifndef QCC_COMMON_POLICY_ENDPOINT_RATE_H
#define QCC_COMMON_POLICY_ENDPOINT_RATE_H

#include "common/base/base.h"

/* A moving average in which the newest value counts 1/8. Zero bytes: nothing measured. */
struct rate_avg {
    uint32_t eighths; /* the average times 8, so that the remainder of a division is not lost */
};

/* Takes in a value, for instance microseconds to the first byte; larger ones count as 2^29-1. */
static inline void rate_avg_add(struct rate_avg *a, uint64_t value)
{
    uint32_t v = value > UINT32_MAX / 8 ? UINT32_MAX / 8 : value == 0 ? 1 : (uint32_t)value;
    if (a->eighths == 0)
        a->eighths = v * 8;
    else
        a->eighths = a->eighths - (a->eighths + 4) / 8 + v;
}

/* The average, at least 1; 0 when nothing was measured. */
static inline uint32_t rate_avg_get(const struct rate_avg *a)
{
    return a->eighths > 0 && a->eighths < 8 ? 1 : a->eighths / 8;
}

#endif
