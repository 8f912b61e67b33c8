#include "common/policy/endpoint/rate.h"

void rate_avg_add(struct rate_avg *a, uint64_t value)
{
    uint32_t v = value > UINT32_MAX / 8 ? UINT32_MAX / 8 : value == 0 ? 1 : (uint32_t)value;
    if (a->eighths == 0)
        a->eighths = v * 8;
    else
        a->eighths = a->eighths - (a->eighths + 4) / 8 + v;
}

uint32_t rate_avg_get(const struct rate_avg *a)
{
    return a->eighths > 0 && a->eighths < 8 ? 1 : a->eighths / 8;
}
