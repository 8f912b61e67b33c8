/* feed_read: takes the workers' messages off the feed and keeps their records until they are
 * stored, in one array of a bounded length. */
#ifndef QCC_SUPERVISOR_RECORDER_FEED_READ_H
#define QCC_SUPERVISOR_RECORDER_FEED_READ_H

#include "common/ipc/feed_head.h"

/* Records that are kept while nothing can be stored; then the feed is no longer read. */
enum { FEED_KEPT = 20000 };

struct feed_read {
    int fd;                  /* the feed's reading end; owned */
    struct recent_record *v; /* owned */
    size_t n, cap;
    uint8_t *raw;     /* owned, FEED_BYTES: a message as it came; NULL before the first */
    int64_t since_ms; /* when the oldest one came, CLOCK_MONOTONIC */
    uint64_t dropped; /* records that cannot be stored, of messages that are none too */
};

enum feed_end { FEED_MORE, FEED_IDLE, FEED_CLOSED };

/* Reads one message, if there is room for it. FEED_IDLE: there is none now. FEED_CLOSED: all
 * writers are gone. */
enum feed_end feed_read_one(struct feed_read *f) MUST_CHECK;

/* Whether there is room for another message. */
bool feed_read_room(const struct feed_read *f);

/* Forgets the first n records, which are stored. */
void feed_read_stored(struct feed_read *f, size_t n);

/* Frees all. */
void feed_read_free(struct feed_read *f);

#endif
