/* dial: opens TCP connections to endpoints: those to an address by connect.h, all others with libcurl
 * (CURLOPT_CONNECT_ONLY on the multi socket interface): resolving with a cache, racing of IPv6 and IPv4,
 * HTTP CONNECT and SOCKS proxies. The connected socket is handed over and libcurl forgets it. The only
 * user of curl_*. */
#ifndef QCC_WORKER_DIAL_H
#define QCC_WORKER_DIAL_H

#include "common/base/base.h"
#include "common/policy/outcome.h"

#include <ev.h>

struct dialer;
struct dial;

/* One dialer per worker. libcurl itself is loaded with the first dial (dial_lib.h). */
struct dialer *dialer_new(struct ev_loop *loop) MUST_CHECK;

/* Ends every dial without a callback. */
void dialer_free(struct dialer *d);

/* libcurl and what it is built with, in one line; static. */
const char *dialer_library(void);

/* How a dial ended: fd (now the caller's: non-blocking, close-on-exec, TCP_NODELAY) or -1 with the
 * reason. Always called from the loop, never from dial_start. */
typedef void dial_done(void *arg, int fd, enum net_fault why);

/* Starts to connect to host (name or address without brackets) and port, through `proxy` if it is
 * not NULL. NULL: no memory, or no libcurl, which the log says. */
struct dial *dial_start(struct dialer *d, const char *host, uint16_t port, const char *proxy,
                        int64_t timeout_ms, dial_done *done, void *arg) MUST_CHECK;

/* Gives up; no callback follows. */
void dial_cancel(struct dial *dial);

#endif
