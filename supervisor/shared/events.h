/* events: what has happened to the endpoints and to QCC itself, for operators: the newest
 * EVENTS_KEPT in memory. The recorder is given each (children/recorder.h) and keeps them longer. No
 * event holds a secret or a part of a request. */
#ifndef QCC_SUPERVISOR_SHARED_EVENTS_H
#define QCC_SUPERVISOR_SHARED_EVENTS_H

#include "common/base/base.h"
#include "common/ipc/event_doc.h"

enum { EVENTS_KEPT = 256, EVENT_TEXT = 384 };

enum event_kind {
    EVENT_HEALTH, /* of an endpoint: health, disabling, draining, marks */
    EVENT_BREAKER,
    EVENT_QUEUE, /* the failure queue */
    EVENT_COOLDOWN,
    EVENT_OPERATOR, /* an operator's action on an endpoint */
    EVENT_RELOAD,
    EVENT_START,
    EVENT_STOP,
    EVENT_UPGRADE,
    EVENT_WORKER, /* a worker or the recorder has died */
    EVENT_CLOCK,  /* the clock was set */
    EVENT__COUNT
};

struct event {
    int64_t k; /* as of event_doc.h: ascending as long as the clock is not set back */
    enum event_kind kind;
    char endpoint[EVENT_ENDPOINT + 1]; /* its name; "": the event concerns none */
    char text[EVENT_TEXT];             /* with EVENT_BY (event_doc.h) and who has ordered it */
};

/* Zero bytes are a valid start. */
struct events {
    struct event *v;  /* owned ring of EVENTS_KEPT; NULL until the first event */
    uint64_t n;       /* events so far */
    int64_t clock_ms; /* CLOCK_REALTIME less CLOCK_BOOTTIME, as last seen; 0: not seen yet */
};

/* Adds an event; a text that is too long is cut. now_ms: CLOCK_REALTIME. endpoint: a name, or
 * NULL. */
void events_add(struct events *ev, int64_t now_ms, enum event_kind kind, const char *endpoint,
                const char *fmt, ...) PRINTF_LIKE(5, 6);
/* Adds an event that somebody has ordered. by: who (at most 79 bytes); "": that is not known. */
void events_add_by(struct events *ev, int64_t now_ms, enum event_kind kind, const char *endpoint,
                   const char *by, const char *fmt, ...) PRINTF_LIKE(6, 7);

/* The event of that number, counted from 0 at the start; NULL: it is forgotten, or has not
 * happened. Valid until the next events_add. */
const struct event *events_at(const struct events *ev, uint64_t number);

/* The number of the oldest event that is kept. */
uint64_t events_oldest(const struct events *ev);

/* "health", "breaker", … */
const char *event_kind_name(enum event_kind kind);

/* Takes both clocks in, once a turn: adds an event when the clock was set by 10 s or more since the
 * last call. */
void events_mind_clock(struct events *ev, int64_t wall_ms, int64_t boot_ms);

/* Frees all. */
void events_fini(struct events *ev);

#endif
