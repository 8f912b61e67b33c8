/* event_lines: an event stream read by its lines. Each data line counts by itself, as relays leave
 * the blank lines between events out; lines end in LF, CRLF or CR, split anywhere. Pure over
 * buffers. */
#ifndef QCC_WORKER_HTTP_EVENT_LINES_H
#define QCC_WORKER_HTTP_EVENT_LINES_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/str.h"

/* Bytes of a line; and those of memory that stay allocated between lines. */
enum { EVENT_LINE_MAX = 16 << 20, EVENT_LINE_IDLE = 4096 };

struct event_lines {
    struct buf keep; /* a line that came in part */
    bool begun;      /* the first line is over, which may have a byte order mark */
    bool cr;         /* the last byte was CR: an LF that follows belongs to it */
    bool error_next; /* `event: error` came: the next data is an error */
};

/* Data of a line, trimmed, not empty; of an error: named so by its event. False: no more lines are
 * wanted. */
typedef bool event_line_fn(void *ctx, struct str data, bool error);

enum event_lines_fed {
    EVENT_LINES_MORE,
    EVENT_LINES_STOPPED, /* fn returned false */
    EVENT_LINES_LONG     /* a line over EVENT_LINE_MAX, or out of memory */
};

/* The start of a stream; allocates nothing. */
void event_lines_init(struct event_lines *l);

/* Frees the buffer. */
void event_lines_free(struct event_lines *l);

/* Takes n bytes and calls fn for each data line that they complete. */
enum event_lines_fed event_lines_feed(struct event_lines *l, const char *p, size_t n,
                                      event_line_fn *fn, void *ctx) MUST_CHECK;

/* The stream has ended: the last line counts without its end. */
enum event_lines_fed event_lines_end(struct event_lines *l, event_line_fn *fn,
                                     void *ctx) MUST_CHECK;

#endif
