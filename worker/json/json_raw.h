/* json_raw: the source text of JSON values, copied as it stands: key order, big integers and `1.0`
 * survive, which a parser's numbers and maps do not. What is copied is valid UTF-8: half a
 * surrogate pair and bytes that are none become U+FFFD. Pure over buffers; the text is valid
 * JSON (json_valid.h) unless its bytes are. */
#ifndef QCC_WORKER_JSON_JSON_RAW_H
#define QCC_WORKER_JSON_JSON_RAW_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/str.h"

/* Bytes of decoded text that one byte of source text can become, at most. */
enum { JSON_RAW_GROWTH = 3 };

/* Appends a value, or the inside of a string. False: over out's ceiling or out of memory. */
bool json_raw_copy(struct str raw, struct buf *out) MUST_CHECK;

/* Appends a value as the inside of a JSON string that has it as its text. False: over out's ceiling
 * or out of memory. */
bool json_raw_quote(struct str raw, struct buf *out) MUST_CHECK;

/* Decodes the inside of a string. Returns `raw` itself where nothing is to decode or to replace,
 * else the text written to room, which has JSON_RAW_GROWTH * raw.n bytes. An escape that is
 * malformed is kept as it stands. */
struct str json_raw_decode(struct str raw, char *room);

/* Whether json_raw_decode needs its room. */
bool json_raw_plain(struct str raw);

/* Whether the inside of a string is white space of Unicode only, or empty. */
bool json_raw_blank(struct str raw);

/* Whether the inside of a string, decoded, begins with the prefix, or is the text. */
bool json_raw_starts(struct str raw, struct str prefix);
bool json_raw_is(struct str raw, struct str text);

#endif
