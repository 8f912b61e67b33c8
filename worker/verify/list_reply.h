/* list_reply: reads an endpoint's list of models, of Anthropic's and of OpenAI's make. Pure. */
#ifndef QCC_WORKER_VERIFY_LIST_REPLY_H
#define QCC_WORKER_VERIFY_LIST_REPLY_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/str.h"

/* Bytes of a list that are read. */
enum { LIST_REPLY_MAX = 1 << 20 };

/* Appends the models of the list (model_pack), MODELS_LISTED of them at most. False: it is none, or
 * does not fit. */
bool list_reply_read(struct str body, struct buf *out) MUST_CHECK;

#endif
