/* inflate: reads bodies in the codings gzip (RFC 1952, members one behind the other) and deflate
 * (zlib's format, RFC 1950, or none, RFC 1951, as some senders do). Works in pieces of any size;
 * its memory, some 40 KiB, is the caller's arena. What comes of a body is bounded. */
#ifndef QCC_WORKER_HTTP_INFLATE_H
#define QCC_WORKER_HTTP_INFLATE_H

#include "common/base/arena.h"
#include "common/base/base.h"
#include "common/base/str.h"

#include <zlib.h>

/* The coding of a body (content-encoding). */
enum coding {
    CODING_NONE,    /* identity */
    CODING_GZIP,    /* gzip, x-gzip */
    CODING_DEFLATE, /* deflate */
    CODING_OTHER    /* one that is not read (br, zstd), or several */
};

/* The coding by the value of content-encoding, a list. identity in it says nothing. */
enum coding coding_of(struct str value);

/* The coding of a body that is in one and then in the other. */
static inline enum coding coding_of_both(enum coding a, enum coding b)
{
    if (a == CODING_NONE || b == CODING_NONE)
        return a == CODING_NONE ? b : a;
    return CODING_OTHER;
}

/* Whether a value of accept-encoding takes the coding of that name: q=0 does not. */
bool coding_accepted(struct str accept, enum coding c);

enum inflate_result {
    INFLATE_MORE,  /* all bytes were used: more are needed, unless inflate_whole() */
    INFLATE_FULL,  /* there is no more room: call again with the rest of the bytes */
    INFLATE_BAD,   /* the bytes are damaged, or none of the coding */
    INFLATE_BOMB,  /* more came of it than `most` */
    INFLATE_MEMORY /* the arena is full */
};

/* In memory that stays where it is: zlib points to it. */
struct inflate {
    z_stream z;
    uint64_t most, made; /* bytes that may come of it, and did */
    enum coding coding;
    unsigned char front[2]; /* first bytes of CODING_DEFLATE, which tell its format */
    unsigned nfront, front_used;
    bool begun; /* z is in use */
    bool whole; /* the bytes so far end with a complete stream */
};

/* Prepares for a body in that coding, CODING_GZIP or CODING_DEFLATE, of which at most `most` bytes
 * may come. Allocates nothing yet; mem lives as long as i. */
void inflate_begin(struct inflate *i, enum coding c, uint64_t most, struct arena *mem);

/* Inflates bytes of `*in`, which moves behind those that were used, to room[0..size). *made: how
 * many came of it, also with an error. */
enum inflate_result inflate_feed(struct inflate *i, struct str *in, char *room, size_t size,
                                 size_t *made) MUST_CHECK;

/* Whether no byte came yet: a body without any is empty, whatever its coding is. */
static inline bool inflate_untouched(const struct inflate *i)
{
    return !i->begun && i->nfront == 0;
}

/* Whether the bytes so far are a complete body. */
static inline bool inflate_whole(const struct inflate *i)
{
    return i->whole;
}

#endif
