/* dialect_learnt: what an endpoint's refusals taught about a model there. The plain form of a
 * request is changed by it before it is sent. */
#ifndef QCC_WORKER_DIALECT_DIALECT_LEARNT_H
#define QCC_WORKER_DIALECT_DIALECT_LEARNT_H

#include "common/base/base.h"
#include "common/base/str.h"

enum dialect_change {
    DIALECT_MAX_COMPLETION_TOKENS = 1 << 0, /* in place of max_tokens */
    DIALECT_MAX_TOKENS = 1 << 1,            /* in place of max_completion_tokens */
    DIALECT_LIMIT = 1 << 2,                 /* struct dialect_learnt.limit */
    DIALECT_NO_TEMPERATURE = 1 << 3,
    DIALECT_NO_TOP_P = 1 << 4,
    DIALECT_NO_STOP = 1 << 5,
    DIALECT_NO_STREAM_OPTIONS = 1 << 6,
    DIALECT_NO_PARALLEL_TOOL_CALLS = 1 << 7,
    DIALECT_NO_TOOL_CHOICE = 1 << 8,
    DIALECT_EFFORT_NONE = 1 << 9, /* reasoning_effort: none whenever tools are sent */
    DIALECT_NO_EFFORT = 1 << 10,
    DIALECT_FORMAT_IN_WORDS = 1 << 11, /* no response_format; the schema in the system message */
    DIALECT_NO_IMAGES = 1 << 12,
    DIALECT_BLANK_REASONING = 1 << 13, /* reasoning_content " " on tool_calls that have none */
    DIALECT_NO_REASONING = 1 << 14,
    DIALECT_THOUGHT_SIGNATURE = 1 << 15 /* extra_content of Google's on tool_calls */
};

/* Zero bytes: nothing was learnt. */
struct dialect_learnt {
    uint32_t changes;      /* enum dialect_change: those made */
    bool completion_field; /* of MAX_TOKENS and MAX_COMPLETION_TOKENS, the one made last */
    uint64_t limit;        /* DIALECT_LIMIT: most tokens that may be asked for */
    uint32_t once;         /* changes for this request only: not kept */
    uint64_t once_limit;   /* most tokens to ask for in this request only; 0: none */
};

enum { DIALECT_TABLE_MAX = 256, DIALECT_MODEL_MAX = 128 };

/* What was learnt of one model of an endpoint. */
struct dialect_entry {
    uint32_t endpoint; /* the caller's number of it */
    uint16_t nmodel;   /* bytes of model */
    char model[DIALECT_MODEL_MAX];
    struct dialect_learnt learnt;
};

/* Zero bytes: an empty table, which allocates nothing. */
struct dialect_table {
    struct dialect_entry *v; /* owned */
    uint32_t n, next;        /* next: the entry that is replaced when the table is full */
};

/* What was learnt of the model, as it is sent, of that endpoint; zero bytes: nothing. */
struct dialect_learnt dialect_table_get(const struct dialect_table *t, uint32_t endpoint,
                                        struct str model);

/* Keeps what was learnt, less what is for one request only. Nothing is kept of a model's name over
 * DIALECT_MODEL_MAX, or without memory; a full table forgets its oldest entry. */
void dialect_table_put(struct dialect_table *t, uint32_t endpoint, struct str model,
                       const struct dialect_learnt *l);

/* Forgets all and frees the memory: at a reload, and at the end. */
void dialect_table_free(struct dialect_table *t);

#endif
