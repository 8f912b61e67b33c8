/* json_find: finds the few members of a large JSON object that QCC needs, and skips the rest at
 * memory speed. Builds no tree, allocates nothing, changes nothing, and takes any depth: levels are
 * counted, not walked into. Not a validator: of skipped text only the brackets are balanced. Pure
 * over buffers. */
#ifndef QCC_WORKER_JSON_JSON_FIND_H
#define QCC_WORKER_JSON_JSON_FIND_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/str.h"

enum json_kind {
    JSON_IS_ABSENT,
    JSON_IS_STRING,
    JSON_IS_NUMBER,
    JSON_IS_TRUE,
    JSON_IS_FALSE,
    JSON_IS_NULL,
    JSON_IS_OBJECT,
    JSON_IS_ARRAY
};

/* A wanted member: {"model"}, or with `inner` set a member of a member: {"metadata", "user_id"}. */
struct json_want {
    struct str name, inner;
};

struct json_hit {
    enum json_kind kind;
    struct str raw; /* the value's bytes in the body; a string's without the quotes */
    bool escaped;   /* the string has backslashes: json_unescape before use */
};

/* Walks the object once. hits[i] belongs to want[i]; of a repeated member the last counts, as for
 * most parsers. A member's own name may be written with escapes ("mod\u0065l") and is still
 * recognized. False: the text is not one JSON object (wrong start, unbalanced, bytes after the
 * end); hits found till then stay. At most 16 wants. */
bool json_find(struct str body, const struct json_want *want, struct json_hit *hits,
               size_t n) MUST_CHECK;

/* A member of an object, or an element of an array (name n 0). escaped: the name has backslashes.
 * False: no more are wanted. */
typedef bool json_each_fn(void *ctx, struct str name, bool escaped, const struct json_hit *value);

/* json_find that also calls `each` for the members of the outermost object, in the same walk. */
bool json_find_each(struct str body, const struct json_want *want, struct json_hit *hits, size_t n,
                    json_each_fn *each, void *ctx) MUST_CHECK;

/* Calls fn for each member or element of the text, an object or an array, and for none of what lies
 * deeper. Stops where the text is malformed. */
void json_each(struct str text, json_each_fn *fn, void *ctx);

struct json_skip;

/* json_find with one implementation of json_skip.h, for tests that compare them. */
bool json_find_by(const struct json_skip *by, struct str body, const struct json_want *want,
                  struct json_hit *hits, size_t n) MUST_CHECK;

/* Decodes a JSON string's escapes into out (cleared first). Surrogate pairs become UTF-8; a lone
 * surrogate becomes U+FFFD. False: malformed escape, or over out's ceiling. */
bool json_unescape(struct str raw, struct buf *out) MUST_CHECK;

/* Decodes the escape at the front of *s (s->p[0] is the backslash) to UTF-8 and removes it from *s,
 * a surrogate pair as a whole; a lone surrogate becomes U+FFFD. Returns the bytes written to out, 0
 * when the escape is malformed. */
size_t json_escape_cut(struct str *s, char out[static 4]) MUST_CHECK;

/* The number that the 4 hex digits at p write, as in \uXXXX; -1: they are none. */
int json_hex4(const char *p);

/* Appends the text as the inside of a JSON string, escaped. False: over out's ceiling. */
bool json_escape(struct str text, struct buf *out) MUST_CHECK;

#endif
