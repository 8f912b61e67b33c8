/* range: which time a question is about, the buckets it makes, and what it refuses. */
#include "supervisor/recorder/ask/range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { HOUR = 3600, DAY = 86400 };

#define NOW                                                                                        \
    INT64_C(1792934130) /* 2026-10-25 13:15:30 UTC; the day of the change in Central Europe */

static struct range r;
static const struct range_rules any = {.span_s = 7 * DAY, .least_s = ZONE_QUARTER};
static const struct range_rules days = {
    .step = {ZONE_SECONDS, DAY}, .span_s = 7 * DAY, .least_s = ZONE_QUARTER};
static const struct range_rules months = {
    .step = {ZONE_MONTH, 0}, .span_s = 365 * DAY, .least_s = ZONE_QUARTER};
static const struct range_rules hourly = {.span_s = DAY, .least_s = HOUR};

static void takes(const char *arg, const struct range_rules *rules)
{
    struct err e;
    if (!range_read(&r, str_c(arg), rules, NOW, &e))
        fail_msg("%s: %s", arg, e.msg);
    assert_true(r.n > 0 && r.n <= RANGE_BUCKETS);
    for (size_t i = 0; i < r.n; i++)
        assert_true(r.at_s[i] < r.at_s[i + 1]);
}

/* The refusal names the parameter first. */
static void refuses(const char *arg, const struct range_rules *rules, const char *parameter)
{
    struct err e;
    if (range_read(&r, str_c(arg), rules, NOW, &e))
        fail_msg("taken: %s", arg);
    size_t n = strlen(parameter);
    if (strncmp(e.msg, parameter, n) != 0 || e.msg[n] != ' ')
        fail_msg("%s: %s", arg, e.msg);
}

static void what_is_refused(void **state)
{
    (void)state;
    static const char *const bad[][2] = {{"since=x", "since"},
                                         {"since=", "since"},
                                         {"since=-5", "since"},
                                         {"since=1.5", "since"},
                                         {"since=7y", "since"},
                                         {"until=7x", "until"},
                                         {"since=%zz", "since"},
                                         {"until=%0a", "until"},
                                         {"since=1d&until=2d", "until"},
                                         {"since=1d&until=1d", "until"},
                                         {"since=1792934131", "since"},
                                         {"step=1", "step"},
                                         {"step=901", "step"},
                                         {"step=", "step"},
                                         {"step=day", "step"},
                                         {"step=604800", "step"},
                                         {"zone=", "zone"},
                                         {"zone=CET", "zone"},
                                         {"zone=7", "zone"},
                                         {"zone=900", "zone"},
                                         {"zone=60,5:60", "zone"},
                                         {"since=0", "since"},
                                         {"since=100d&step=3600", "since"},
                                         {"since=36d&step=900", "since"},
                                         {"since=99999999d", "since"}};
    char longer[600];
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        refuses(bad[i][0], &any, bad[i][1]);
    refuses("step=3600", &days, "step");
    refuses("step=900", &hourly, "step");
    refuses("since=0", &days, "since");
    memset(longer, '1', sizeof longer);
    memcpy(longer, "zone=", 5);
    longer[sizeof longer - 1] = '\0';
    refuses(longer, &any, "zone");
}

static void defaults(void **state)
{
    (void)state;
    takes("", &any);
    assert_int_equal(r.step.seconds, 6 * HOUR);
    assert_int_equal(r.at_s[0], NOW - 7 * DAY - (NOW - 7 * DAY) % (6 * HOUR));
    assert_int_equal(r.at_s[r.n], NOW + 6 * HOUR - NOW % (6 * HOUR));
    takes("since=24h", &any);
    assert_int_equal(r.step.seconds, ZONE_QUARTER);
    assert_true(r.by_quarter && !r.rounded);
    takes("since=29h", &any);
    assert_int_equal(r.step.seconds, ZONE_QUARTER);
    takes("since=31h", &any);
    assert_int_equal(r.step.seconds, HOUR);
    assert_false(r.by_quarter);
    takes("since=30d", &any);
    assert_true(r.n <= RANGE_FEW + 1);
    takes("since=1826d", &any);
    assert_int_equal(r.step.seconds, DAY);
    takes("since=36d&until=35d", &any); /* no quarters there */
    assert_int_equal(r.step.seconds, HOUR);
    takes("since=1d&until=99999999999", &any);
    assert_int_equal(r.at_s[r.n], NOW + ZONE_QUARTER - NOW % ZONE_QUARTER);
    takes("since=20d&step=900", &any);
    takes("since=1h", &hourly);
    assert_int_equal(r.n, 2);
    takes("since=0", &months);
    assert_int_equal(r.at_s[0], 0);
}

static void all_in_one(void **state)
{
    (void)state;
    takes("since=400d&step=none", &any);
    assert_true(r.n == 1 && !r.by_quarter && range_step_s(&r) == 0);
    assert_int_equal(r.at_s[0] % HOUR, 0);
    assert_int_equal(r.at_s[1], NOW - NOW % HOUR + HOUR);
    takes("since=5h&until=1h&step=none&zone=345", &any);
    assert_true(r.n == 1 && r.by_quarter && !r.rounded);
    assert_int_equal(r.at_s[1] - r.at_s[0], 4 * HOUR + ZONE_QUARTER);
    takes("since=5h&step=none", &hourly);
    assert_true(!r.by_quarter);
    refuses("step=none", &days, "step");
}

/* What is not kept is not asked for. */
static void since_is_bounded(void **state)
{
    (void)state;
    struct range_rules old = any;
    old.oldest_s = NOW - 50 * DAY;
    takes("since=0&step=3600", &old);
    assert_int_equal(r.at_s[0], NOW - 50 * DAY - (NOW - 50 * DAY) % HOUR);
    takes("since=20d&step=900", &old);
    takes("since=401d&until=80d", &old);
    assert_int_equal(r.n, 1);
    /* a range of usual length is that asked for: what is not known stands in it as a gap */
    takes("since=90d&until=80d&step=86400", &old);
    assert_int_equal(r.n, 11);
}

static void a_change(void **state)
{
    (void)state;
    takes("since=1792800000&zone=120,1792890000:60", &days);
    assert_int_equal(r.n, 2);
    assert_int_equal(r.at_s[0], 1792792800);
    assert_int_equal(r.at_s[1], 1792879200);
    assert_int_equal(r.at_s[2], 1792879200 + 25 * HOUR);
    takes("since=1792886400&until=1792893600&step=3600&zone=120,1792890000:60", &any);
    assert_int_equal(r.n, 2);
    takes("since=1767222000&zone=60,1774746000:120,1792890000:60", &months);
    assert_int_equal(r.n, 10);
    assert_int_equal(r.at_s[0], 1767222000);
    assert_int_equal(r.at_s[3], 1774994400);  /* April */
    assert_int_equal(r.at_s[10], 1793487600); /* November */
}

static void half_hours(void **state)
{
    (void)state;
    takes("since=3d&zone=330", &days);
    assert_true(r.by_quarter && !r.rounded);
    assert_int_equal(r.n, 4);
    assert_int_equal(r.at_s[0] % DAY, DAY - 330 * 60);
    /* what is older than the quarters is cut at the hour */
    takes("since=60d&zone=330", &days);
    assert_true(r.by_quarter && r.rounded);
    assert_int_equal(r.at_s[0] % DAY, DAY - 330 * 60 - 1800);
    assert_int_equal(r.at_s[r.n] % DAY, DAY - 330 * 60);
    for (size_t i = 0; i <= r.n; i++) /* and said to begin at midnight */
        assert_int_equal(r.said_s[i] % DAY, DAY - 330 * 60);
    assert_int_equal(r.quarters_from_s % HOUR, 0);
    assert_true(r.quarters_from_s >= NOW - RANGE_QUARTERS_D * DAY);
    for (size_t i = 0; i <= r.n; i++)
        assert_true(r.at_s[i] >= r.quarters_from_s || r.at_s[i] % HOUR == 0);
    takes("since=60d&until=40d&zone=345", &any);
    assert_true(!r.by_quarter && r.rounded);
    takes("since=3h&zone=345", &hourly);
    assert_true(!r.by_quarter && r.rounded);
    takes("since=200d&until=60d&zone=345", &months);
    for (size_t i = 0; i <= r.n; i++) {
        assert_int_equal(r.said_s[i] % DAY, DAY - 345 * 60);
        assert_int_equal(r.said_s[i] - r.at_s[i], 900);
    }
}

static void buckets(void **state)
{
    (void)state;
    takes("since=10d&zone=120,1792890000:60", &days);
    size_t hint = 0;
    for (size_t i = 0; i < r.n; i++) {
        hint = range_bucket(&r, r.at_s[i], hint);
        assert_int_equal(hint, i);
        hint = range_bucket(&r, r.at_s[i + 1] - 1, hint);
        assert_int_equal(hint, i);
    }
    assert_int_equal(range_bucket(&r, r.at_s[0], r.n - 1), 0);
    assert_int_equal(range_bucket(&r, r.at_s[1], RANGE_BUCKETS + 5), 1);
    assert_int_equal(range_step_s(&r), DAY);
    takes("", &months);
    assert_int_equal(range_step_s(&r), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_refused),  cmocka_unit_test(defaults),
        cmocka_unit_test(a_change),         cmocka_unit_test(all_in_one),
        cmocka_unit_test(since_is_bounded), cmocka_unit_test(half_hours),
        cmocka_unit_test(buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
