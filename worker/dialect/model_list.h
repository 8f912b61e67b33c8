/* model_list: a list of models as GET /v1/models of the Anthropic API gives it. Pure. */
#ifndef QCC_WORKER_DIALECT_MODEL_LIST_H
#define QCC_WORKER_DIALECT_MODEL_LIST_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/str.h"

/* A list that is being written to `out`. first, last: its ids, which borrow. */
struct model_list {
    struct buf *out;
    size_t n;
    struct str first, last;
    bool ok; /* everything fitted */
};

/* Begins a list, which is appended to out. */
void model_list_begin(struct model_list *l, struct buf *out);

/* Appends a model. id: plain text, which outlives the list; created: Unix time, 0: not known. */
void model_list_add(struct model_list *l, struct str id, uint64_t created);

/* Ends the list. False: it did not fit. */
bool model_list_end(struct model_list *l) MUST_CHECK;

/* Appends one model, as GET /v1/models/ID gives it. False: it does not fit. */
bool model_list_one(struct buf *out, struct str id, uint64_t created) MUST_CHECK;

/* Appends the list, or the one model, of an endpoint that speaks OpenAI's protocol in the Anthropic
 * API's form. False: the body is neither, or it does not fit. */
bool model_list_translate(struct str body, struct buf *out) MUST_CHECK;

#endif
