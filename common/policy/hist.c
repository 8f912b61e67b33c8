#include "common/policy/hist.h"

const uint32_t hist_bound_ms[HIST_BUCKETS - 1] = {
    1,     2,     3,     5,     7,     10,     15,     20,     30,     50,     70,   100,
    150,   200,   300,   500,   700,   1000,   1500,   2000,   3000,   5000,   7000, 10000,
    15000, 20000, 30000, 50000, 70000, 100000, 150000, 200000, 300000, 600000,
};

unsigned hist_bucket(uint64_t us)
{
    unsigned low = 0, high = HIST_BUCKETS - 1;
    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (us <= (uint64_t)hist_bound_ms[mid] * 1000)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

int64_t hist_quantile(const uint64_t count[HIST_BUCKETS], unsigned permille)
{
    uint64_t all = 0, below = 0;
    for (unsigned i = 0; i < HIST_BUCKETS; i++)
        all += count[i];
    if (all == 0)
        return -1;
    uint64_t want = all / 1000 * permille + all % 1000 * permille / 1000;
    for (unsigned i = 0; i < HIST_BUCKETS - 1; i++) {
        if (below + count[i] > want || (count[i] && below + count[i] == all)) {
            int64_t from = i ? (int64_t)hist_bound_ms[i - 1] * 1000 : 0;
            int64_t to = (int64_t)hist_bound_ms[i] * 1000;
            double part = ((double)(want - below) + 0.5) / (double)count[i];
            return from + (int64_t)((double)(to - from) * (part > 1 ? 1 : part));
        }
        below += count[i];
    }
    return (int64_t)hist_bound_ms[HIST_BUCKETS - 2] * 1000;
}
