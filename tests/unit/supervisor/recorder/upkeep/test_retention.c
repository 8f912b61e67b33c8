/* retention: what may be dropped, by age and by size, and that no clock is trusted; clock_watch and
 * wal_watch beside it. */
#include "supervisor/recorder/upkeep/clock_watch.h"
#include "supervisor/recorder/upkeep/retention.h"
#include "supervisor/recorder/upkeep/wal_watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)
#define NOW (INT64_C(1790000000000))
#define MIB (INT64_C(1) << 20)

static const struct retention_conf conf = {
    .keep_requests_ms = 30 * DAY, .keep_usage_ms = 400 * DAY, .max_size = 1024 * MIB};

/* `ms` after the start. */
static struct retention_time after(int64_t ms)
{
    return (struct retention_time){.wall_ms = NOW + ms, .boot_ms = 5000 + ms};
}

static struct retention begun(void)
{
    struct retention r;
    retention_start(&r, 5000);
    return r;
}

static void by_age(void **state)
{
    (void)state;
    struct retention r = begun();
    static const int64_t keep[RETAIN__COUNT] = {30 * DAY,  35 * DAY,  400 * DAY,
                                                400 * DAY, 400 * DAY, 400 * DAY};
    struct retention_time now = after(HOUR);
    for (unsigned t = 0; t < RETAIN__COUNT; t++) {
        int64_t limit = now.wall_ms - keep[t];
        assert_int_equal(retention_before(&r, &conf, t, 0, now), 0);
        assert_int_equal(retention_before(&r, &conf, t, limit, now), 0);
        assert_int_equal(retention_state(&r, now.boot_ms), HISTORY_KEEPS);
        assert_int_equal(retention_before(&r, &conf, t, limit - 1, now), limit);
        assert_int_equal(retention_state(&r, now.boot_ms), HISTORY_DROPS);
        assert_int_equal(retention_before(&r, &conf, t, limit, now), 0);
    }
    struct retention_conf brief = {.keep_requests_ms = HOUR, .keep_usage_ms = 2 * HOUR};
    r = begun();
    assert_int_equal(retention_before(&r, &brief, RETAIN_USAGE_15, NOW - 2 * HOUR, now),
                     now.wall_ms - 2 * HOUR);
}

/* Whatever the clock says: a day of data in an hour. */
static void a_day_an_hour(void **state)
{
    (void)state;
    struct retention r = begun();
    int64_t oldest = NOW - 300 * DAY;
    int hours = 0;
    for (int64_t ms = HOUR; oldest + DAY < NOW + ms - 30 * DAY; ms += 30000) {
        int64_t before = retention_before(&r, &conf, RETAIN_REQUEST, oldest, after(ms));
        if (before) {
            assert_true(before <= oldest + DAY);
            oldest = before;
            hours++;
            assert_int_equal(retention_before(&r, &conf, RETAIN_REQUEST, oldest, after(ms)), 0);
        }
        assert_true(oldest <= NOW - 300 * DAY + (ms / HOUR) * DAY);
    }
    assert_true(hours > 270 && hours < 290);
}

static void not_at_once_and_not_after_a_jump(void **state)
{
    (void)state;
    struct retention r = begun();
    int64_t old = NOW - 50 * DAY;
    assert_int_equal(retention_before(&r, &conf, RETAIN_REQUEST, old, after(599999)), 0);
    assert_int_equal(retention_state(&r, after(599999).boot_ms), HISTORY_YOUNG);
    assert_int_not_equal(retention_before(&r, &conf, RETAIN_REQUEST, old, after(600000)), 0);
    retention_hold(&r, after(HOUR).boot_ms);
    assert_int_equal(retention_before(&r, &conf, RETAIN_REQUEST, old, after(25 * HOUR - 1)), 0);
    assert_int_equal(retention_state(&r, after(2 * HOUR).boot_ms), HISTORY_HELD);
    assert_int_not_equal(retention_before(&r, &conf, RETAIN_REQUEST, old, after(25 * HOUR)), 0);
}

static void by_size(void **state)
{
    (void)state;
    struct retention r = begun();
    struct retention_time now = after(HOUR);
    int64_t oldest = NOW - 10 * DAY;
    retention_size(&r, &conf, 900 * MIB, oldest, now);
    assert_int_equal(retention_before(&r, &conf, RETAIN_REQUEST, oldest, now), 0);
    /* the oldest day, as a whole, also when there is room again at half of it */
    retention_size(&r, &conf, 1000 * MIB, oldest, now);
    assert_false(r.rows_off);
    assert_int_equal(retention_before(&r, &conf, RETAIN_REQUEST, oldest, now), oldest + DAY);
    retention_size(&r, &conf, 900 * MIB, oldest + DAY / 2, now);
    assert_int_equal(retention_before(&r, &conf, RETAIN_REQUEST, oldest + DAY / 2, now),
                     oldest + DAY);
    retention_size(&r, &conf, 900 * MIB, oldest + DAY, now);
    assert_int_equal(retention_before(&r, &conf, RETAIN_REQUEST, oldest + DAY, now), 0);
    /* sums are not dropped for it */
    retention_size(&r, &conf, 1100 * MIB, oldest + DAY, now);
    assert_true(r.rows_off);
    assert_int_equal(retention_state(&r, now.boot_ms), HISTORY_FULL);
    assert_int_equal(retention_before(&r, &conf, RETAIN_USAGE_60, oldest, now), 0);
    /* down to one day */
    r = begun();
    retention_size(&r, &conf, 1100 * MIB, now.wall_ms - DAY, now);
    assert_int_equal(retention_before(&r, &conf, RETAIN_REQUEST, now.wall_ms - DAY, now), 0);
    assert_true(r.rows_off);
    retention_size(&r, &conf, 1000 * MIB, now.wall_ms - DAY, now);
    assert_true(r.rows_off);
    retention_size(&r, &conf, 959 * MIB, now.wall_ms - DAY, now);
    assert_false(r.rows_off);
    /* an hour less than two days: what is older than one */
    oldest = now.wall_ms - 2 * DAY + HOUR;
    retention_size(&r, &conf, 1000 * MIB, oldest, now);
    assert_int_equal(retention_before(&r, &conf, RETAIN_REQUEST, oldest, now), now.wall_ms - DAY);
}

/* While there is no room for rows a day goes each 10 minutes, where nothing speaks against the
 * clock; what is said of it. */
static void no_room_for_rows(void **state)
{
    (void)state;
    struct retention r = begun();
    struct err text;
    int64_t oldest = NOW - 10 * DAY;
    retention_size(&r, &conf, 1100 * MIB, oldest, after(0));
    assert_true(r.rows_off);
    retention_text(&r, 7, oldest, after(0), &text);
    assert_non_null(strstr(text.msg, ", 7 requests without a row; the oldest days of requests go, "
                                     "not in the first 10 minutes, now from 20"));
    assert_non_null(strstr(text.msg, "history.max_size since 20"));
    assert_int_equal(retention_before(&r, &conf, RETAIN_REQUEST, oldest, after(HOUR / 2)),
                     oldest + DAY);
    retention_text(&r, 7, oldest, after(HOUR / 2), &text);
    assert_non_null(strstr(text.msg, "go, one an hour, now"));
    oldest += DAY;
    retention_size(&r, &conf, 1100 * MIB, oldest, after(HOUR - 1));
    assert_int_equal(retention_before(&r, &conf, RETAIN_REQUEST, oldest, after(HOUR - 1)), 0);
    assert_int_equal(retention_before(&r, &conf, RETAIN_REQUEST, oldest, after(HOUR)),
                     oldest + DAY);
    retention_text(&r, 7, oldest, after(HOUR), &text);
    assert_non_null(strstr(text.msg, "one each 10 minutes"));
    oldest += DAY;
    retention_size(&r, &conf, 1100 * MIB, oldest, after(HOUR));
    assert_int_equal(retention_before(&r, &conf, RETAIN_REQUEST, oldest, after(HOUR + 599999)), 0);
    assert_int_equal(retention_before(&r, &conf, RETAIN_REQUEST, oldest, after(HOUR + 600000)),
                     oldest + DAY);
    /* a clock that was set is not trusted, also when the wait for it is over */
    retention_hold(&r, after(HOUR + 600000).boot_ms);
    oldest += DAY;
    retention_text(&r, 7, oldest, after(2 * HOUR), &text);
    assert_non_null(strstr(text.msg, "not within 24 h after the clock was set"));
    retention_size(&r, &conf, 1100 * MIB, oldest, after(26 * HOUR));
    assert_int_equal(retention_before(&r, &conf, RETAIN_REQUEST, oldest, after(26 * HOUR)),
                     oldest + DAY);
    oldest += DAY;
    retention_size(&r, &conf, 1100 * MIB, oldest, after(26 * HOUR));
    assert_int_equal(retention_before(&r, &conf, RETAIN_REQUEST, oldest, after(27 * HOUR - 1)), 0);
    retention_size(&r, &conf, 900 * MIB, oldest + DAY, after(27 * HOUR));
    assert_false(r.rows_off);
}

static void the_clock(void **state)
{
    (void)state;
    struct clock_watch c = {0};
    struct err text;
    assert_int_equal(clock_watch_look(&c, NOW, 1000), 0);
    assert_int_equal(clock_watch_look(&c, NOW + 10 * DAY, 1000 + 10 * DAY), 0);
    assert_int_equal(clock_watch_look(&c, NOW + HOUR, 1000), 0);
    assert_int_equal(clock_watch_look(&c, NOW - HOUR, 1000), 0);
    assert_int_equal(clock_watch_look(&c, NOW + HOUR + 1, 1000), HOUR + 1);
    assert_int_equal(clock_watch_look(&c, NOW + HOUR + 1, 1000), 0);
    assert_int_equal(clock_watch_look(&c, 0, 1000), -NOW - HOUR - 1);
    clock_watch_text(HOUR + 25 * 60000, &text);
    assert_string_equal(text.msg, "the clock was set 1 h 25 min ahead");
    clock_watch_text(-3 * DAY - 2 * HOUR, &text);
    assert_string_equal(text.msg, "the clock was set 3 d 2 h back");
}

static void the_log(void **state)
{
    (void)state;
    struct wal_watch w = {0};
    uint64_t large = WAL_LARGE + 1;
    assert_false(wal_watch_look(&w, large, 1000));
    assert_false(wal_watch_look(&w, large, 1000 + WAL_HELD_MS - 1));
    assert_false(wal_watch_look(&w, WAL_LARGE, 1000 + WAL_HELD_MS - 1));
    assert_false(wal_watch_look(&w, large, 1000 + WAL_HELD_MS));
    assert_true(wal_watch_look(&w, large, 1000 + 2 * WAL_HELD_MS));
    assert_false(wal_watch_look(&w, large, 1000 + 3 * WAL_HELD_MS));
    assert_false(wal_watch_look(&w, 0, 2000 + 3 * WAL_HELD_MS));
    assert_false(wal_watch_look(&w, large, 3000 + 3 * WAL_HELD_MS));
    assert_false(wal_watch_look(&w, large, 3000 + 5 * WAL_HELD_MS));
    assert_true(wal_watch_look(&w, large, 1000 + 2 * WAL_HELD_MS + WAL_AGAIN_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_age),           cmocka_unit_test(a_day_an_hour),
        cmocka_unit_test(by_size),          cmocka_unit_test(not_at_once_and_not_after_a_jump),
        cmocka_unit_test(no_room_for_rows), cmocka_unit_test(the_clock),
        cmocka_unit_test(the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
