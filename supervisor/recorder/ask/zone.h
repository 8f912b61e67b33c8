/* zone: a time zone as minutes east of UTC with its changes, and the moments at which its hours,
 * days, weeks and months begin. Pure: knows no database of zones; the asker says what holds. */
#ifndef QCC_SUPERVISOR_RECORDER_ASK_ZONE_H
#define QCC_SUPERVISOR_RECORDER_ASK_ZONE_H

#include "common/base/base.h"
#include "common/base/str.h"

enum { ZONE_SPANS = 24, ZONE_QUARTER = 900 };

/* Zero bytes are UTC. */
struct zone {
    struct {
        int64_t from_s; /* Unix time; of the first span it is of no matter */
        int32_t east_s; /* seconds east of UTC, a multiple of ZONE_QUARTER */
    } v[ZONE_SPANS];
    size_t n;
};

/* What a bucket is: so many seconds by the clock of the zone, or a week from Monday on, or a
 * month. */
enum zone_unit { ZONE_SECONDS, ZONE_WEEK, ZONE_MONTH };

struct zone_step {
    enum zone_unit unit;
    int64_t seconds; /* of ZONE_SECONDS: 900, or a part of a day in whole hours, or a day */
};

/* Reads "60,1774746000:120": minutes east of UTC, then changes in the order of time. False: it is
 * no such list, an offset is no multiple of 15 minutes from -12:00 to +14:00, a change is none of a
 * quarter of an hour, or there are more than ZONE_SPANS. */
bool zone_parse(struct zone *z, struct str s) MUST_CHECK;

/* The begin of the bucket in which the moment lies. Hours that come twice are two buckets; a day of
 * 23 or 25 hours is one. at_s: from ten years before 1970 to the year 9999. */
int64_t zone_floor(const struct zone *z, struct zone_step step, int64_t at_s);

/* The begin of the bucket that follows the one in which the moment lies. */
int64_t zone_next(const struct zone *z, struct zone_step step, int64_t at_s);

#endif
