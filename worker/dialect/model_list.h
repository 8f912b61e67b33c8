/* model_list: a list of models as GET /v1/models of the Anthropic API gives it. Pure. */
#ifndef QCC_WORKER_DIALECT_MODEL_LIST_H
#define QCC_WORKER_DIALECT_MODEL_LIST_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/str.h"

/* Appends the list, or the one model, of an endpoint that speaks OpenAI's protocol in the Anthropic
 * API's form. False: the body is neither, or it does not fit. */
bool model_list_translate(struct str body, struct buf *out) MUST_CHECK;

#endif
