/* prompt_too_long: whether a maker's refusal says that the prompt is longer than the model takes,
 * and by how much. Pure. */
#ifndef QCC_WORKER_DIALECT_REPLY_PROMPT_TOO_LONG_H
#define QCC_WORKER_DIALECT_REPLY_PROMPT_TOO_LONG_H

#include "common/base/base.h"
#include "common/base/str.h"

/* Tokens; 0: not told. */
struct prompt_length {
    uint64_t tokens, maximum;
};

/* Reads an error: by its code or type, else by its words. body: the maker's JSON, or any text.
 * words: its message, decoded. */
bool prompt_too_long(unsigned status, struct str body, struct str words, struct prompt_length *l);

#endif
