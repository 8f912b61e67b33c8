#include "worker/http/event_lines.h"

void event_lines_init(struct event_lines *l)
{
    *l = (struct event_lines){0};
    buf_init(&l->keep, EVENT_LINE_MAX);
}

void event_lines_free(struct event_lines *l)
{
    buf_free(&l->keep);
}

/* The value of the field `name` with its colon, trimmed; p NULL: the line is of another one. */
static struct str field(struct str line, struct str name)
{
    if (line.n < name.n || memcmp(line.p, name.p, name.n) != 0)
        return (struct str){0};
    return str_trim(str_make(line.p + name.n, line.n - name.n));
}

/* Handles a line, which is not empty. False: fn wants no more. */
static bool whole_line(struct event_lines *l, struct str line, event_line_fn *fn, void *ctx)
{
    if (!l->begun && str_starts(line, STR("\xef\xbb\xbf")))
        line = str_make(line.p + 3, line.n - 3);
    l->begun = true;
    struct str data = field(line, STR("data:"));
    bool error = l->error_next;
    if (!data.p) {
        struct str event = field(line, STR("event:"));
        if (event.p) {
            l->error_next = str_eq(event, STR("error"));
            return true;
        }
        /* llama.cpp before 2024 wrote its errors as a field of that name; some relays write one
         * without any field. */
        data = field(line, STR("error:"));
        error = data.p != NULL;
        if (!data.p && line.n && line.p[0] == '{')
            data = str_trim(line);
    }
    if (!data.n)
        return true;
    l->error_next = false;
    return fn(ctx, data, error);
}

/* Handles the end of a line whose last n bytes are at p. */
static enum event_lines_fed end_line(struct event_lines *l, const char *p, size_t n,
                                     event_line_fn *fn, void *ctx)
{
    if (!l->keep.len) {
        if (n > EVENT_LINE_MAX)
            return EVENT_LINES_LONG;
        return !n || whole_line(l, str_make(p, n), fn, ctx) ? EVENT_LINES_MORE
                                                            : EVENT_LINES_STOPPED;
    }
    if (!buf_add(&l->keep, p, n))
        return EVENT_LINES_LONG;
    bool more = whole_line(l, buf_view(&l->keep), fn, ctx);
    if (l->keep.cap > EVENT_LINE_IDLE)
        buf_free(&l->keep);
    else
        buf_drop(&l->keep, l->keep.len);
    return more ? EVENT_LINES_MORE : EVENT_LINES_STOPPED;
}

enum event_lines_fed event_lines_feed(struct event_lines *l, const char *p, size_t n,
                                      event_line_fn *fn, void *ctx)
{
    const char *end = p + n, *lf = p;
    bool seek = true; /* lf is to be searched for again */
    if (n && l->cr && *p == '\n')
        p++;
    if (n)
        l->cr = false;
    while (p < end) {
        size_t left = (size_t)(end - p);
        if (seek || lf < p) {
            lf = memchr(p, '\n', left);
            lf = lf ? lf : end;
            seek = false;
        }
        const char *cr = memchr(p, '\r', (size_t)(lf - p));
        const char *to = cr ? cr : lf;
        if (to == end) {
            if (!buf_add(&l->keep, p, left))
                return EVENT_LINES_LONG;
            break;
        }
        enum event_lines_fed fed = end_line(l, p, (size_t)(to - p), fn, ctx);
        if (fed != EVENT_LINES_MORE)
            return fed;
        p = to + 1;
        if (*to == '\r' && p < end && *p == '\n')
            p++;
        else if (*to == '\r' && p == end)
            l->cr = true;
    }
    return EVENT_LINES_MORE;
}

enum event_lines_fed event_lines_end(struct event_lines *l, event_line_fn *fn, void *ctx)
{
    return l->keep.len ? end_line(l, "", 0, fn, ctx) : EVENT_LINES_MORE;
}
