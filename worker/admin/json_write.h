/* mpjson: a msgpack document of the supervisor's, written as JSON: the supervisor knows no JSON, and
 * what it answers needs no tree here. Maps, arrays, strings, integers, booleans, nil; a bin holds
 * a decimal number as text ("0.983"), as msgpack floats are not read in this house. */
#ifndef QCC_WORKER_ADMIN_JSON_WRITE_H
#define QCC_WORKER_ADMIN_JSON_WRITE_H

#include "common/base/buf.h"

/* Appends the JSON text. False: not such a document, nested deeper than 16, or over the ceiling. */
bool json_write(struct str msgpack, struct buf *out) MUST_CHECK;

#endif
