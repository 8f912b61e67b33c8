/* chunk_template: the chunks of a stream are alike but for one string, the next words or the next
 * piece of arguments. Of the last chunk that was read the bytes around that string are kept; a
 * chunk that has the same bytes around another string says the same, and is not read again: a third
 * of the time of reading it. Pure over buffers. */
#ifndef QCC_WORKER_DIALECT_REPLY_CHUNK_TEMPLATE_H
#define QCC_WORKER_DIALECT_REPLY_CHUNK_TEMPLATE_H

#include "common/base/base.h"
#include "common/base/str.h"

/* Bytes around the string that are kept: chunks with more are always read. */
enum { CHUNK_TEMPLATE_MAX = 768 };

struct chunk_template {
    uint8_t kind; /* the caller's: what the string is; 0: no template */
    int64_t call; /* the caller's: which call it is of */
    uint16_t front, back;
    char bytes[CHUNK_TEMPLATE_MAX]; /* what stands before the string, then what stands behind it */
};

/* Keeps the bytes of `text` around `value`, a string within it without its quotes. */
void chunk_template_keep(struct chunk_template *t, struct str text, struct str value, uint8_t kind,
                         int64_t call);

/* Whether the text is like the template; *value: its string. */
bool chunk_template_fits(const struct chunk_template *t, struct str text, struct str *value);

#endif
