/* dialect_learn: from a refusal to the change that cures it (openai.md, section 6). */
#ifndef QCC_WORKER_DIALECT_DIALECT_LEARN_H
#define QCC_WORKER_DIALECT_DIALECT_LEARN_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "worker/dialect/dialect_context.h"
#include "worker/dialect/dialect_learnt.h"

/* Changes of one request, at most: it is sent four times. */
enum { DIALECT_LEARN_MAX = 3 };

/* Reads a refusal: its status and its body as the maker sent it, of which 64 KiB are looked at.
 * sent: the request that was refused. l: what that request was made with; the change is added to
 * it. True: there is a change that was not made yet, and the request is to be translated and sent
 * again. False: l is as it was. */
bool dialect_learn(unsigned status, struct str refusal, const struct dialect_context *sent,
                   struct dialect_learnt *l) MUST_CHECK;

#endif
