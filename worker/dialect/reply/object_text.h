/* object_text: the arguments of a tool call as they come: decoded pieces of the text of one JSON
 * object, checked byte by byte and written on at once. The bytes are kept, but for two mends in
 * strings that leave them the same to any reader: control characters are written as escapes, and
 * half a surrogate pair as U+FFFD.
 *
 * A first {} waits: some relays begin with it and send the true object behind. Nothing behind the
 * complete object is written: some makers repeat all arguments at the end. Pure over buffers. */
#ifndef QCC_WORKER_DIALECT_REPLY_OBJECT_TEXT_H
#define QCC_WORKER_DIALECT_REPLY_OBJECT_TEXT_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/str.h"

enum { OBJECT_DEPTH = 1000, OBJECT_BLANKS = 30 };

enum object_state {
    OBJECT_NONE,     /* nothing came but blanks, or null: stands for {} */
    OBJECT_EMPTY,    /* {}, of which nothing is written yet */
    OBJECT_OPEN,     /* unfinished */
    OBJECT_COMPLETE, /* written */
    OBJECT_BAD       /* no JSON object, or nested deeper than OBJECT_DEPTH */
};

struct object_text {
    /* private */
    uint8_t step;              /* what may come next */
    uint8_t digits;            /* of \uXXXX so far; or bytes of a word (null, true, false) so far */
    uint8_t word;              /* the word that is read */
    uint8_t blanks;            /* bytes in `blank` */
    bool in_name;              /* the string is a member's name */
    bool full;                 /* the buffer was full */
    bool escape;               /* written as the inside of a JSON string */
    uint16_t depth;            /* brackets that are open */
    uint16_t half;             /* high surrogate that waits for the low one */
    char hex[4];               /* digits of \uXXXX */
    char half_hex[4];          /* digits of the one that waits */
    char blank[OBJECT_BLANKS]; /* behind the first bracket, which waits with it */
    uint8_t kind[OBJECT_DEPTH / 8 + 1]; /* bit of each level: 1 object, 0 array */
};

/* Starts anew. escape: what is written is the inside of a JSON string. */
void object_text_init(struct object_text *o, bool escape);

/* Takes a piece and appends what may be written to out. False: over out's ceiling or out of
 * memory. */
bool object_text_feed(struct object_text *o, struct str piece, struct buf *out) MUST_CHECK;

/* What has come so far. */
enum object_state object_text_state(const struct object_text *o);

#endif
