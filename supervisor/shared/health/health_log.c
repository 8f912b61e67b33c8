#include "supervisor/shared/health/health_log.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "supervisor/shared/events.h"

#include <stdio.h>
#include <string.h>

/* Whether a note about a breaker says that it has opened. */
static bool opens(const struct ep_note *n)
{
    return strcmp(n->to, breaker_state_name(BREAKER_OPEN)) == 0;
}

/* Whether the change is logged as a warning. */
static bool is_bad(const struct ep_note *n, const struct ep_state *s)
{
    if (n->family[0])
        return n->what == EP_NOTE_BREAKER && opens(n);
    switch (n->what) {
    case EP_NOTE_HEALTH:
        return s->health == EP_UNHEALTHY;
    case EP_NOTE_BREAKER:
        return opens(n);
    case EP_NOTE_QUEUE:
        return ep_queued(s);
    case EP_NOTE_REACH:
        return s->in_reach;
    case EP_NOTE_DISABLED:
        return s->disabled == EP_BY_AUTH;
    case EP_NOTE_COOLDOWN:
    case EP_NOTE_DRAIN:
    case EP_NOTE_COUNT_TOKENS:
    case EP_NOTE__COUNT:
        break;
    }
    return false;
}

static enum event_kind kind_of(enum ep_what what)
{
    switch (what) {
    case EP_NOTE_BREAKER:
        return EVENT_BREAKER;
    case EP_NOTE_COOLDOWN:
        return EVENT_COOLDOWN;
    case EP_NOTE_QUEUE:
    case EP_NOTE_REACH:
        return EVENT_QUEUE;
    case EP_NOTE_HEALTH:
    case EP_NOTE_DISABLED:
    case EP_NOTE_DRAIN:
    case EP_NOTE_COUNT_TOKENS:
    case EP_NOTE__COUNT:
        break;
    }
    return EVENT_HEALTH;
}

/* Logs a change: "endpoint relay: breaker closed -> open: failures in a row (3: connection
 * refused)". */
static void log_note(struct events *events, const char *name, const struct ep_state *s,
                     const struct ep_note *n, const char *reason)
{
    char lasts[40] = "", more[260] = "", text[EVENT_TEXT];
    const char *why = n->why ? n->why : "";
    bool own_words = reason && reason[0] && strcmp(reason, why) != 0;
    if (n->ms > 0)
        snprintf(lasts, sizeof lasts, " for %.1f s", (double)n->ms / 1000);
    /* none in a row of its own: it opens because several of its models fail */
    if (n->what == EP_NOTE_BREAKER && opens(n) && n->failures)
        snprintf(more, sizeof more, " (%u%s%s)", n->failures, own_words ? ": " : "",
                 own_words ? reason : "");
    else if (own_words)
        snprintf(more, sizeof more, " (%s)", reason);
    snprintf(text, sizeof text, "%.60s%s%s %s%s%s%s: %s%s", n->family, n->family[0] ? ": " : "",
             ep_what_name(n->what), n->from, n->from[0] ? " -> " : "", n->to, lasts, why, more);
    log_line(is_bad(n, s) ? LOG_L_WARNING : LOG_L_INFO, (struct str){0}, "endpoint %s: %s", name,
             text);
    if (events)
        events_add(events, clock_wall_ms(), kind_of(n->what), name, "%s", text);
}

void health_log(struct events *events, const char *name, const struct ep_state *s,
                const struct ep_changes *ch, const char *reason)
{
    for (uint32_t i = 0; i < ch->n; i++)
        log_note(events, name, s, &ch->note[i], reason);
    if (ch->lost)
        log_info("endpoint %s: %u further changes of its models at the same time", name, ch->lost);
}
