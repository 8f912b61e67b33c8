/* race: connects to one of several addresses (RFC 8305): in their order, each as soon as one before
 * it has failed or 250 ms have passed; the first that connects wins. */
#ifndef QCC_WORKER_NET_RACE_H
#define QCC_WORKER_NET_RACE_H

#include "common/base/base.h"
#include "worker/net/connect.h"
#include "worker/net/resolve.h"

#include <ev.h>

enum {
    RACE_STEP_MS = 250, /* after which the next address is tried beside the others */
    RACE_LANES = 8      /* that are tried at once at most */
};

struct race;

struct lane {
    struct connect connect;
    struct race *race;
    size_t at; /* in race.to; of a lane that runs */
    bool runs;
};

struct race {
    struct ev_loop *loop;
    ev_timer timer;       /* for the next address, and for the end */
    struct addresses *to; /* owned; `failed` is set for those that were not reached */
    uint16_t port;
    size_t next; /* the address to be tried next */
    ev_tstamp end;
    enum net_fault why; /* of the first address that failed */
    struct lane lane[RACE_LANES];
    connect_done *done;
    void *arg;
};

/* Starts to connect to one of `to` (at least one), which becomes r's. `done` is called from the
 * loop, once, unless race_cancel is called before; then and there r->to still has the list, in
 * which all are marked failed that did not connect before the winner. */
void race_start(struct race *r, struct ev_loop *loop, struct addresses *to, uint16_t port,
                int64_t timeout_ms, connect_done *done, void *arg);

/* Gives up, closes the sockets and frees the list; no callback follows. Harmless after the end, but
 * for the list required once. */
void race_cancel(struct race *r);

#endif
