/* event_store: events as the supervisor sends them, kept until they are stored. An event that comes
 * again, after the recorder was started anew, is stored once. */
#ifndef QCC_SUPERVISOR_RECORDER_TABLES_EVENT_STORE_H
#define QCC_SUPERVISOR_RECORDER_TABLES_EVENT_STORE_H

#include "common/ipc/ipc.h"
#include "supervisor/recorder/tables/names.h"

/* Events that wait at most: as many as the supervisor keeps. */
enum { EVENTS_WAIT = 256 };

struct event_kept {
    int64_t at_ms;
    char *text; /* owned: endpoint, kind and text, one after the other */
    uint16_t nendpoint, nkind, ntext;
};

/* Zero bytes are a valid start. */
struct event_store {
    struct event_kept v[EVENTS_WAIT];
    size_t n;
    int64_t since_ms; /* when the oldest one came, CLOCK_MONOTONIC */
    uint64_t dropped; /* with a time that cannot be stored, or too many */
};

/* Keeps a copy of the event. The oldest one goes when too many wait. */
void event_store_keep(struct event_store *s, const struct ipc_rec_event *m, int64_t now_ms);

/* Writes what waits into the open file, in one transaction. On failure nothing is written, and all
 * is kept. Returns SQLite's result. */
int event_store_write(struct event_store *s, struct names *names) MUST_CHECK;

/* Drops what waits. */
void event_store_drop(struct event_store *s);

#endif
