#include "supervisor/recorder/upkeep/retention.h"

#include "common/base/clock.h"

#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)

enum { YOUNG_MS = 600000, QUARTER_DAYS = 35, SIZE_PARTS = 16 };

void retention_start(struct retention *r, int64_t boot_ms)
{
    *r = (struct retention){.young_until_ms = boot_ms + YOUNG_MS};
}

void retention_hold(struct retention *r, int64_t boot_ms)
{
    r->held_until_ms = boot_ms + DAY;
}

static int64_t min_ms(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void retention_size(struct retention *r, const struct retention_conf *c, uint64_t size,
                    int64_t oldest_ms, struct retention_time now)
{
    /* A day goes before the bound is reached, so that rows need not stop until it has gone. */
    uint64_t high = c->max_size - c->max_size / SIZE_PARTS;
    if (size >= c->max_size && !r->rows_off)
        r->off_since_ms = now.wall_ms;
    if (size >= c->max_size)
        r->rows_off = true;
    else if (size < high)
        r->rows_off = false;
    if (r->day_end_ms && oldest_ms && oldest_ms < r->day_end_ms)
        return; /* that day is not gone yet */
    bool drop = size >= high && oldest_ms && oldest_ms < now.wall_ms - DAY;
    r->day_end_ms = drop ? min_ms(oldest_ms + DAY, now.wall_ms - DAY) : 0;
}

/* Rows before that time are too old. */
static int64_t limit_of(const struct retention *r, const struct retention_conf *c,
                        enum retention_table table, int64_t wall_ms)
{
    int64_t limit;
    switch (table) {
    case RETAIN_REQUEST:
        limit = wall_ms - c->keep_requests_ms;
        return limit > r->day_end_ms ? limit : r->day_end_ms;
    case RETAIN_USAGE_15:
        return wall_ms - min_ms(c->keep_usage_ms, QUARTER_DAYS * DAY);
    case RETAIN_USAGE_60:
    case RETAIN_SPEED_60:
    case RETAIN_TRIES_60:
    case RETAIN_EVENT:
    case RETAIN__COUNT:
        break;
    }
    return wall_ms - c->keep_usage_ms;
}

/* Boot time between two days of a table. */
static int64_t pace(const struct retention *r, enum retention_table table, int64_t boot_ms)
{
    bool sure = !r->held_until_ms && boot_ms - r->young_until_ms >= HOUR - YOUNG_MS;
    return table == RETAIN_REQUEST && r->rows_off && sure ? YOUNG_MS : HOUR;
}

int64_t retention_before(struct retention *r, const struct retention_conf *c,
                         enum retention_table table, int64_t oldest_ms, struct retention_time now)
{
    struct retention_hour *h = &r->hour[table];
    int64_t limit = limit_of(r, c, table, now.wall_ms);
    r->due[table] = oldest_ms && oldest_ms < limit;
    if (!r->due[table] || now.boot_ms < r->young_until_ms || now.boot_ms < r->held_until_ms)
        return 0;
    if (!h->began_ms || now.boot_ms - h->began_ms >= pace(r, table, now.boot_ms))
        *h = (struct retention_hour){.began_ms = now.boot_ms, .until_ms = oldest_ms + DAY};
    limit = min_ms(limit, h->until_ms);
    return oldest_ms < limit ? limit : 0;
}

void retention_text(const struct retention *r, uint64_t missed, int64_t oldest_ms,
                    struct retention_time now, struct err *text)
{
    char since[25], oldest[25];
    clock_format(r->off_since_ms, since);
    clock_format(oldest_ms, oldest);
    const char *when = now.boot_ms < r->held_until_ms    ? "not within 24 h after the clock was set"
                       : now.boot_ms < r->young_until_ms ? "not in the first 10 minutes"
                       : pace(r, RETAIN_REQUEST, now.boot_ms) == HOUR ? "one an hour"
                                                                      : "one each 10 minutes";
    if (!r->day_end_ms)
        err_set(text,
                "the file is at history.max_size since %s, %llu requests without a row; no"
                " whole days of requests are left that could go",
                since, (unsigned long long)missed);
    else
        err_set(text,
                "the file is at history.max_size since %s, %llu requests without a row; the"
                " oldest days of requests go, %s, now from %.10s",
                since, (unsigned long long)missed, when, oldest);
}

enum history_retention retention_state(const struct retention *r, int64_t boot_ms)
{
    bool due = false;
    for (size_t i = 0; i < RETAIN__COUNT; i++)
        due = due || r->due[i];
    if (r->rows_off)
        return HISTORY_FULL;
    if (boot_ms < r->held_until_ms)
        return HISTORY_HELD;
    if (boot_ms < r->young_until_ms)
        return HISTORY_YOUNG;
    return due ? HISTORY_DROPS : HISTORY_KEEPS;
}
