/* json_write: writes a msgpack document of the supervisor's as JSON, without building a tree. Maps,
 * arrays, strings, integers, booleans, nil; a bin holds a decimal number as text ("0.983"), in
 * place of msgpack's floats. */
#ifndef QCC_WORKER_ADMIN_JSON_WRITE_H
#define QCC_WORKER_ADMIN_JSON_WRITE_H

#include "common/base/buf.h"

/* Appends the JSON text to out. False: the document has other types or is malformed, is nested
 * deeper than 16, or is over out's ceiling. */
bool json_write(struct str msgpack, struct buf *out) MUST_CHECK;

/* Appends s as a JSON text with its quotes; bytes that are no UTF-8 become question marks. False:
 * over the buffer's ceiling. */
bool json_write_text(struct str s, struct buf *out) MUST_CHECK;

#endif
