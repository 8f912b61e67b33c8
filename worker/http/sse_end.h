/* sse_end: tells whether an event stream that ended without message_stop or [DONE] is complete all
 * the same: every content block has stopped and a stop_reason came (Anthropic), or each choice has
 * a finish_reason (OpenAI). Pure over buffers. */
#ifndef QCC_WORKER_HTTP_SSE_END_H
#define QCC_WORKER_HTTP_SSE_END_H

#include "common/base/base.h"
#include "common/base/str.h"

struct sse_end {
    bool reason;     /* a stop_reason was received */
    bool choices;    /* the stream is OpenAI's, with "choices" */
    uint32_t blocks; /* content blocks that have begun and not stopped */
    /* bit i: choice i was received, has a finish_reason; bit 63: 63 and above */
    uint64_t seen, finished;
};

/* Takes in the "choices" of an event. `array`: the JSON array with its brackets. */
void sse_end_choices(struct sse_end *e, struct str array);

/* Whether nothing but message_stop or [DONE] is missing. */
bool sse_end_told(const struct sse_end *e);

#endif
