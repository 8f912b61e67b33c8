/* json_skip: finds the end of a JSON string, array or object at memory speed. Three
 * implementations: plain C, byte by byte, for any machine; SSE2 and AVX2, 64 bytes a step. All
 * three return the same for any input; a fuzz target compares them. Pure over buffers. */
#ifndef QCC_WORKER_JSON_JSON_SKIP_H
#define QCC_WORKER_JSON_JSON_SKIP_H

#include "common/base/base.h"

/* Result of json_skip.string and .nested: the text ends before the string or bracket does. */
#define JSON_NO_END SIZE_MAX

struct json_skip {
    const char *name;

    /* Finds the end of a string; p stands behind its opening quote. Returns the offset of its
     * closing quote, or JSON_NO_END. *escaped: whether the string has a backslash. */
    size_t (*string)(const char *p, size_t n, bool *escaped);

    /* Finds the end of an array or object; p stands behind its opening bracket. Returns the
     * offset behind the bracket that closes it, or JSON_NO_END, also when more than `deeper`
     * further levels open. Brackets in strings do not count; whether [ is closed by ] or } is
     * not checked. */
    size_t (*nested)(const char *p, size_t n, unsigned deeper);
};

/* The fastest implementation that this machine can run. */
const struct json_skip *json_skip_best(void);

/* Implementation number i of those that this machine can run, the plain one first; NULL behind the
 * last. For tests. */
const struct json_skip *json_skip_nth(size_t i);

#endif
