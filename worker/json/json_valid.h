/* json_valid: whether a text is JSON, by the grammar of RFC 8259. Builds nothing, allocates
 * nothing. Bytes within strings may be no UTF-8 (json_raw.h replaces them). Pure over buffers. */
#ifndef QCC_WORKER_JSON_JSON_VALID_H
#define QCC_WORKER_JSON_JSON_VALID_H

#include "common/base/base.h"
#include "common/base/str.h"

/* Levels of nesting that json_valid accepts. */
enum { JSON_VALID_DEPTH = 1000 };

enum json_validity {
    JSON_VALID,
    JSON_MALFORMED,
    JSON_TOO_DEEP /* so far it is JSON, but more than JSON_VALID_DEPTH levels are open */
};

/* Reads the text, one value with blanks around it. */
enum json_validity json_valid(struct str text);

#endif
