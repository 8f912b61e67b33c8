/* sse_kind: what an event of a stream, or a reply in JSON, is: by the event's name, and by the few
 * members of its JSON that are read. Pure over buffers. */
#ifndef QCC_WORKER_HTTP_SSE_KIND_H
#define QCC_WORKER_HTTP_SSE_KIND_H

#include "worker/http/sse_usage.h"
#include "worker/json/json_find.h"

enum sse_kind {
    SSE_EV_NONE,
    SSE_EV_PING,    /* ping, comments, empty events: no sign of success */
    SSE_EV_START,   /* message_start: the stream's head, no content yet */
    SSE_EV_CONTENT, /* content_block_start and all that follows it; OpenAI: a "choices" object; an
                     * unknown event too, unless its data is an error or none that is known came
                     * before: that decides nothing */
    SSE_EV_DELTA,   /* message_delta: content with usage */
    SSE_EV_STOP,    /* message_stop, or OpenAI's [DONE], or response.completed */
    SSE_EV_ERROR    /* event: error, or data with an error object */
};

/* The API that an event, or the JSON of a reply, belongs to. */
enum sse_api {
    SSE_API_NONE,     /* none of these */
    SSE_API_MESSAGES, /* Anthropic's messages: message_start, content_block_…; type "message" */
    SSE_API_COMPLETE, /* Anthropic's text completions: "completion" */
    SSE_API_CHAT,     /* OpenAI's chat completions: "choices" */
    SSE_API_RESPONSES /* OpenAI's responses: response.…; "output" */
};

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
    SSE_AT_CONTAINER,
    SSE_AT_MESSAGE_CONTAINER,
    SSE_AT_DELTA_CONTAINER,
    SSE_AT__COUNT
};

/* Bytes of a name with escapes that is decoded: none that is known is longer; and of the room for
 * that, in which a byte that is no UTF-8 takes three. */
enum { SSE_NAME_RAW = 240, SSE_NAME_ROOM = 3 * SSE_NAME_RAW };

/* The name that the "type" of an event's data is; empty: it is no string. Borrows from it, or from
 * the room. */
struct str sse_name_in(const struct json_hit *type, char room[static SSE_NAME_ROOM]);

/* What json_find is to look for. */
extern const struct json_want sse_members[SSE_AT__COUNT];

/* The kind (enum sse_kind, or one of the above) by an event's name, or by the type in its data.
 * SSE_EV_NONE: the name is not known. */
unsigned sse_kind_of_name(struct str name);

/* The API by an event's name, or by the type in its data. */
enum sse_api sse_api_of_name(struct str name);

/* The API by members that only one has. */
enum sse_api sse_api_of_members(const struct json_hit hit[static SSE_AT__COUNT]);

/* Reads "usage", "model" and "container". */
void sse_members_usage(const struct json_hit hit[static SSE_AT__COUNT], struct sse_usage *u);

/* Whether the value of "error" stands for an error: null, false and "" do not. */
bool sse_is_error(const struct json_hit *hit);

/* What a reply that is no stream is by its top-level members. */
struct sse_json {
    bool whole; /* it is one JSON object, as far as json_find reads it, with nothing behind it */
    bool error; /* its "error" stands for one */
    bool told;  /* it has a "type", or members of an API */
    enum sse_api api;
};

/* Reads a JSON reply, or the beginning of one: what it is, and its "model" and "usage". */
struct sse_json sse_read_json(struct str body, struct sse_usage *u);

#endif
