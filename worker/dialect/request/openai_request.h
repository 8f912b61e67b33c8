/* openai_request: a request to the Messages API as one to Chat Completions (openai.md, sections 2
 * and 7). */
#ifndef QCC_WORKER_DIALECT_OPENAI_REQUEST_H
#define QCC_WORKER_DIALECT_OPENAI_REQUEST_H

#include "common/base/arena.h"
#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/str.h"
#include "worker/dialect/dialect_context.h"
#include "worker/dialect/dialect_learnt.h"

struct openai_options {
    struct str model;                    /* to send: after override and map */
    struct str base_url;                 /* the endpoint's, as configured */
    uint64_t max_tokens;                 /* endpoint.max_tokens; 0: no cap */
    uint64_t input_estimate;             /* tokens (worker/intake/estimate.h) */
    const struct dialect_learnt *learnt; /* of this endpoint and model, and of this request so far;
                                            NULL: nothing */
};

enum openai_made {
    OPENAI_MADE,
    OPENAI_FAULTY,      /* no body of the Messages API: 400 invalid_request_error */
    OPENAI_SERVER_TOOL, /* wants what only Anthropic does: 400 invalid_request_error, not retried */
    OPENAI_NO_ROOM      /* over the ceiling of out or of the arena, or out of memory */
};

/* Translates the body. out: appended to; three times the body's size and 64 KiB are always enough
 * of what is no tool call with megabytes of escapes. mem: ctx lives there and in the body; usual
 * requests need some percent of the body's size, one of small tool calls only eight times its
 * size. ctx is complete with MADE; its model, stream, thinking and hash are set always. *fault:
 * with FAULTY and SERVER_TOOL what to tell the client, in mem; else NULL. */
enum openai_made openai_request(struct str body, const struct openai_options *o, struct arena *mem,
                                struct buf *out, struct dialect_context *ctx,
                                const char **fault) MUST_CHECK;

#endif
