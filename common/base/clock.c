#include "common/base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_mono_ms(void)
{
    return us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_mono_us(void)
{
    return us(CLOCK_MONOTONIC);
}

int64_t clock_boot_ms(void)
{
    struct timespec t;
    /* Linux before 2.6.39 and some sandboxes do not have CLOCK_BOOTTIME */
    if (clock_gettime(CLOCK_BOOTTIME, &t) == -1)
        return clock_mono_ms();
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_suspended_ms(void)
{
    return clock_boot_ms() - clock_mono_ms();
}

int64_t clock_wall_ms(void)
{
    return us(CLOCK_REALTIME) / 1000;
}

void clock_format(int64_t wall_ms, char out[static 25])
{
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    char day[24];
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, 25, "%.19s.%03uZ", day, (unsigned)(wall_ms % 1000) % 1000u);
}
