/* decode: a reply that came compressed although nobody asked for that: inflated, so that it is
 * judged and read as any other. What the client accepts as it came it gets so, where that is a
 * whole body; all else goes on inflated. */
#ifndef QCC_WORKER_UPSTREAM_DECODE_H
#define QCC_WORKER_UPSTREAM_DECODE_H

#include "common/base/buf.h"
#include "worker/http/inflate.h"

struct exchange_event;
struct http_head;

enum { DECODE_PIECE = 64 << 10 };

struct decode {
    struct inflate inflate;
    struct arena mem;
    struct str in;   /* what is left of the present event */
    bool as_came;    /* the client gets the bytes as they came */
    bool passed;     /* with as_came: it gets them as they come: they are not kept in `wire` */
    bool last;       /* the present event ends the reply */
    bool waits;      /* the rest of it is in `rest` */
    struct buf wire; /* with as_came: what came so far, while the reply is held */
    struct buf rest; /* what is left of an event that the client has no room for yet */
    char piece[DECODE_PIECE];
};

enum decode_result {
    DECODE_PIECE_OUT, /* *out is a piece of the reply */
    DECODE_NEED_MORE, /* the event is used up */
    DECODE_CUT,       /* the reply has ended, and its coding has not */
    DECODE_DAMAGED,   /* not what content-encoding says; *out is what came of it until there */
    DECODE_NO_ROOM
};

/* The coding of a reply by its head. */
enum coding decode_coding(const struct http_head *h);

/* Prepares for a reply in that coding, CODING_GZIP or CODING_DEFLATE. as_came: as above; else what
 * is not true of the inflated body is taken out of *h, its head. hold: bytes of a reply that are
 * held back. NULL: out of memory. */
struct decode *decode_new(enum coding c, struct http_head *h, bool as_came, size_t hold) MUST_CHECK;

/* Takes an event of a reply that is inflated. False: it cannot be held as it came. */
bool decode_take(struct decode *d, const struct exchange_event *ev) MUST_CHECK;

/* The next inflated piece of the event that was taken. */
enum decode_result decode_next(struct decode *d, struct exchange_event *out) MUST_CHECK;

/* Keeps what is left of the event, whose bytes go. False: out of memory. */
bool decode_keep_rest(struct decode *d) MUST_CHECK;

/* Frees the memory. d may be NULL. */
void decode_free(struct decode *d);

#endif
