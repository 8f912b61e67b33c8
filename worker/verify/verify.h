/* verify: a verification ordered by the supervisor: a small conversation with an endpoint, or a HEAD
 * request, on the same path as any exchange. The supervisor hears how it ended (VERDICT). It belongs
 * to the worker, and ends with it. */
#ifndef QCC_WORKER_VERIFY_VERIFY_H
#define QCC_WORKER_VERIFY_VERIFY_H

#include "common/base/str.h"
#include "common/ipc/ipc.h"

struct req_env;

/* Carries it out. An endpoint that is not known here is answered at once: not verified. */
void verify_begin(struct req_env *env, const struct ipc_verify *m);

/* Drops those under way, without a word: the worker ends. */
void verify_stop(struct req_env *env);

/* Whether a reply of status 200 to the question holds the code: a JSON message, or an event stream
 * whose pieces of text, put together, hold it. */
bool verify_answered(struct str body, struct str code);

#endif
