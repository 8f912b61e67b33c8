/* gzip: a body in the gzip format (RFC 1952) without compression, piece by piece. */
#ifndef QCC_TESTS_FAKE_UPSTREAM_REPLY_GZIP_H
#define QCC_TESTS_FAKE_UPSTREAM_REPLY_GZIP_H

#include "common/base/buf.h"

struct gzip {
    uint32_t crc, size;
    bool begun;
};

/* Appends the piece, so that a reader can have all of it at once. False: over out's ceiling. */
bool gzip_add(struct gzip *g, struct buf *out, struct str piece) MUST_CHECK;

/* Appends the end. False: over out's ceiling. */
bool gzip_end(struct gzip *g, struct buf *out) MUST_CHECK;

#endif
