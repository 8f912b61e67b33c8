/* chunk: strict decoder of the chunked transfer coding (RFC 9112 section 7.1): CRLF only, hex
 * digits only; extensions and trailers are skipped and bounded. Pure over buffers. Decodes in
 * place: the payload of all chunks in a buffer is moved to the buffer's front, where it is one
 * piece. */
#ifndef QCC_WORKER_HTTP_CHUNK_H
#define QCC_WORKER_HTTP_CHUNK_H

#include "common/base/base.h"

/* State of a decoder. All zero: at the start of a message. */
struct chunk {
    uint64_t left; /* payload bytes of this chunk still to come */
    uint32_t line; /* bytes of the present size line, or of all trailers */
    uint8_t state;
    uint8_t digits; /* hex digits of the present size */
    uint8_t broken; /* the state that CHUNK_BAD ended */
};

/* Bytes of a size line, and of all trailers, that are accepted. */
enum { CHUNK_LINE_MAX = 4096, CHUNK_TRAILER_MAX = 16384 };

enum chunk_result { CHUNK_MORE, CHUNK_END, CHUNK_BAD };

/* Decodes p[0..n) in place. *payload: decoded bytes now at p[0..*payload). *used: bytes consumed;
 * less than n only with CHUNK_END (what follows belongs to the next message) or CHUNK_BAD. */
enum chunk_result chunk_decode(struct chunk *c, char *p, size_t n, size_t *payload,
                               size_t *used) MUST_CHECK;

/* What rule CHUNK_BAD was for; a static text. */
const char *chunk_why(const struct chunk *c);

/* Writes the size line of a chunk of n > 0 bytes ("1a2\r\n"); returns its length. */
size_t chunk_head(char out[static 20], size_t n);

#endif
