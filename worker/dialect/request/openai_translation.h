/* openai_translation: what the parts of the translation of one request share. */
#ifndef QCC_WORKER_DIALECT_OPENAI_TRANSLATION_H
#define QCC_WORKER_DIALECT_OPENAI_TRANSLATION_H

#include "common/base/arena.h"
#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/str.h"
#include "worker/dialect/dialect_context.h"
#include "worker/dialect/dialect_learnt.h"
#include "worker/json/json_find.h"

struct openai_tools;

struct translation {
    struct arena *mem;
    struct buf *out;
    struct dialect_context *ctx;
    struct openai_tools *tools; /* of the request; marked as used while messages are read */
    uint32_t changes;           /* enum dialect_change: to be applied */
    struct str format_in_words; /* a schema that the system message asks for; n 0: none */
    const char *fault;          /* what is wrong with the request, in mem; NULL: nothing yet */
    bool full;                  /* out or mem is at its ceiling; what was written is unusable */
};

/* Whether the translation failed: nothing more needs to be read. */
static inline bool translation_failed(const struct translation *t)
{
    return t->fault || t->full;
}

/* Whether that change is to be applied. */
static inline bool translation_has(const struct translation *t, enum dialect_change c)
{
    return (t->changes & (uint32_t)c) != 0;
}

/* Appends text of JSON as it is. */
void translation_put(struct translation *t, struct str json);

/* Appends source text of the request: a value, or the inside of a string (json_raw_copy). */
void translation_put_raw(struct translation *t, struct str raw);

/* Appends a string, quotes included, whose text is decoded, or whose text is the source text of a
 * value. */
void translation_put_string(struct translation *t, struct str text);
void translation_put_quoted(struct translation *t, struct str raw);

/* Memory of the arena; NULL sets full. */
void *translation_alloc(struct translation *t, size_t n) MUST_CHECK;

/* Makes room for one more of the n elements of v, of `size` bytes each, by doubling. Returns where
 * the elements are then; NULL sets full. */
void *translation_grow(struct translation *t, void *v, size_t n, size_t *cap,
                       size_t size) MUST_CHECK;

/* The decoded text of a string of the request, valid UTF-8, in the body or in the arena. */
struct str translation_text(struct translation *t, struct str raw);

/* The text as the inside of a JSON string, in the arena. */
struct str translation_escape(struct translation *t, struct str text);

/* The n texts behind each other, in the arena. */
struct str translation_join(struct translation *t, const struct str *v, size_t n);

/* Sets the fault, if there is none yet. */
void translation_fault(struct translation *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
