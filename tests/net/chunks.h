/* chunks: takes a chunked body apart, in whatever pieces it comes. For programs of the tests. */
#ifndef TESTS_NET_CHUNKS_H
#define TESTS_NET_CHUNKS_H

#include "common/base/base.h"

enum chunks_state {
    CHUNKS_SIZE,
    CHUNKS_EXTENSION,
    CHUNKS_DATA,
    CHUNKS_DATA_END,
    CHUNKS_TRAILER, /* at the start of a line */
    CHUNKS_TRAILER_LINE
};

/* All zero: before the first byte. */
struct chunks {
    enum chunks_state state;
    uint64_t left; /* of the present chunk */
};

enum chunks_result { CHUNKS_MORE, CHUNKS_DONE, CHUNKS_BAD };

/* Gets the bytes of the body, without their framing. False: no more can be taken. */
typedef bool chunks_data_fn(void *arg, const char *p, size_t n);

/* Takes n bytes; *used: how many of them, fewer than n only where the body has ended. BAD: broken
 * framing, a chunk of 64 GiB or more, or data has said false. */
enum chunks_result chunks_feed(struct chunks *c, const char *p, size_t n, size_t *used,
                               chunks_data_fn *data, void *arg) MUST_CHECK;

#endif
