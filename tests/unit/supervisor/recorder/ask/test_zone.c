/* zone: what a zone may be, and where its hours, days, weeks and months begin: held against the C
 * library's idea of the same zones, at random moments and around every change. */
#include "supervisor/recorder/ask/zone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

enum { HOUR = 3600, DAY = 86400 };

/* 2026-03-29 01:00 UTC and 2026-10-25 01:00 UTC: the changes of Central Europe. */
#define SPRING INT64_C(1774746000)
#define AUTUMN INT64_C(1792890000)

static const struct zone_step quarter = {ZONE_SECONDS, ZONE_QUARTER}, hour = {ZONE_SECONDS, HOUR},
                              six = {ZONE_SECONDS, 6 * HOUR}, day = {ZONE_SECONDS, DAY},
                              week = {ZONE_WEEK, 0}, month = {ZONE_MONTH, 0};

static struct zone zone_of(const char *s)
{
    struct zone z;
    assert_true(zone_parse(&z, str_c(s)));
    return z;
}

static int64_t east_at(const struct zone *z, int64_t at)
{
    int64_t east = z->v[0].east_s;
    for (size_t i = 1; i < z->n && z->v[i].from_s <= at; i++)
        east = z->v[i].east_s;
    return east;
}

static void parsing(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "x",
                                      "60,",
                                      ",60",
                                      "60,120",
                                      "60,5:",
                                      "61",
                                      "-721",
                                      "-735",
                                      "855",
                                      "--60",
                                      "+60",
                                      "1774746000:120",
                                      "60,1:0",
                                      "60,900:90,900:60",
                                      "60,1800:0,900:60",
                                      "60 ",
                                      "60,-900:0",
                                      "6e1",
                                      "60,253402300800:0",
                                      "99999999999999999999"};
    struct zone z;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (zone_parse(&z, str_c(bad[i])))
            fail_msg("taken: %s", bad[i]);
    z = zone_of("60,1774746000:120,1792890000:60");
    assert_int_equal(z.n, 3);
    assert_int_equal(east_at(&z, SPRING - 1), HOUR);
    assert_int_equal(east_at(&z, SPRING), 2 * HOUR);
    assert_int_equal(east_at(&z, AUTUMN), HOUR);
    assert_int_equal(east_at(&z, 0), HOUR);
    z = zone_of("-210");
    assert_int_equal(east_at(&z, 5), -210 * 60);
    z = (struct zone){0};
    assert_int_equal(east_at(&z, SPRING), 0);
    char many[1024] = "0";
    size_t n = 1;
    for (int i = 1; i < ZONE_SPANS; i++)
        n += (size_t)snprintf(many + n, sizeof many - n, ",%d:60", i * 900);
    assert_true(zone_parse(&z, str_make(many, n)));
    n += (size_t)snprintf(many + n, sizeof many - n, ",%d:60", ZONE_SPANS * 900);
    assert_false(zone_parse(&z, str_make(many, n)));
}

static void is(const struct zone *z, struct zone_step step, int64_t at, int64_t begin, int64_t next)
{
    assert_int_equal(zone_floor(z, step, at), begin);
    assert_int_equal(zone_next(z, step, at), next);
}

static void days_of_a_change(void **state)
{
    (void)state;
    struct zone z = zone_of("60,1774746000:120,1792890000:60");
    /* the day of 23 hours, that of 25, and its hour that comes twice */
    is(&z, day, SPRING, SPRING - 2 * HOUR, SPRING + 21 * HOUR);
    is(&z, day, SPRING + 21 * HOUR - 1, SPRING - 2 * HOUR, SPRING + 21 * HOUR);
    is(&z, day, AUTUMN + 5, AUTUMN - 3 * HOUR, AUTUMN + 22 * HOUR);
    is(&z, hour, AUTUMN - 1, AUTUMN - HOUR, AUTUMN);
    is(&z, hour, AUTUMN, AUTUMN, AUTUMN + HOUR);
    is(&z, hour, SPRING - 1, SPRING - HOUR, SPRING);
    is(&z, six, SPRING, SPRING - 2 * HOUR, SPRING + 3 * HOUR);
    is(&z, six, AUTUMN, AUTUMN - 3 * HOUR, AUTUMN + 4 * HOUR);
    is(&z, quarter, AUTUMN + 1000, AUTUMN + 900, AUTUMN + 1800);
    /* March of 2026 begins on a Sunday; its weeks on Mondays */
    is(&z, month, SPRING, 1772319600, 1774994400);
    is(&z, week, SPRING, SPRING - 2 * HOUR - 6 * DAY, SPRING + 21 * HOUR);
}

static void half_hours(void **state)
{
    (void)state;
    struct zone z = zone_of("330"), nepal = zone_of("345");
    is(&z, hour, 1774746000, 1774746000 - 1800, 1774746000 + 1800);
    is(&z, day, 1774746000, 1774722600, 1774722600 + DAY);
    is(&nepal, hour, 1774746000, 1774746000 - 2700, 1774746000 + 900);
}

static void month_ends(void **state)
{
    (void)state;
    struct zone utc = {0};
    is(&utc, month, 1709164800, 1706745600, 1709251200); /* 2024-02-29: until March */
    is(&utc, month, 1709251199, 1706745600, 1709251200);
    is(&utc, month, 1709251200, 1709251200, 1711929600);
    is(&utc, month, 1767225599, 1764547200, 1767225600); /* the last second of 2025 */
    is(&utc, month, 951782400, 949363200, 951868800);    /* 2000-02-29 */
    is(&utc, month, 4107542399, 4105123200, 4107542400); /* 2100: no 29th of February */
    is(&utc, week, 0, -3 * DAY, 4 * DAY);
    is(&utc, month, 0, 0, 31 * DAY);
    is(&utc, month, -1, -31 * DAY, 0);
}

/* ---- against the C library */

static int64_t east_of(int64_t at)
{
    time_t t = (time_t)at;
    struct tm tm;
    localtime_r(&t, &tm);
    return tm.tm_gmtoff;
}

static struct zone zone_by_libc(int64_t since, int64_t until)
{
    struct zone z = {.n = 1};
    z.v[0].east_s = (int32_t)east_of(since);
    for (int64_t at = since; at < until && z.n < ZONE_SPANS; at += ZONE_QUARTER)
        if (east_of(at) != z.v[z.n - 1].east_s) {
            z.v[z.n].from_s = at;
            z.v[z.n++].east_s = (int32_t)east_of(at);
        }
    return z;
}

/* A number that two moments share if they are of the same day, week, or month. */
static int64_t number_by_libc(struct zone_step step, int64_t at)
{
    time_t t = (time_t)at;
    struct tm tm;
    localtime_r(&t, &tm);
    if (step.unit == ZONE_MONTH)
        return tm.tm_year * 12 + tm.tm_mon;
    tm.tm_gmtoff = 0;
    tm.tm_isdst = 0;
    int64_t wall = timegm(&tm);
    return step.unit == ZONE_WEEK ? (wall / DAY + 3) / 7 : wall / step.seconds;
}

static void hold(const struct zone *z, struct zone_step step, int64_t at)
{
    int64_t begin = zone_floor(z, step, at), next = zone_next(z, step, at);
    int64_t number = number_by_libc(step, at);
    assert_true(begin <= at && at < next && begin % ZONE_QUARTER == 0 && next % ZONE_QUARTER == 0);
    assert_int_equal(zone_floor(z, step, next), next);
    assert_int_equal(zone_next(z, step, begin), next);
    if (step.unit == ZONE_SECONDS && step.seconds <= HOUR) {
        assert_true(next - begin <= step.seconds + HOUR / 2);
        return;
    }
    assert_int_equal(number_by_libc(step, begin), number);
    assert_int_equal(number_by_libc(step, next - 1), number);
    assert_true(number_by_libc(step, begin - 1) < number);
    assert_true(number_by_libc(step, next) > number);
}

static void as_the_library_has_it(void **state)
{
    (void)state;
    /* Central Europe; the east of the US; Cuba, which changes at midnight; Lord Howe, by half an
     * hour; India; Nepal; Chile, whose midnight is left out; Lebanon the same, at 0:00 of a day. */
    static const char *const zones[] = {"CET-1CEST,M3.5.0,M10.5.0/3",
                                        "EST5EDT,M3.2.0,M11.1.0",
                                        "CST5CDT,M3.2.0/0,M11.1.0/1",
                                        "LHST-10:30LHDT-11,M10.1.0,M4.1.0",
                                        "IST-5:30",
                                        "NPT-5:45",
                                        "CLT4CLST,M9.1.6/24,M4.1.6/24",
                                        "EET-2EEST,M3.5.0/0,M10.5.0/0",
                                        "NST3:30NDT,M3.2.0,M11.1.0"};
    const struct zone_step all[] = {quarter, hour, six, day, week, month};
    const int64_t since = 1735689600, until = since + 2 * 365 * DAY;
    unsigned seed = 7;
    for (size_t i = 0; i < COUNT_OF(zones); i++) {
        setenv("TZ", zones[i], 1);
        tzset();
        struct zone z = zone_by_libc(since, until);
        for (size_t s = 0; s < COUNT_OF(all); s++) {
            for (int k = 0; k < 500; k++)
                hold(&z, all[s], since + 40 * DAY + rand_r(&seed) % (600 * DAY));
            for (size_t c = 1; c < z.n; c++)
                for (int64_t at = z.v[c].from_s - 2 * DAY; at < z.v[c].from_s + 2 * DAY; at += 450)
                    if (at > since + 40 * DAY && at < until - 40 * DAY)
                        hold(&z, all[s], at);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parsing),
        cmocka_unit_test(days_of_a_change),
        cmocka_unit_test(half_hours),
        cmocka_unit_test(month_ends),
        cmocka_unit_test(as_the_library_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
