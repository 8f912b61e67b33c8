/* range: which time a question is about, and the buckets it is cut into: the parameters since,
 * until, step and zone, read and checked. Pure.
 *
 * since and until are widened to whole buckets; step=none makes one of all. Sums of a quarter of an
 * hour reach back RANGE_QUARTERS; what is older is there by the hour, and in zones off the full
 * hour buckets are cut at the hour. */
#ifndef QCC_SUPERVISOR_RECORDER_ASK_RANGE_H
#define QCC_SUPERVISOR_RECORDER_ASK_RANGE_H

#include "common/base/err.h"
#include "supervisor/recorder/ask/zone.h"

enum {
    RANGE_BUCKETS = 2000, /* at most */
    RANGE_FEW = 120,      /* buckets at most, where the asker names no step */
    RANGE_ARG = 512,      /* bytes of a parameter */
    RANGE_QUARTERS_D = 35 /* days that are kept by the quarter of an hour */
};

struct range {
    struct zone zone;
    struct zone_step step;
    bool one;        /* all is one bucket, of quarters of an hour or full hours */
    bool rounded;    /* some bucket is cut at the hour, not where it begins in the zone */
    bool by_quarter; /* some bucket begins within an hour */
    /* From here on sums by the quarter of an hour are there; a full hour. */
    int64_t quarters_from_s;
    size_t n;
    /* Begins of the n buckets, ascending, and the end of the last: of their data, which is cut at
     * the hour where there are no quarters, and as the zone has them, which the answer says. */
    int64_t at_s[RANGE_BUCKETS + 1], said_s[RANGE_BUCKETS + 1];
};

/* What a question allows. */
struct range_rules {
    struct zone_step
        step;         /* seconds 0: the parameter step sets it, or else the length of the range */
    int64_t span_s;   /* how far `since` lies back where it is not given */
    int64_t least_s;  /* smallest step: ZONE_QUARTER, or an hour for what is kept by the hour */
    int64_t oldest_s; /* nothing is kept from before: `since` is this one in a range of more than
                       * 400 days, or all in one, or of too many buckets otherwise */
};

/* Reads the range out of the parameters of a question. now_s: Unix time. False: *e names the
 * parameter and what it takes. */
bool range_read(struct range *r, struct str arg, const struct range_rules *rules, int64_t now_s,
                struct err *e) MUST_CHECK;

/* The bucket in which the moment lies; it must be within the range. hint: the result of the call
 * before, 0 at first: moments that ascend are found at once. */
size_t range_bucket(const struct range *r, int64_t at_s, size_t hint);

/* Seconds of a step as the answer has them; 0: a week, a month, or all in one. */
int64_t range_step_s(const struct range *r);

#endif
