/* feed: gives the records of requests to the recorder, which keeps the history. A request never
 * waits for it: records gather in a batch, which is sent when it is full or a moment old; while the
 * recorder does not read, the batch grows to FEED_MAX bytes, and what comes then is dropped and
 * counted. */
#ifndef QCC_WORKER_SHARED_FEED_H
#define QCC_WORKER_SHARED_FEED_H

#include "common/base/base.h"

#include <ev.h>

struct counters;
struct recent_record;

/* Bytes of records that wait at most. */
enum { FEED_MAX = 4 << 20 };

struct feed {
    struct ev_loop *loop;
    struct counters *counters; /* dropped records are counted there */
    int fd;                    /* owned; -1: no history */
    uint32_t slot;
    uint8_t *v;             /* owned; packed records; NULL until the first one */
    size_t first, end, cap; /* bytes that wait: v[first] to v[end - 1]; allocated */
    size_t n;               /* records that wait */
    bool blocked;           /* the socket took no more: tried again with the timer */
    ev_timer due;           /* active while records wait */
};

/* Makes a feed that leads nowhere yet. loop and counters are borrowed. */
void feed_init(struct feed *f, struct ev_loop *loop, uint32_t slot, struct counters *counters);

/* Sends to fd, which is taken over, from now on; -1: records are dropped without being counted. */
void feed_use(struct feed *f, int fd);

/* Adds a copy of the record. Sends a full batch at once. */
void feed_add(struct feed *f, const struct recent_record *r);

/* Sends what waits, for a worker that ends: waits for the recorder up to a second. */
void feed_finish(struct feed *f);

/* Frees all; records that wait are lost. */
void feed_free(struct feed *f);

#endif
