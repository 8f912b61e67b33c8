/* finish_reason: why an answer ends, in the words of many makers, and in Anthropic's. Pure. */
#ifndef QCC_WORKER_DIALECT_REPLY_FINISH_REASON_H
#define QCC_WORKER_DIALECT_REPLY_FINISH_REASON_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "worker/dialect/dialect_context.h"
#include "worker/json/json_find.h"

enum finish_kind {
    FINISH_STOP, /* and all words that are not known */
    FINISH_LENGTH,
    FINISH_WINDOW, /* the model's context is full */
    FINISH_FILTER,
    FINISH_FAILED /* no end: the maker has failed */
};

struct finish {
    bool come;
    enum finish_kind kind;
    const char *word;           /* of FINISH_FAILED: the maker's; a static string */
    const struct str *sequence; /* the stop sequence that ended it, in the context; NULL: none */
};

/* Takes finish_reason and vLLM's stop_reason of a choice. Null, "" and "null" are none. */
void finish_take(struct finish *f, const struct json_hit *reason, const struct json_hit *stop,
                 const struct dialect_context *ctx);

/* Anthropic's stop_reason. tools: the message has a tool_use block. *sequence: stop_sequence, its p
 * NULL where there is none. */
struct str finish_stop_reason(const struct finish *f, bool tools, bool refused,
                              struct str *sequence);

#endif
