#include "supervisor/qccctl/print/local_zone.h"

#include "common/ipc/params.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { QUARTER = 900, LOOK = 6 * 3600, CHANGES = 20 };

static bool is_path_inside(const char *name)
{
    return *name && *name != '/' && !strstr(name, "..");
}

static bool is_zone_file(const char *path)
{
    char magic[4];
    FILE *f = fopen(path, "re");
    bool ok = f && fread(magic, 1, sizeof magic, f) == sizeof magic && !memcmp(magic, "TZif", 4);
    if (f)
        fclose(f);
    return ok;
}

/* Whether the database of zones has it: other files, and folders, would be taken for UTC. */
static bool is_zone(const char *name)
{
    char path[PATH_MAX];
    const char *dir = getenv("TZDIR");
    if (strcmp(name, "UTC") == 0 || strcmp(name, "GMT") == 0)
        return true;
    snprintf(path, sizeof path, "%s/%s", dir && *dir ? dir : "/usr/share/zoneinfo", name);
    return is_path_inside(name) && is_zone_file(path);
}

/* Whether $TZ tells an offset by itself (POSIX): CET-1CEST,M3.5.0,M10.5.0/3 or <+0530>-5:30. */
static bool is_rule(const char *tz)
{
    size_t n =
        strspn(tz, *tz == '<' ? "<>+-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                              : "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    if (*tz == '<')
        return n > 3 && strchr(tz, '>') && strpbrk(strchr(tz, '>'), "0123456789");
    n += tz[n] == '+' || tz[n] == '-';
    return n >= 3 && ascii_digit(tz[n]);
}

bool local_zone_use(const char *name, struct err *e)
{
    const char *tz = getenv("TZ");
    if (name && !is_zone(name))
        return err_set(e, "there is no time zone %.60s", name);
    if (tz)
        tz += *tz == ':';
    if (!name && tz && *tz && !is_zone(tz) && !is_rule(tz) && !(*tz == '/' && is_zone_file(tz)))
        return err_set(e, "TZ is %.60s, and there is no such time zone", tz);
    if (name)
        setenv("TZ", name, 1);
    tzset();
    return true;
}

const char *local_zone_name(void)
{
    const char *tz = getenv("TZ");
    return !tz ? "the system's zone" : *tz == ':' ? tz + 1 : *tz ? tz : "UTC";
}

bool local_zone_twice(int64_t at_s)
{
    struct tm now = local_zone_tm(at_s);
    return now.tm_hour == local_zone_tm(at_s - 3600).tm_hour ||
           now.tm_hour == local_zone_tm(at_s + 3600).tm_hour;
}

struct tm local_zone_tm(int64_t at_s)
{
    time_t t = (time_t)at_s;
    struct tm tm = {0};
    (void)localtime_r(&t, &tm);
    return tm;
}

/* Rounded to what zones have had for decades. */
int local_zone_east(int64_t at_s)
{
    return (int)(local_zone_tm(at_s).tm_gmtoff / QUARTER * (QUARTER / 60));
}

void local_zone_time(struct buf *b, int64_t at_s)
{
    char text[32];
    struct tm tm = local_zone_tm(at_s);
    int east = (int)(tm.tm_gmtoff / 60), size = east < 0 ? -east : east;
    strftime(text, sizeof text, "%Y-%m-%d %H:%M", &tm);
    (void)!buf_printf(b, "%s %c%02d:%02d", text, east < 0 ? '-' : '+', size / 60, size % 60);
}

bool local_zone_moment(struct str s, int64_t now_s, int64_t *at_s)
{
    struct tm tm = {.tm_isdst = -1};
    uint64_t y, m, d;
    if (s.n != 10 || s.p[4] != '-' || s.p[7] != '-')
        return params_moment(s, now_s, at_s);
    if (!str_to_u64(str_make(s.p, 4), 9999, &y) || !str_to_u64(str_make(s.p + 5, 2), 12, &m) ||
        !str_to_u64(str_make(s.p + 8, 2), 31, &d) || y < 1970 || !m || !d)
        return false;
    tm.tm_year = (int)y - 1900;
    tm.tm_mon = (int)m - 1;
    tm.tm_mday = (int)d;
    *at_s = (int64_t)mktime(&tm);
    return tm.tm_mday == (int)d && *at_s >= 0;
}

/* The first quarter of an hour between two moments from which on the second one's offset holds. */
static int64_t change_between(int64_t before, int64_t after)
{
    int east = local_zone_east(after);
    while (after - before > QUARTER) {
        int64_t mid = before + (after - before) / 2 / QUARTER * QUARTER;
        if (local_zone_east(mid) == east)
            after = mid;
        else
            before = mid;
    }
    return after;
}

void local_zone_put(struct buf *b, int64_t since_s, int64_t until_s)
{
    struct {
        int64_t at;
        int before; /* offset until then */
    } v[CHANGES];
    size_t n = 0;
    int east = local_zone_east(until_s);
    /* backwards: of too many changes the newest count */
    for (int64_t at = until_s - until_s % QUARTER; at > since_s && n < CHANGES; at -= LOOK)
        if (local_zone_east(at - LOOK) != local_zone_east(at)) {
            v[n].at = change_between(at - LOOK, at);
            v[n++].before = local_zone_east(at - LOOK);
        }
    (void)!buf_printf(b, "%d", n ? v[n - 1].before : east);
    while (n--)
        (void)!buf_printf(b, ",%lld:%d", (long long)v[n].at, n ? v[n - 1].before : east);
}
