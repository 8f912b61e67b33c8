/* dialect_context: what the translation of a reply, and learning from a refusal, need of the
 * request as it was translated. */
#ifndef QCC_WORKER_DIALECT_DIALECT_CONTEXT_H
#define QCC_WORKER_DIALECT_DIALECT_CONTEXT_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "worker/dialect/tool_name.h"

/* What the translation put into the request: a refusal that names one of these can be cured
 * (dialect_learn.h). */
enum dialect_put {
    DIALECT_PUT_MAX_TOKENS = 1 << 0,
    DIALECT_PUT_MAX_COMPLETION_TOKENS = 1 << 1,
    DIALECT_PUT_TEMPERATURE = 1 << 2,
    DIALECT_PUT_TOP_P = 1 << 3,
    DIALECT_PUT_STOP = 1 << 4,
    DIALECT_PUT_STREAM_OPTIONS = 1 << 5,
    DIALECT_PUT_PARALLEL_TOOL_CALLS = 1 << 6,
    DIALECT_PUT_TOOL_CHOICE = 1 << 7,
    DIALECT_PUT_REASONING_EFFORT = 1 << 8,
    DIALECT_PUT_RESPONSE_FORMAT = 1 << 9,
    DIALECT_PUT_IMAGES = 1 << 10,    /* image_url parts */
    DIALECT_PUT_FILES = 1 << 11,     /* file parts: PDFs */
    DIALECT_PUT_REASONING = 1 << 12, /* reasoning_content or reasoning on an assistant message */
    DIALECT_PUT_TOOLS = 1 << 13,
    DIALECT_PUT_TOOL_CALLS = 1 << 14 /* an assistant message has tool_calls */
};

/* All text is decoded (no JSON escapes), valid UTF-8 and lives in the request's arena or in its
 * body, except where another form is named. */
struct dialect_context {
    struct str model;        /* as the client asked for it */
    bool stream;             /* the client wants an event stream */
    bool thinking;           /* the request has `thinking` that is not disabled */
    const struct str *stops; /* the stop sequences that were sent */
    size_t nstops;           /* at most 4 */
    const struct tool_name
        *names; /* tools whose name was changed: tool_name_client looks them up */
    size_t nnames;
    const struct str *ids; /* ids of the tool_use blocks in the history, as the client has them,
                              sorted by tool_id_compare (tool_id.h), without repetitions */
    size_t nids;
    uint64_t input_estimate;    /* tokens of the request, > 0 */
    unsigned char base_hash[4]; /* first bytes of SHA-256(base_url): in signatures */
    uint32_t put;               /* enum dialect_put */
    uint64_t max_tokens;        /* that went out; 0: none */
};

#endif
