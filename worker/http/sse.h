/* sse: watches an event stream go by (WHATWG HTML 9.2: lines end with LF, CRLF or CR, in any
 * mixture, split anywhere). Changes nothing, copies nothing but the data of the few events that
 * matter when they arrive in pieces. Pure over buffers.
 *
 * Speaks Anthropic's stream (event: names) and, so that relays of other makes are understood, data
 * lines without event names (the JSON's "type" member, or OpenAI's "choices" / "error"). */
#ifndef QCC_WORKER_HTTP_SSE_H
#define QCC_WORKER_HTTP_SSE_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/str.h"
#include "worker/http/sse_end.h"

enum sse_kind {
    SSE_EV_NONE,
    SSE_EV_PING,    /* ping, comments, empty events: says nothing about success */
    SSE_EV_START,   /* message_start: the stream's head, no content yet */
    SSE_EV_CONTENT, /* content_block_start and all that follows it; an unknown event too, unless its
                     * data is an error; OpenAI: a "choices" object */
    SSE_EV_DELTA,   /* message_delta: content with usage */
    SSE_EV_STOP,    /* message_stop, or OpenAI's [DONE], or response.completed */
    SSE_EV_ERROR    /* event: error, or data with an error object */
};

/* Tokens as last told by message_start, message_delta, or OpenAI's usage; -1: not told. */
struct sse_usage {
    int64_t input, output, cache_read, cache_write;
};

/* Data of an event that matters is kept up to this; longer is cut (ERROR) or not read (usage). */
enum { SSE_DATA_MAX = 65536 };

struct sse {
    struct sse_usage usage;
    enum sse_kind first; /* first event that is not PING; NONE: not yet */
    bool content;        /* a CONTENT, DELTA or STOP was there */
    bool stopped;        /* the STOP was there: the stream is complete */
    bool error;          /* an ERROR was there: error_data holds its data (first one) */
    struct buf error_data;
    uint64_t events; /* complete events so far */
    struct sse_end end;  /* how much it has told */
    /* the rest is the scanner's own */
    struct buf keep; /* the present event's data, when it came in pieces or lines */
    uint8_t state;   /* where in a line the next byte stands */
    uint8_t kind;    /* of the present event, as far as its name says */
    uint8_t line_n;
    char line[32]; /* a line's first bytes, until they say what it is */
    bool cr;       /* the last byte was CR: a LF now belongs to it */
    bool open;     /* the present event has a line */
    bool have_data;
};

/* A scanner at the start of a stream; allocates nothing. */
void sse_init(struct sse *s);

/* Frees what was kept. */
void sse_free(struct sse *s);

/* Bytes of the stream, in any pieces. Stops behind the first event that changes `first`, `content`
 * or `error` from its zero value, so that the caller can decide there; returns the bytes consumed
 * (n once nothing changes). */
size_t sse_feed(struct sse *s, const char *p, size_t n);

/* Whether the stream stands between two events, where a ping of ours may be put. */
bool sse_at_boundary(const struct sse *s);

/* Whether it stands at the start of a line (within an event), so that one more LF would end the
 * event. False behind a CR, which would take that LF for its own. */
bool sse_at_line_start(const struct sse *s);

/* The stream has ended: an error, STOP or usage in a last event that lacks its empty line counts
 * too (a browser would drop it, but relays forget the empty line and we must not miss the error).
 * `first`, `content` and `events` stay as they are, but for an error, which may be `first`. */
void sse_finish(struct sse *s);

/* The most that sse_close writes, with its NUL. */
enum { SSE_TAIL = 80 };

/* The stream has ended, and nothing went wrong below it: as sse_finish, and decides whether it is complete,
 * that is whether it ends with STOP or an error, or has told all but that (sse_end.h). True: `tail` gets, as
 * text, what it lacks for clients to see that: the empty line of its last event (its data being whole JSON; an
 * event that was cut is made a ping), and message_stop or [DONE]; `stopped` or `error` is set. False: `tail` is
 * empty, and where the stream stands (sse_at_boundary, sse_at_line_start) is as before. */
bool sse_close(struct sse *s, char tail[static SSE_TAIL]) MUST_CHECK;

/* Usage of a whole JSON reply that is no stream: reads "usage" of the top level. False when the body
 * is no JSON object, or not well-formed as far as we look. */
bool sse_usage_of_json(struct str body, struct sse_usage *u);

#endif
