#include "supervisor/shared/events.h"

#include "common/base/mem.h"
#include "common/base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Less is not noticed: the two clocks are read one after the other, and the process may stand still
 * in between. */
enum { CLOCK_SET_MS = 10000 };

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

void events_add(struct events *ev, int64_t now_ms, enum event_kind kind, const char *endpoint,
                const char *fmt, ...)
{
    va_list ap;
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
    va_start(ap, fmt);
    int n = vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    if (n >= (int)sizeof e->text)
        end_whole(e->text);
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
