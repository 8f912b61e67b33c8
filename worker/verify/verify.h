/* verify: a verification ordered by the supervisor: a small conversation with an endpoint, or a HEAD
 * request, on the same path as any exchange. It takes a place of max_concurrent as a request does,
 * and waits for one up to VERIFY_PLACE_MS; then it is given back. The supervisor hears how it ended
 * (VERDICT). It belongs to the worker, and ends with it. */
#ifndef QCC_WORKER_VERIFY_H
#define QCC_WORKER_VERIFY_H

#include "common/base/str.h"
#include "common/ipc/ipc.h"

struct req_env;

enum { VERIFY_PLACE_MS = 1000 };

/* Takes the order; it begins at the end of this turn, or as soon as there is a place. An endpoint
 * that is not known here is given back. */
void verify_begin(struct req_env *env, const struct ipc_verify *m);

/* At the end of a turn in which something was freed: those that wait begin, where there is a place
 * now. The requests that wait are looked at before. */
void verify_wake_waiting(struct req_env *env);

/* Drops those under way, without a word: the worker ends. */
void verify_stop(struct req_env *env);

/* Whether a reply of status 200 to the question holds the code: a JSON message, or an event stream
 * whose pieces of text, put together, hold it. */
bool verify_answered(struct str body, struct str code);

#endif
