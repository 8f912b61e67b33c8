/* Fuzz target of zone.h: any text is refused, or is a zone whose offsets and changes are within
 * their bounds, and by which each moment lies in a bucket that begins and ends. */
#include "supervisor/recorder/ask/zone.h"
#include "tests/fuzz/fuzz.h"

enum { WEST_S = -12 * 3600, EAST_S = 14 * 3600 };
#define FIRST_S INT64_C(-315360000)
#define LAST_S INT64_C(253402300799)

static void buckets(const struct zone *z, int64_t at_s)
{
    static const struct zone_step steps[] = {{ZONE_SECONDS, 900},   {ZONE_SECONDS, 3600},
                                             {ZONE_SECONDS, 21600}, {ZONE_SECONDS, 86400},
                                             {ZONE_WEEK, 0},        {ZONE_MONTH, 0}};
    if (at_s < FIRST_S || at_s > LAST_S)
        return;
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        MUST(zone_floor(z, steps[i], at_s) <= at_s && zone_next(z, steps[i], at_s) > at_s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct zone z;
    char *p = fuzz_copy(data, size);
    if (zone_parse(&z, str_make(p, size))) {
        MUST(z.n >= 1 && z.n <= ZONE_SPANS);
        for (size_t i = 0; i < z.n; i++) {
            MUST(z.v[i].east_s >= WEST_S && z.v[i].east_s <= EAST_S);
            MUST(z.v[i].east_s % ZONE_QUARTER == 0);
            MUST(i < 2 || z.v[i].from_s > z.v[i - 1].from_s);
            for (int64_t d = -90000; d <= 90000; d += 4500)
                buckets(&z, z.v[i].from_s + d - 1);
        }
    }
    free(p);
    return 0;
}
