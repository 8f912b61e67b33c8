#include "supervisor/shared/events.h"

#include "common/base/mem.h"
#include "common/base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Less is not noticed: the two clocks are read one after the other, and the process may stand still
 * in between. */
enum { CLOCK_SET_MS = 10000 };

enum { EVENT_BY_MAX = 79 };

static const char *const kinds[EVENT__COUNT] = {
    [EVENT_HEALTH] = "health",     [EVENT_BREAKER] = "breaker",   [EVENT_QUEUE] = "queue",
    [EVENT_COOLDOWN] = "cooldown", [EVENT_OPERATOR] = "operator", [EVENT_RELOAD] = "reload",
    [EVENT_START] = "start",       [EVENT_STOP] = "stop",         [EVENT_UPGRADE] = "upgrade",
    [EVENT_WORKER] = "worker",     [EVENT_CLOCK] = "clock",
};

const char *event_kind_name(enum event_kind kind)
{
    return kind < EVENT__COUNT ? kinds[kind] : "?";
}

uint64_t events_oldest(const struct events *ev)
{
    return ev->n > EVENTS_KEPT ? ev->n - EVENTS_KEPT : 0;
}

const struct event *events_at(const struct events *ev, uint64_t number)
{
    return number < ev->n && number >= events_oldest(ev) ? &ev->v[number % EVENTS_KEPT] : NULL;
}

/* A text that was cut may end within a character. */
static void end_whole(char *text)
{
    struct str left = str_c(text);
    while (left.n) {
        size_t n = str_utf8_len(left);
        if (n == 0 && left.n < 4) {
            text[left.p - text] = '\0';
            return;
        }
        n = n ? n : 1;
        left = str_make(left.p + n, left.n - n);
    }
}

/* The next event, without its text. */
static struct event *next(struct events *ev, int64_t now_ms, enum event_kind kind,
                          const char *endpoint)
{
    int64_t k = now_ms << EVENT_K_BITS;
    const struct event *before = ev->n ? events_at(ev, ev->n - 1) : NULL;
    if (!ev->v)
        ev->v = mem_zalloc(EVENTS_KEPT, sizeof *ev->v);
    if (before && before->k >> EVENT_K_BITS == now_ms)
        k = before->k + 1;
    struct event *e = &ev->v[ev->n++ % EVENTS_KEPT];
    e->k = k;
    e->kind = kind;
    snprintf(e->endpoint, sizeof e->endpoint, "%s", endpoint ? endpoint : "");
    return e;
}

/* Writes the text, cut so that `by` has room behind it. */
static void write_text(struct event *e, const char *by, const char *fmt, va_list ap)
{
    size_t nby = by[0] ? min_size(strlen(by), EVENT_BY_MAX) : 0;
    size_t room = sizeof e->text - (nby ? nby + 1 : 0);
    if (vsnprintf(e->text, room, fmt, ap) >= (int)room)
        end_whole(e->text);
    for (char *p = e->text; *p; p++)
        if (*p == EVENT_BY)
            *p = '?';
    size_t n = strlen(e->text);
    if (nby)
        snprintf(e->text + n, sizeof e->text - n, "%c%.*s", EVENT_BY, (int)nby, by);
}

void events_add(struct events *ev, int64_t now_ms, enum event_kind kind, const char *endpoint,
                const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    write_text(next(ev, now_ms, kind, endpoint), "", fmt, ap);
    va_end(ap);
}

void events_add_by(struct events *ev, int64_t now_ms, enum event_kind kind, const char *endpoint,
                   const char *by, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    write_text(next(ev, now_ms, kind, endpoint), by, fmt, ap);
    va_end(ap);
}

void events_mind_clock(struct events *ev, int64_t wall_ms, int64_t boot_ms)
{
    int64_t now = wall_ms - boot_ms, set = ev->clock_ms ? now - ev->clock_ms : 0;
    ev->clock_ms = now;
    if (llabs(set) >= CLOCK_SET_MS)
        events_add(ev, wall_ms, EVENT_CLOCK, NULL, "the clock was set %lld s %s", llabs(set) / 1000,
                   set > 0 ? "forward" : "back");
}

void events_fini(struct events *ev)
{
    mem_free(ev->v);
    ev->v = NULL;
    ev->n = 0;
}
