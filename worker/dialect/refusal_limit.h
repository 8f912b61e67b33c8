/* refusal_limit: the numbers of a refusal that was asked for too many tokens. */
#ifndef QCC_WORKER_DIALECT_REFUSAL_LIMIT_H
#define QCC_WORKER_DIALECT_REFUSAL_LIMIT_H

#include "common/base/base.h"
#include "common/base/str.h"

/* The limit that the words, in lower case, state ("at most N", "[1, N]", "<= N" and their like), if
 * it is below `asked`; 0: none. */
uint64_t refusal_limit(struct str words, uint64_t asked);

/* Of "maximum context length is L … (P in the messages, C in the completion)" and its like: L - P,
 * the tokens that are left for the answer; 0: the words say nothing of the kind, or nothing is
 * left. */
uint64_t refusal_context_left(struct str words);

#endif
