/* event_doc: how events are asked for and answered, whether from the supervisor's memory or from
 * the history: GET /api/v1/events. Pure. */
#ifndef QCC_COMMON_IPC_EVENT_DOC_H
#define QCC_COMMON_IPC_EVENT_DOC_H

#include "common/base/err.h"
#include "common/ipc/doc.h"

/* EVENT_K_BITS: an event's key is its time, Unix milliseconds << EVENT_K_BITS, with a number that
 * tells events of one millisecond apart. EVENT_ENDPOINT: bytes of an endpoint's name. */
enum { EVENT_K_BITS = 12, EVENTS_LIMIT = 1000, EVENT_ENDPOINT = 64 };

/* An event's text ends with this character and who has ordered it, if that is known. A text has no
 * other one. */
#define EVENT_BY '\x1f'

/* Which events. */
struct event_ask {
    int64_t before;                    /* only keys below */
    size_t limit;                      /* 1 to EVENTS_LIMIT */
    char endpoint[EVENT_ENDPOINT + 1]; /* only of the endpoint of that name; "": of all */
};

/* Reads the parameters before, limit, endpoint; those that are missing: the newest 50 of all.
 * False: *why names the parameter that is bad or unknown. */
bool event_ask_read(struct str arg, struct event_ask *a, struct err *why) MUST_CHECK;

/* An answer in the making. */
struct event_doc {
    struct doc list; /* the elements */
    uint32_t n;
    int64_t last; /* key of the last element */
};

/* An empty answer; event_doc_end frees it. */
void event_doc_init(struct event_doc *e);

/* Appends an event. endpoint: empty: it concerns none. text: with EVENT_BY, if it has one. */
void event_doc_put(struct event_doc *e, int64_t k, struct str endpoint, struct str kind,
                   struct str text);

/* Writes the answer into an empty document. more: there are older ones than the last. oldest: the
 * key of the oldest event there is; 0: there is none. */
void event_doc_end(struct event_doc *e, struct doc *d, bool more, int64_t oldest);

#endif
