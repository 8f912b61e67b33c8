/* dial: opens TCP connections to endpoints: to an address with connect.h, to a name with named.h,
 * through a proxy with libcurl (CURLOPT_CONNECT_ONLY on the multi socket interface), which speaks
 * HTTP CONNECT and SOCKS. The connected socket is taken away from libcurl. */
#ifndef QCC_WORKER_NET_DIAL_H
#define QCC_WORKER_NET_DIAL_H

#include "common/base/base.h"
#include "common/policy/outcome.h"
#include "worker/net/detail.h"

#include <ev.h>

struct dialer;
struct dial;

/* Makes the dialer of a worker; freed with dialer_free. libcurl is loaded by the first dial that
 * needs it. */
struct dialer *dialer_new(struct ev_loop *loop) MUST_CHECK;

/* Ends every dial without a callback and frees d. */
void dialer_free(struct dialer *d);

/* Version line of libcurl and of the libraries it uses; a static string. */
const char *dialer_library(void);

/* How a dial ended: fd (now the callback's: non-blocking, close-on-exec, TCP_NODELAY) or -1 with
 * the reason. d: that in words, valid during the call; NULL: there is no more to say. Always called
 * from the loop, never from dial_start. */
typedef void dial_done(void *arg, int fd, enum net_fault why, const struct detail *d);

/* Starts to connect to `host` (name, or address without brackets) and `port`, through `proxy` if it
 * is not NULL. The dial is valid until `done` or dial_cancel. NULL: out of memory, or libcurl could
 * not be started (logged). */
struct dial *dial_start(struct dialer *d, const char *host, uint16_t port, const char *proxy,
                        int64_t timeout_ms, dial_done *done, void *arg) MUST_CHECK;

/* Gives up and frees the dial; no callback follows. */
void dial_cancel(struct dial *dial);

#endif
