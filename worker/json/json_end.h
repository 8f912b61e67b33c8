/* json_end: whether the JSON value that a body is has come to its end, while the body passes by in
 * pieces. Counts brackets outside of strings, as json_skip does: which closes which is not checked.
 * Pure over buffers. */
#ifndef QCC_WORKER_JSON_JSON_END_H
#define QCC_WORKER_JSON_JSON_END_H

#include "common/base/base.h"
#include "common/base/str.h"

/* State between two pieces; all zero at the start. */
struct json_end {
    uint64_t depth; /* brackets that are open */
    bool string;    /* within a string */
    bool escape;    /* behind a backslash that escapes the next byte */
    bool whole;     /* the first object or array is closed; what follows is not looked at */
};

/* Takes the next piece of the body. */
void json_end_feed(struct json_end *e, struct str piece);

#endif
