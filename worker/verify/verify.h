/* verify: verifies an endpoint for the supervisor (VERIFY): asks it to repeat a code, or sends a
 * HEAD request, with an exchange like any other. It takes a place of max_concurrent as a request
 * does, and waits for one up to VERIFY_PLACE_MS; without one it is given back. VERDICT reports how
 * it ended. Verifications are listed in req_env. */
#ifndef QCC_WORKER_VERIFY_VERIFY_H
#define QCC_WORKER_VERIFY_VERIFY_H

#include "common/ipc/ipc.h"

struct req_env;

enum { VERIFY_PLACE_MS = 1000 };

/* VERIFY: takes the order; the verification begins at the end of this turn, or as soon as there is
 * a place. One of an endpoint that is not in the configuration is given back at once. */
void verify_begin(struct req_env *env, const struct ipc_verify *m);

/* At the end of a turn in which something was freed, behind the requests that wait: begins the
 * verifications that wait, where there is a place now. */
void verify_wake_waiting(struct req_env *env);

/* Ends all verifications without VERDICT: the worker ends. */
void verify_stop(struct req_env *env);

#endif
