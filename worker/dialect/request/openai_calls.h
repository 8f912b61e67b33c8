/* openai_calls: the tool calls of one turn of the assistant, the ids under which they go out, and
 * the results that belong to them. */
#ifndef QCC_WORKER_DIALECT_OPENAI_CALLS_H
#define QCC_WORKER_DIALECT_OPENAI_CALLS_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "worker/dialect/request/openai_translation.h"
#include "worker/json/json_find.h"

struct call {
    struct str id, name;    /* the client's, decoded */
    struct str input;       /* source text */
    struct str sent;        /* id that goes out; set by openai_calls_close */
    struct json_hit result; /* content of its result, absent if there is none */
    bool answered, is_error;
    bool hashed;    /* its id goes out as a hash */
    size_t nth;     /* calls with the same id before it in this turn */
    size_t answers; /* of the first call with this id: results of that id so far */
};

/* Zero bytes: a turn without calls. */
struct openai_calls {
    struct call *v; /* in the arena, in the order of the calls */
    size_t n, cap;
    struct call **by_id; /* sorted by id, then by order; once closed */
    size_t by_id_cap;
    bool closed;
};

/* Adds a call. */
void openai_calls_add(struct translation *t, struct openai_calls *c, const struct call *call);

/* All calls of the turn are there: sets the ids that go out. */
void openai_calls_close(struct translation *t, struct openai_calls *c);

/* The call that the next result with the client's id answers; NULL: there is none, or each has its
 * result. The calls are closed. */
struct call *openai_calls_answered(struct openai_calls *c, struct str id);

/* Empties the turn; its memory is used again. */
void openai_calls_clear(struct openai_calls *c);

#endif
