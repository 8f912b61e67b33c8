/* outgoing: the bytes that a client is still to be sent: how many may be kept, and which of them
 * wait for the end of the turn. */
#ifndef QCC_WORKER_CLIENT_OUTGOING_H
#define QCC_WORKER_CLIENT_OUTGOING_H

#include "common/base/buf.h"
#include "worker/loop/turn.h"
#include "worker/request/env/req_env.h"

#include <sys/uio.h>

struct service;

/* Whether the n pieces are to be kept until the end of this turn: they are few bytes, and more is
 * to be done before (TURN_SENDS). */
bool outgoing_waits(const struct turn *t, const struct iovec *iov, int n);

/* Appends what stands behind the first `skip` bytes of the n pieces. False: `out` would be over its
 * bound, or there is no memory; what was appended stays. */
bool outgoing_add(struct buf *out, const struct iovec *iov, int n, size_t skip) MUST_CHECK;

/* How many bytes may be kept for a client, by the configuration in force. */
size_t outgoing_bound(const struct req_env *env, const struct service *service);

#endif
