/* verify: verifies an endpoint for the supervisor (VERIFY): asks it to repeat a code, or sends a
 * HEAD request, with an exchange like any other. VERDICT reports how it ended. Verifications are
 * listed in req_env. */
#ifndef QCC_WORKER_VERIFY_VERIFY_H
#define QCC_WORKER_VERIFY_VERIFY_H

#include "common/base/str.h"
#include "common/ipc/ipc.h"

struct req_env;

/* VERIFY: begins a verification. If the endpoint is not in the configuration, or no request can be
 * started, VERDICT is sent at once. */
void verify_begin(struct req_env *env, const struct ipc_verify *m);

/* Ends all verifications without VERDICT: the worker ends. */
void verify_stop(struct req_env *env);

/* Whether a reply with status 200 has the code: in a JSON message, or in the joined text of an
 * event stream. */
bool verify_answered(struct str body, struct str code);

#endif
