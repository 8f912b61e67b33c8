/* sse_end: whether an event stream that ends has told all there is to tell: every block stopped and a
 * stop_reason (Anthropic), a finish_reason for each choice (OpenAI). Such a stream is whole although its last
 * word (message_stop, [DONE]) did not come. Pure over buffers. */
#ifndef QCC_WORKER_HTTP_SSE_END_H
#define QCC_WORKER_HTTP_SSE_END_H

#include "common/base/base.h"
#include "common/base/str.h"

struct sse_end {
    bool reason;             /* a stop_reason was told */
    bool choices;            /* the stream is one of "choices" */
    uint32_t blocks;         /* content blocks that have begun and not stopped */
    uint64_t seen, finished; /* choices by index (63: and above), those of them with a finish_reason */
};

/* Takes in the "choices" of an event: the array with its brackets. */
void sse_end_choices(struct sse_end *e, struct str array);

/* Whether nothing but the last word is missing. */
bool sse_end_told(const struct sse_end *e);

#endif
