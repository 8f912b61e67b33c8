#include "supervisor/qccctl/print/csv.h"

#include <stdio.h>
#include <time.h>

/* A full buffer takes no more text: the output is then cut. */
#define PUT(s) (void)!buf_str(c->out, (s))

void csv_begin(struct csv *c, struct buf *out)
{
    *c = (struct csv){.out = out};
}

static void separate(struct csv *c)
{
    if (c->fields++)
        PUT(STR(","));
}

static bool is_formula(struct str s)
{
    return s.n && (strchr("=+-@\t", s.p[0]) != NULL && s.p[0]);
}

static bool wants_quotes(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '"' || s.p[i] == ',' || s.p[i] == '\r' || s.p[i] == '\n')
            return true;
    return false;
}

void csv_text(struct csv *c, struct str s)
{
    bool quoted = wants_quotes(s);
    separate(c);
    if (quoted)
        PUT(STR("\""));
    if (is_formula(s))
        PUT(STR("'"));
    for (size_t i = 0; i < s.n;) {
        struct str rest = str_make(s.p + i, s.n - i);
        size_t n = str_utf8_len(rest);
        if (*rest.p == '"')
            PUT(STR("\"\""));
        else
            PUT(n ? str_make(rest.p, n) : STR("?"));
        i += n ? n : 1;
    }
    if (quoted)
        PUT(STR("\""));
}

void csv_number(struct csv *c, int64_t v)
{
    separate(c);
    (void)!buf_printf(c->out, "%lld", (long long)v);
}

void csv_decimal(struct csv *c, int64_t v, unsigned places)
{
    uint64_t one = 1, size = v < 0 ? -(uint64_t)v : (uint64_t)v;
    for (unsigned i = 0; i < places; i++)
        one *= 10;
    separate(c);
    (void)!buf_printf(c->out, "%s%llu", v < 0 ? "-" : "", (unsigned long long)(size / one));
    if (places)
        (void)!buf_printf(c->out, ".%0*llu", (int)places, (unsigned long long)(size % one));
}

void csv_time(struct csv *c, int64_t at_s, int minutes)
{
    time_t local = (time_t)(at_s + (int64_t)minutes * 60);
    int off = minutes < 0 ? -minutes : minutes;
    struct tm tm;
    separate(c);
    if (!gmtime_r(&local, &tm))
        return;
    (void)!buf_printf(c->out, "%04d-%02d-%02dT%02d:%02d:%02d%c%02d:%02d", tm.tm_year + 1900,
                      tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                      minutes < 0 ? '-' : '+', off / 60, off % 60);
}

void csv_none(struct csv *c)
{
    separate(c);
}

void csv_end(struct csv *c)
{
    PUT(STR("\r\n"));
}
