/* json_skip: finds the end of a JSON string, array or object at memory speed, for peek alone. The
 * same in three makes: plain C, byte by byte (any machine); SSE2 and AVX2, 64 bytes a step. All
 * three give the same answer for any bytes, which tests and a fuzz target compare. Pure over
 * buffers. */
#ifndef QCC_WORKER_PEEK_SKIP_H
#define QCC_WORKER_PEEK_SKIP_H

#include "common/base/base.h"

/* "No end within the text." */
#define JSON_NO_END SIZE_MAX

struct json_skip {
    const char *name;

    /* p stands behind a string's opening quote. Returns the offset of its closing quote, or
     * JSON_NO_END. *escaped: whether there is a backslash before. */
    size_t (*string)(const char *p, size_t n, bool *escaped);

    /* p stands behind an opening bracket. Returns the offset behind the bracket that closes it, or
     * JSON_NO_END: also when more than `deeper` further levels open. Brackets in strings do not
     * count; that [ is closed by ] and not by } is not checked. */
    size_t (*nested)(const char *p, size_t n, unsigned deeper);
};

/* The best for this machine. */
const struct json_skip *json_skip_best(void);

/* All that this machine can run, the plain one first; NULL behind the last. For tests. */
const struct json_skip *json_skip_nth(size_t i);

#endif
