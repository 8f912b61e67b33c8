/* uplink: the sending half of a worker's channel to the supervisor. Messages are queued and written
 * by the loop. Once the supervisor is gone, messages are dropped. */
#ifndef QCC_WORKER_LOOP_UPLINK_H
#define QCC_WORKER_LOOP_UPLINK_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "common/ipc/chan.h"
#include "common/ipc/ipc.h"

#include <ev.h>

struct uplink {
    struct ev_loop *loop;
    struct chan chan; /* fd -1: the supervisor is gone */
    ev_io rd, wr;
    uint64_t gen; /* generation of the configuration in force; each message has it */
    /* Called when a message does not fit, as the supervisor does not read. Set by worker_ipc. */
    void (*broken)(struct uplink *u, const char *why);
};

/* Whether the channel is open. */
bool uplink_connected(const struct uplink *u);

/* Queues one message; put: its encoder, as for chan_send. Calls u->broken if it does not fit. */
void uplink_send(struct uplink *u, chan_put_fn *put, const void *m);

/* Sends OUTCOME: how one attempt ended. */
void uplink_outcome(struct uplink *u, const struct ipc_outcome *o);

/* Sends UNSERVED: a message that no endpoint served, or that one served after all. */
void uplink_unserved(struct uplink *u, const struct ipc_unserved *m);

/* Sends ITEM: an endpoint has served, or refused, a single thing that marks name. */
void uplink_item(struct uplink *u, const struct ipc_item *m);

/* Sends BINDS: records of common/policy/binding_table.h. */
void uplink_binds(struct uplink *u, struct str records);

/* Sends STATS: a total and records of common/ipc/stats.h. */
void uplink_stats(struct uplink *u, struct str total, struct str records);

/* Sends RECENT: records of common/ipc/recent_record.h, the answer to RECENT_ASK `id`. */
void uplink_recent(struct uplink *u, uint64_t id, struct str records);

/* Sends ASK: an operator's question `what` with its argument, and the operator's address; ANSWER
 * has the same id. */
void uplink_ask(struct uplink *u, uint64_t id, struct str what, struct str arg, struct str address);

#endif
