/* call_table: the tool calls of a reply, and to which of them a delta belongs (openai.md 4.3). Pure
 * over buffers. */
#ifndef QCC_WORKER_DIALECT_REPLY_CALL_TABLE_H
#define QCC_WORKER_DIALECT_REPLY_CALL_TABLE_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/str.h"
#include "worker/json/json_find.h"

/* Calls in a reply; bytes of a name that are kept, over Anthropic's limit of 128; bytes of an id
 * that are kept (longer ones are not carried, tool_id.h). */
enum { CALLS_MAX = 16384, CALL_NAME_KEPT = 129, CALL_ID_KEPT = 65 };

/* Index of deltas that have none. */
#define CALL_NO_INDEX INT64_C(-1)

/* How far the object in a call's arguments has come: brackets and strings are followed only. */
struct call_scan {
    uint32_t depth;
    bool begun, in_string, escaped;
    bool content; /* the object is not {} */
    bool done;
};

struct call {
    int64_t index;
    uint64_t id_hash, name_hash; /* 0: none has come */
    struct buf label;            /* the name, and behind it the id; decoded */
    struct buf kept;             /* arguments that wait for their turn; decoded */
    struct call_scan scan;
    uint16_t half; /* half a surrogate pair between pieces of arguments (json_piece.h) */
    uint8_t name_n, id_n;
    bool args;    /* arguments have come that are not empty */
    bool started; /* its block is open, or was */
    bool closed;  /* its block was closed: what comes is dropped */
};

struct call_table {
    struct call *v; /* owned; moves as it grows */
    uint32_t n, size;
    int64_t index_max; /* highest index so far */
};

/* A delta of a call: an element of `tool_calls`, or `function_call`. */
struct call_delta {
    int64_t index;
    struct json_hit id, name; /* strings that are not empty, else JSON_IS_ABSENT */
    struct json_hit args;     /* a string or an object, perhaps something else */
    bool args_empty;          /* absent, null, or a string without a character */
    bool separate;            /* of a whole answer: each element is a call of its own */
};

enum call_found { CALL_OLD, CALL_NEW, CALL_NOTHING, CALL_TOO_MANY };

/* Frees all. */
void call_table_free(struct call_table *t);

/* Reads an element of `tool_calls`. */
void call_delta_read(struct str element, struct call_delta *d);

/* Whether a list of `tool_calls` is one piece of arguments, as a string, and nothing else but an
 * index that is given: *args is the string without its quotes. */
bool call_delta_args_alone(struct str list, struct str *args, int64_t *index);

/* Reads a `function_call`. */
void call_delta_read_function(struct str function, struct call_delta *d);

/* Finds the call of the delta, or adds it, and notes its id and name where they are of use. *at:
 * the call. NOTHING: the delta says nothing. */
enum call_found call_table_find(struct call_table *t, const struct call_delta *d, uint32_t *at);

/* Follows decoded bytes of arguments. */
void call_scan_feed(struct call_scan *s, struct str bytes);

/* The call's name as the maker wrote it, and its id; decoded; valid until the table is changed. */
struct str call_name(const struct call *c);
struct str call_id(const struct call *c);

#endif
