/* sse: scanner for event streams that are passed on (WHATWG HTML 9.2: lines end with LF, CRLF or
 * CR, in any mixture, split anywhere). Changes nothing; copies only the data of the few events that
 * matter, when it arrives in pieces. Pure over buffers.
 *
 * Understands Anthropic's streams (event: names) and data without event names (by the JSON's
 * "type", or OpenAI's "choices" and "error"). */
#ifndef QCC_WORKER_HTTP_SSE_H
#define QCC_WORKER_HTTP_SSE_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/str.h"
#include "worker/http/sse_end.h"
#include "worker/http/sse_kind.h"
#include "worker/http/sse_usage.h"

/* Bytes of an event's data that are kept; longer data is cut (ERROR) or not read (usage). */
enum { SSE_DATA_MAX = 65536 };

struct sse {
    struct sse_usage usage;
    enum sse_kind first;   /* first event that is not PING; NONE: not yet */
    enum sse_api api;      /* of that event; a STOP tells none but response.completed */
    bool content;          /* a CONTENT, DELTA or STOP was received */
    bool stopped;          /* the STOP was received: the stream is complete */
    bool error;            /* an ERROR was received */
    bool failed;           /* it was, and no STOP before it: the stream is no success */
    struct buf error_data; /* data of the first ERROR */
    uint64_t events;       /* complete events so far */
    uint64_t meant;        /* those of them that are no PING */
    struct sse_end end;    /* which parts of the reply have ended */
    /* private to the scanner, to the end of the struct */
    struct buf keep; /* the present event's data, when it came in several pieces or lines */
    uint8_t state;   /* where in a line the next byte is */
    uint8_t kind;    /* kind of the present event by its name; SSE_EV_NONE: not known by it */
    uint8_t named;   /* enum sse_api of the present event by its name */
    uint8_t line_n;  /* bytes in `line` */
    char line[32];   /* first bytes of a line, until its field is known */
    bool cr;         /* the last byte was CR: an LF that follows belongs to it */
    bool open;       /* the present event has a line */
    bool have_data;  /* the present event has a data line */
};

/* Initializes a scanner for the start of a stream; allocates nothing. */
void sse_init(struct sse *s);

/* Frees the buffers. */
void sse_free(struct sse *s);

/* Scans bytes of the stream, in any pieces. Stops behind an event that changes `first`, `content`
 * or `error` from its zero value, so that the caller can decide there. Returns the bytes consumed
 * (n if no event did). */
size_t sse_feed(struct sse *s, const char *p, size_t n);

/* Whether the stream is between two events, where a ping may be inserted. */
bool sse_at_boundary(const struct sse *s);

/* Whether the stream is at the start of a line, so that one LF ends the event. False behind a CR,
 * to which that LF would belong. */
bool sse_at_line_start(const struct sse *s);

/* Ends the stream: an error, STOP or usage in a last event without its empty line counts as well (a
 * browser drops such an event, but some relays omit the empty line behind an error). `first`,
 * `content` and `events` stay as they are, except that an error may become `first`. */
void sse_finish(struct sse *s);

/* Bytes that sse_close writes at most, NUL included. */
enum { SSE_TAIL = 80 };

/* Ends a stream whose connection ended without a fault. True: it is complete, that is it ends with
 * STOP or an error, or lacks nothing else (sse_end_told); `stopped` or `error` is set, and `tail`
 * is the text that clients still need: the empty line of a last event with complete data (an event
 * that was cut becomes a ping), and message_stop or [DONE]. False: `tail` is empty, and
 * sse_at_boundary and sse_at_line_start return what they did before. */
bool sse_close(struct sse *s, char tail[static SSE_TAIL]) MUST_CHECK;

#endif
