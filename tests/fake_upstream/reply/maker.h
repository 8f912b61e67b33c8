/* maker: the state of a reply that is being made, shared by reply.c (heads, bodies) and stream.c
 * (event streams). */
#ifndef QCC_TESTS_FAKE_UPSTREAM_REPLY_MAKER_H
#define QCC_TESTS_FAKE_UPSTREAM_REPLY_MAKER_H

#include "tests/fake_upstream/behave.h"
#include "tests/fake_upstream/reply/play.h"
#include "tests/fake_upstream/request.h"

enum framing { FRAME_LENGTH, FRAME_CHUNKED, FRAME_EOF };

enum {
    TEXT_MAX = 256 * 1024, /* bytes of a JSON text; larger ones use filler */
    FILL_FROM = 32768      /* texts from this size on are filler, not memory */
};

struct maker {
    const struct behave *b;
    const struct request *r; /* may be NULL */
    struct play *p;
    struct buf text; /* the text being made */
    enum framing framing;
    uint64_t emitted, stop; /* events made; number at which the stream stops */
    const char *type;       /* content-type */
    bool gzip;
    bool last; /* the head has `connection: close`; that of a reply that breaks off has not */
};

/* Milliseconds to microseconds, without overflow. */
static inline int64_t maker_us(uint64_t ms)
{
    return ms > INT64_MAX / 2000 ? INT64_MAX / 2 : (int64_t)ms * 1000;
}

/* Dies unless ok: a text has exceeded its bound. */
void maker_need(bool ok);

/* The model that the request asks for, or a default. */
struct str maker_model(const struct maker *m);

/* The first text of the reply: the user's own text, so that it has the code of a verification. */
struct str maker_said(const struct maker *m);

/* Returns `given`, or `other` if that is NULL. */
const char *or_else(const char *given, const char *other);

/* Appends an error object with the given type and message. False: over out's ceiling. */
bool maker_error_json(struct buf *out, const char *type, const char *message);

/* Appends a comma and a member "echo" that describes the request. False: over out's ceiling. */
bool maker_echo_json(struct buf *out, const struct request *r);

#endif
