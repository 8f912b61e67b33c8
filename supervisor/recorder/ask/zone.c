#include "supervisor/recorder/ask/zone.h"

enum { HOUR = 3600, DAY = 86400, WEST_MAX = 12 * HOUR, EAST_MAX = 14 * HOUR };

/* The week that holds 1970-01-01, a Thursday, began three days before. */
enum { WEEK_SHIFT = 3 };

/* ---- reading */

static bool offset_parse(struct str s, int32_t *east_s)
{
    bool west = s.n && s.p[0] == '-';
    uint64_t minutes;
    if (!str_to_u64(west ? str_make(s.p + 1, s.n - 1) : s, EAST_MAX / 60, &minutes))
        return false;
    *east_s = (int32_t)minutes * (west ? -60 : 60);
    return *east_s >= -WEST_MAX && *east_s % ZONE_QUARTER == 0;
}

bool zone_parse(struct zone *z, struct str s)
{
    *z = (struct zone){0};
    for (;;) {
        const char *comma = memchr(s.p, ',', s.n);
        struct str one = str_make(s.p, comma ? (size_t)(comma - s.p) : s.n);
        const char *colon = memchr(one.p, ':', one.n);
        uint64_t from = 0;
        if (z->n == ZONE_SPANS || (colon != NULL) != (z->n > 0))
            return false;
        if (colon) {
            size_t n = (size_t)(colon - one.p);
            if (!str_to_u64(str_make(one.p, n), INT64_C(253402300799), &from) ||
                from % ZONE_QUARTER != 0 || (z->n > 1 && (int64_t)from <= z->v[z->n - 1].from_s))
                return false;
            one = str_make(colon + 1, one.n - n - 1);
        }
        z->v[z->n].from_s = (int64_t)from;
        if (!offset_parse(one, &z->v[z->n].east_s))
            return false;
        z->n++;
        if (!comma)
            return true;
        s = str_make(comma + 1, (size_t)(s.p + s.n - comma) - 1);
    }
}

/* ---- spans */

/* The index of the span that holds then. */
static size_t span_at(const struct zone *z, int64_t at_s)
{
    size_t i = z->n ? z->n - 1 : 0;
    while (i && z->v[i].from_s > at_s)
        i--;
    return i;
}

static int64_t span_end(const struct zone *z, size_t i)
{
    return i + 1 < z->n ? z->v[i + 1].from_s : INT64_MAX;
}

static int64_t zone_east(const struct zone *z, int64_t at_s)
{
    return z->v[span_at(z, at_s)].east_s;
}

/* ---- the calendar, over seconds of a clock on the wall */

static int64_t floor_div(int64_t v, int64_t by)
{
    return v / by - (v % by < 0);
}

/* Days since 1970-01-01 of the first of a month, counted from January of the year 0: by years that
 * begin in March, whose leap day is the last (proleptic Gregorian). */
static int64_t days_of_month(int64_t months)
{
    int64_t since_march = months - 2;
    int64_t year = floor_div(since_march, 12), month = since_march - 12 * year;
    int64_t days = 365 * year + floor_div(year, 4) - floor_div(year, 100) + floor_div(year, 400) +
                   (153 * month + 2) / 5;
    return days - 719468;
}

/* The month, counted from January of the year 0, in which the day lies. */
static int64_t month_of_day(int64_t days)
{
    int64_t month =
        floor_div((days + 719528) * 4800, 146097); /* by the mean length, then put right */
    while (days_of_month(month) > days)
        month--;
    while (days_of_month(month + 1) <= days)
        month++;
    return month;
}

/* The number of the bucket by the clock on the wall, and the second at which a bucket begins. */
static int64_t number_of(struct zone_step step, int64_t wall)
{
    switch (step.unit) {
    case ZONE_SECONDS:
        return floor_div(wall, step.seconds);
    case ZONE_WEEK:
        return floor_div(floor_div(wall, DAY) + WEEK_SHIFT, 7);
    case ZONE_MONTH:
        return month_of_day(floor_div(wall, DAY));
    }
    return 0;
}

static int64_t begin_of(struct zone_step step, int64_t number)
{
    switch (step.unit) {
    case ZONE_SECONDS:
        return number * step.seconds;
    case ZONE_WEEK:
        return (number * 7 - WEEK_SHIFT) * DAY;
    case ZONE_MONTH:
        return days_of_month(number) * DAY;
    }
    return 0;
}

/* ---- buckets */

/* Whether the clock, set back to a whole step, begins that step once more: an hour that comes
 * twice. */
static bool begins_again(struct zone_step step, int64_t wall)
{
    return step.unit == ZONE_SECONDS && step.seconds <= HOUR && wall % step.seconds == 0;
}

/* The first moment whose bucket has a higher number: the clock may jump over the begin of one. */
int64_t zone_next(const struct zone *z, struct zone_step step, int64_t at_s)
{
    size_t i = span_at(z, at_s);
    int64_t number = number_of(step, at_s + z->v[i].east_s), from = at_s;
    for (;;) {
        int64_t begin = begin_of(step, number + 1) - z->v[i].east_s;
        if (begin < from)
            begin = from;
        if (begin < span_end(z, i))
            return begin;
        from = span_end(z, i++);
        if (begins_again(step, from + z->v[i].east_s))
            return from;
    }
}

int64_t zone_floor(const struct zone *z, struct zone_step step, int64_t at_s)
{
    /* Two buckets back and forward again: a change inside a bucket moves its begin, by as much as
     * the easternmost and the westernmost offset are apart. */
    static const int64_t longest[] = {
        [ZONE_SECONDS] = 0, [ZONE_WEEK] = 7 * DAY, [ZONE_MONTH] = 31 * DAY};
    int64_t far = (step.unit == ZONE_SECONDS ? step.seconds : longest[step.unit]) + WEST_MAX +
                  EAST_MAX + HOUR;
    int64_t wall = at_s - far + zone_east(z, at_s - far);
    int64_t begin = begin_of(step, number_of(step, wall)) - zone_east(z, at_s - far);
    begin = zone_next(z, step, begin);
    for (int64_t next = begin; next <= at_s; next = zone_next(z, step, begin))
        begin = next;
    return begin;
}
