/* chunk: decoder of the chunked transfer coding (RFC 9112 section 7.1), strict: CRLF only, hex
 * digits only, extensions skipped, trailers skipped, both bounded. Pure over buffers. Decodes in
 * place: the payload is moved together at the front, so that a piece goes on as one piece however
 * many chunks it came in. */
#ifndef QCC_WORKER_HTTP_CHUNK_H
#define QCC_WORKER_HTTP_CHUNK_H

#include "common/base/base.h"

/* Zero bytes are a valid start. */
struct chunk {
    uint64_t left; /* payload bytes of this chunk still to come */
    uint32_t line; /* bytes of the present size line, or of all trailers */
    uint8_t state;
    uint8_t digits;
};

enum { CHUNK_LINE_MAX = 4096, CHUNK_TRAILER_MAX = 16384 };

enum chunk_result { CHUNK_MORE, CHUNK_END, CHUNK_BAD };

/* Decodes p[0..n) in place. *payload: decoded bytes now at p[0..*payload). *used: bytes consumed;
 * less than n only with CHUNK_END (what follows belongs to the next message) or CHUNK_BAD. */
enum chunk_result chunk_decode(struct chunk *c, char *p, size_t n, size_t *payload,
                               size_t *used) MUST_CHECK;

/* Writes the size line of a chunk of n > 0 bytes ("1a2\r\n"); returns its length. */
size_t chunk_head(char out[static 20], size_t n);

#endif
