/* sse_kind: what an event of a stream, or a reply in JSON, is: by the event's name, and by the few
 * members of its JSON that are read. Pure over buffers. */
#ifndef QCC_WORKER_HTTP_SSE_KIND_H
#define QCC_WORKER_HTTP_SSE_KIND_H

#include "worker/http/sse.h"
#include "worker/json/json_find.h"

/* Kinds that callers of sse.h see as SSE_EV_CONTENT. */
enum { SSE_BLOCK_START = SSE_EV_ERROR + 1, SSE_BLOCK_STOP };

/* The members of an event's data, or of a JSON reply, that are read. */
enum sse_at {
    SSE_AT_TYPE,
    SSE_AT_ERROR,
    SSE_AT_CHOICES,
    SSE_AT_USAGE,
    SSE_AT_MESSAGE_USAGE,
    SSE_AT_RESPONSE_USAGE,
    SSE_AT_MODEL,
    SSE_AT_MESSAGE_MODEL,
    SSE_AT_RESPONSE_MODEL,
    SSE_AT_REASON,
    SSE_AT_COMPLETION,
    SSE_AT_OUTPUT,
    SSE_AT__COUNT
};

/* What json_find is to look for. */
extern const struct json_want sse_members[SSE_AT__COUNT];

/* The kind (enum sse_kind, or one of the above) by an event's name, or by the type in its data.
 * SSE_EV_NONE: the name is not known. */
unsigned sse_kind_of_name(struct str name);

/* The API by an event's name, or by the type in its data. */
enum sse_api sse_api_of_name(struct str name);

/* The API by members that only one has. */
enum sse_api sse_api_of_members(const struct json_hit hit[static SSE_AT__COUNT]);

/* Reads "usage" and "model". */
void sse_members_usage(const struct json_hit hit[static SSE_AT__COUNT], struct sse_usage *u);

/* Whether the value of "error" stands for an error: null, false and "" do not. */
bool sse_is_error(const struct json_hit *hit);

#endif
