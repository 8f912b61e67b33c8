/* params: the parameters of a question, "a=1&b=2" as they stand behind the "?" of a URL
 * (application/x-www-form-urlencoded, WHATWG URL section 5.1). Pure. */
#ifndef QCC_COMMON_IPC_PARAMS_H
#define QCC_COMMON_IPC_PARAMS_H

#include "common/base/buf.h"

enum param {
    PARAM_NONE, /* there is none of that name */
    PARAM_GIVEN,
    PARAM_BAD /* a broken escape, a control character, or longer than the room */
};

/* Finds the first parameter of that name and decodes its value into room, of `size` bytes; *value
 * borrows from it. */
enum param params_get(struct str query, struct str name, char *room, size_t size,
                      struct str *value) MUST_CHECK;

/* The first name in the query that is none of the n names; an empty text: all are known. Borrows
 * from the query. */
struct str params_unknown(struct str query, const struct str *names, size_t n);

/* Reads a moment: Unix seconds, or a span back from now with its unit ("90m", "24h", "7d"; s, m, h,
 * d, w). False: it is neither, or before 1970. */
bool params_moment(struct str v, int64_t now_s, int64_t *at_s) MUST_CHECK;

/* Appends "name=value" to a query, behind an "&" if it is not the first; the value is escaped.
 * False: the buffer's ceiling; a part of it may be there. */
bool params_add(struct buf *b, struct str name, struct str value) MUST_CHECK;

#endif
