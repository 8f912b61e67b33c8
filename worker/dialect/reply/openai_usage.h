/* openai_usage: tokens as OpenAI's API and its kin report them. Pure. */
#ifndef QCC_WORKER_DIALECT_REPLY_OPENAI_USAGE_H
#define QCC_WORKER_DIALECT_REPLY_OPENAI_USAGE_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "worker/dialect/reply/message_out.h"

/* As last reported. */
struct openai_usage {
    uint64_t prompt, completion; /* prompt: including what was read from a cache or written to it */
    uint64_t cache_read, cache_write;
};

/* Takes a usage object. What it does not report stays, but for the cache's parts of a prompt that
 * it does report. Values that are no numbers are as if absent. */
void openai_usage_take(struct openai_usage *u, struct str object);

/* The usage as Anthropic counts it. input, output: estimates, which stand in where nothing was
 * reported: > 0. */
struct message_usage openai_usage_counts(const struct openai_usage *u, uint64_t input,
                                         uint64_t output);

#endif
