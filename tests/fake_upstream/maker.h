/* maker: a reply being made, and what its parts share: heads and bodies (reply.c), event streams
 * (stream.c). */
#ifndef FAKE_MAKER_H
#define FAKE_MAKER_H

#include "tests/fake_upstream/behave.h"
#include "tests/fake_upstream/play.h"
#include "tests/fake_upstream/request.h"

enum framing { FRAME_LENGTH, FRAME_CHUNKED, FRAME_EOF };

enum {
    TEXT_MAX = 256 * 1024, /* of one made-up JSON text; larger ones are filled */
    FILL_FROM = 32768      /* larger texts are filler, not memory */
};

struct maker {
    const struct behave *b;
    const struct request *r; /* may be NULL */
    struct play *p;
    struct buf text; /* scratch */
    enum framing framing;
    uint64_t emitted, stop; /* events; how many may be */
    const char *type;       /* of the content */
    bool gzip;
    bool last; /* says `connection: close`; a reply that is torn does not say so before */
};

/* Microseconds; a time beyond all bounds stays one. */
static inline int64_t maker_us(uint64_t ms)
{
    return ms > INT64_MAX / 2000 ? INT64_MAX / 2 : (int64_t)ms * 1000;
}

/* Dies unless ok: a text has outgrown its bound. */
void maker_need(bool ok);

/* The model that the request asks for, or a made-up one. */
struct str maker_model(const struct maker *m);

/* What the model says first: the user's own words, so that a code asked for is in it. */
struct str maker_said(const struct maker *m);

/* given, or other where it is NULL. */
const char *or_else(const char *given, const char *other);

/* The error object, with this type and message. */
bool maker_error_json(struct buf *out, const char *type, const char *message);

/* A member "echo" that shows what the request was, behind a comma. */
bool maker_echo_json(struct buf *out, const struct request *r);

#endif
