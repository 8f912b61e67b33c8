/* json_mend: turns the broken JSON that some relays send into JSON that jansson accepts: text that
 * is cut off, has bytes after its end, invalid UTF-8, raw control characters, NUL, lone surrogates,
 * or too many levels. Pure over buffers. */
#ifndef QCC_WORKER_JSON_JSON_MEND_H
#define QCC_WORKER_JSON_JSON_MEND_H

#include "common/base/arena.h"
#include "common/base/str.h"

/* Levels of nesting that are kept: a bound for the recursion of parsers. */
enum { TIDY_DEPTH = 32 };

/* Returns the JSON value at the front of `in` (an object, an array or a string, after blanks),
 * closed where it was cut off or becomes unreadable. Empty: no such value, or out of memory. The
 * text is allocated from the arena. */
struct str json_mend(struct str in, struct arena *a);

#endif
