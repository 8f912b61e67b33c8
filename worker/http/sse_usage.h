/* sse_usage: the counts of tokens that a reply reports, of Anthropic's and of OpenAI's make. Pure
 * over buffers. */
#ifndef QCC_WORKER_HTTP_SSE_USAGE_H
#define QCC_WORKER_HTTP_SSE_USAGE_H

#include "common/base/base.h"
#include "common/base/str.h"

/* Tokens as last reported by message_start, message_delta, or OpenAI's usage; -1: not reported. */
struct sse_usage {
    int64_t input, output, cache_read, cache_write;
};

/* Takes what the usage object of an event or a reply reports into *u; members that it lacks stay as
 * they are. */
void sse_usage_read(struct str object, struct sse_usage *u);

#endif
