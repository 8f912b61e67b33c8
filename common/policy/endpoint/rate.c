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

/* The buckets as of now_ms. */
static struct rate at(const struct rate *r, int64_t period_ms, int64_t now_ms)
{
    struct rate x = *r;
    int64_t gone = now_ms - x.start_ms;
    if (gone < period_ms && (x.now | x.before))
        return x;
    x.before = gone < 2 * period_ms ? x.now : 0;
    x.now = 0;
    /* after a whole empty period the bucket begins now */
    x.start_ms = x.before ? x.start_ms + period_ms : now_ms;
    return x;
}

void rate_add(struct rate *r, int64_t period_ms, int64_t now_ms, uint64_t n)
{
    *r = at(r, period_ms, now_ms);
    r->now += n;
}

uint64_t rate_get(const struct rate *r, int64_t period_ms, int64_t now_ms)
{
    struct rate x = at(r, period_ms, now_ms);
    int64_t left = period_ms - (now_ms - x.start_ms);
    if (left > period_ms)
        left = period_ms;
    return x.now + (uint64_t)((double)x.before * (double)left / (double)period_ms);
}
