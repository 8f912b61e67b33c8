#include "common/policy/classify/date.h"

struct civil {
    int year, month, day, hour, minute, second;
};

/* A text that is read from the front. */
struct reader {
    struct str s;
    bool bad;
};

static char peek_char(const struct reader *r)
{
    return r->s.n ? r->s.p[0] : '\0';
}

static void skip(struct reader *r, size_t n)
{
    r->s = str_make(r->s.p + n, r->s.n - n);
}

static bool take(struct reader *r, char c)
{
    if (r->s.n == 0 || r->s.p[0] != c)
        return false;
    skip(r, 1);
    return true;
}

static void need(struct reader *r, char c)
{
    if (!take(r, c))
        r->bad = true;
}

/* Reads a number of min to max digits; with fewer than min the reader becomes bad. */
static int number(struct reader *r, int min, int max)
{
    int v = 0, n = 0;
    while (n < max && ascii_digit(peek_char(r))) {
        v = v * 10 + (r->s.p[0] - '0');
        skip(r, 1);
        n++;
    }
    if (n < min)
        r->bad = true;
    return v;
}

static int month(struct reader *r)
{
    static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
    for (int m = 0; m < 12; m++) {
        struct str name = str_make(names + m * 3, 3);
        if (str_starts_nocase(r->s, name)) {
            skip(r, 3);
            return m + 1;
        }
    }
    r->bad = true;
    return 0;
}

static void clock_time(struct reader *r, struct civil *c)
{
    c->hour = number(r, 2, 2);
    need(r, ':');
    c->minute = number(r, 2, 2);
    need(r, ':');
    c->second = number(r, 2, 2);
}

static bool valid(const struct civil *c)
{
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return c->year >= 1970 && c->year <= 9999 && c->month >= 1 && c->month <= 12 && c->day >= 1 &&
           c->day <= days[c->month - 1] && c->hour < 24 && c->minute < 60 && c->second <= 60;
}

/* Days since 1970-01-01 in the Gregorian calendar: years begin in March, so that the leap day is
 * their last, and 400 of them have 146,097 days. */
static int64_t days_of(const struct civil *c)
{
    int64_t y = c->month > 2 ? c->year : c->year - 1;
    int64_t m = (c->month + 9) % 12;
    int64_t of_year = (153 * m + 2) / 5 + c->day - 1;
    return 365 * y + y / 4 - y / 100 + y / 400 + of_year - 719468;
}

static int64_t ms_of(const struct civil *c)
{
    return (((days_of(c) * 24 + c->hour) * 60 + c->minute) * 60 + c->second) * 1000;
}

bool date_http(struct str s, int64_t *ms)
{
    struct reader r = {str_trim(s), false};
    struct civil c = {0};
    size_t letters = 0;
    while (letters < r.s.n && r.s.p[letters] != ',' && r.s.p[letters] != ' ')
        letters++;
    skip(&r, letters); /* the day's name is not needed */
    if (take(&r, ',')) {
        need(&r, ' ');
        c.day = number(&r, 2, 2);
        bool rfc850 = take(&r, '-');
        if (!rfc850)
            need(&r, ' ');
        c.month = month(&r);
        need(&r, rfc850 ? '-' : ' ');
        c.year = number(&r, rfc850 ? 2 : 4, 4);
        if (rfc850 && c.year < 100)
            c.year += c.year < 70 ? 2000 : 1900;
        need(&r, ' ');
        clock_time(&r, &c);
        if (!str_eq_nocase(str_trim(r.s), STR("GMT")) && !str_eq_nocase(str_trim(r.s), STR("UTC")))
            return false;
    } else {
        need(&r, ' ');
        c.month = month(&r);
        need(&r, ' ');
        take(&r, ' ');
        c.day = number(&r, 1, 2);
        need(&r, ' ');
        clock_time(&r, &c);
        need(&r, ' ');
        c.year = number(&r, 4, 4);
        if (r.s.n)
            return false;
    }
    if (r.bad || !valid(&c))
        return false;
    *ms = ms_of(&c);
    return true;
}

bool date_rfc3339(struct str s, int64_t *ms)
{
    struct reader r = {str_trim(s), false};
    struct civil c = {0};
    c.year = number(&r, 4, 4);
    need(&r, '-');
    c.month = number(&r, 2, 2);
    need(&r, '-');
    c.day = number(&r, 2, 2);
    if (!take(&r, 'T') && !take(&r, 't') && !take(&r, ' '))
        return false;
    clock_time(&r, &c);
    int64_t frac = 0;
    if (take(&r, '.')) {
        int64_t unit = 100;
        if (!ascii_digit(peek_char(&r)))
            return false;
        for (; ascii_digit(peek_char(&r)); skip(&r, 1), unit /= 10)
            frac += (r.s.p[0] - '0') * unit;
    }
    int64_t offset = 0;
    if (!take(&r, 'Z') && !take(&r, 'z')) {
        bool west = take(&r, '-');
        if (!west)
            need(&r, '+');
        int h = number(&r, 2, 2);
        need(&r, ':');
        int m = number(&r, 2, 2);
        if (h > 23 || m > 59)
            return false;
        offset = (h * 60 + m) * (west ? -60000 : 60000);
    }
    if (r.bad || r.s.n || !valid(&c))
        return false;
    *ms = ms_of(&c) + frac - offset;
    return true;
}
