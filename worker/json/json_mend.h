/* tidy: makes JSON that jansson accepts out of what relays send: cut off in the middle, with bytes
 * after the end, with bytes that are no UTF-8, raw control characters, NUL, lone surrogates, or
 * nested without end. Pure over buffers. */
#ifndef QCC_WORKER_TIDY_H
#define QCC_WORKER_TIDY_H

#include "common/base/arena.h"
#include "common/base/str.h"

/* Deeper levels are cut off, so that no parser recurses further. */
enum { TIDY_DEPTH = 32 };

/* The first JSON value at the front of `in` (an object, an array or a string; blanks before it are
 * skipped), closed where it was cut. What cannot be read ends it there. Empty: no such value, or
 * no memory. The text lives in the arena. */
struct str json_mend(struct str in, struct arena *a);

#endif
