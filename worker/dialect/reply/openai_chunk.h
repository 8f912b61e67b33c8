/* openai_chunk: a chunk of a stream, or a whole answer, of Chat Completions as it is read: its
 * first choice, its usage, its error. Borrows from the text. Pure over buffers. */
#ifndef QCC_WORKER_DIALECT_REPLY_OPENAI_CHUNK_H
#define QCC_WORKER_DIALECT_REPLY_OPENAI_CHUNK_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "worker/dialect/reply/openai_usage.h"
#include "worker/json/json_find.h"

enum openai_chunk_kind {
    OPENAI_CHUNK,       /* a chunk or an answer, perhaps without anything in it */
    OPENAI_CHUNK_ERROR, /* the maker's error */
    OPENAI_CHUNK_BAD    /* not JSON, or no object */
};

struct openai_chunk {
    enum openai_chunk_kind kind;
    bool choice;                  /* there is a choice 0 */
    bool whole;                   /* it has a message, and no delta */
    struct str error;             /* choice 0, where that has an error of its own; n 0: none */
    struct json_hit finish, stop; /* finish_reason; vLLM's stop_reason */
    struct json_hit content, reasoning_content, reasoning, refusal, tool_calls, function_call;
};

/* Reads the text, trimmed, and takes what it reports of usage. */
void openai_chunk_read(struct str text, struct openai_chunk *c, struct openai_usage *u);

#endif
