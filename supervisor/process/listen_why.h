/* listen_why: why an address cannot be listened on, and what to do, for people. */
#ifndef QCC_SUPERVISOR_PROCESS_LISTEN_WHY_H
#define QCC_SUPERVISOR_PROCESS_LISTEN_WHY_H

#include "common/base/base.h"
#include "common/base/err.h"

#include <sys/socket.h>

/* Writes "cannot listen on ADDRESS: WHY", with a hint: whether QCC has the address already (it is
 * asked, for at most 300 ms), or what serves a port below 1024. why: errno of the bind to `at`.
 * Returns false, as err_set. */
bool listen_why(struct err *e, const char *address, const struct sockaddr_storage *at,
                socklen_t len, int why);

#endif
