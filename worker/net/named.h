/* named: connects to a host by its name: resolves it (resolve.h), tries its addresses (race.h).
 * Where none of cached addresses is reached, the name is resolved anew at once. */
#ifndef QCC_WORKER_NET_NAMED_H
#define QCC_WORKER_NET_NAMED_H

#include "common/base/base.h"
#include "worker/net/detail.h"
#include "worker/net/race.h"
#include "worker/net/resolve.h"

#include <ev.h>

struct named;

/* How it ended: fd, now the callback's, or -1 with the reason; d: that in words, valid during the
 * call. Always called from the loop. */
typedef void named_done(void *arg, int fd, enum net_fault why, const struct detail *d);

struct named {
    struct ev_loop *loop;
    struct resolver *resolver;
    char *host;
    uint16_t port;
    ev_timer timer; /* while the name is resolved, or to report from the loop */
    ev_tstamp end;
    bool fresh; /* the name was resolved for this connection */
    struct resolve question;
    struct race race;        /* race.to NULL: none yet */
    struct addresses *tried; /* none of them was reached; NULL: none tried yet */
    enum net_fault why;
    const char *more; /* static; NULL: nothing */
    named_done *done;
    void *arg;
};

/* Starts to connect; `done` is called once, unless named_cancel is called before. n is the caller's
 * and must live until then. */
void named_start(struct named *n, struct ev_loop *loop, struct resolver *r, const char *host,
                 uint16_t port, int64_t timeout_ms, named_done *done, void *arg);

/* Gives up; no callback follows. Also required after the end. */
void named_cancel(struct named *n);

#endif
