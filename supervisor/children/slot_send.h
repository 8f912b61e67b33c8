/* slot_send: the messages to a worker: all that a new worker needs, and what changes afterwards.
 * Nothing is sent to a slot without a process. */
#ifndef QCC_SUPERVISOR_CHILDREN_SLOT_SEND_H
#define QCC_SUPERVISOR_CHILDREN_SLOT_SEND_H

#include "common/base/str.h"
#include "common/conf/conf.h"
#include "supervisor/children/slot.h"
#include "supervisor/process/listen.h"
#include "supervisor/shared/bindings.h"
#include "supervisor/shared/health/health.h"
#include "supervisor/shared/marks/marked.h"
#include "supervisor/shared/model_lists.h"

/* What a new worker gets; everything is borrowed for the call. */
struct slot_welcome {
    uint64_t boot_ms;    /* start of the supervisor, CLOCK_REALTIME */
    struct str secret;   /* conversations are hashed with it */
    struct str tickets;  /* of them workers make the keys of TLS session tickets */
    int log_fd, ring_fd; /* as in slot_send_log, slot_send_ring */
    int feed;            /* as in slot_send_feed */
    const struct conf *conf;
    const struct listen_set *listen; /* sockets of conf */
    struct health *health;
    struct marked *marks;
    const struct model_lists *lists;
};

/* Sends all of w. The bindings follow piece by piece (slot_send_bindings), and after them START. */
void slot_send_welcome(struct slot *s, const struct slot_welcome *w);

/* Sends the next piece of the bindings. True: it was the last one; else slot_ops.room is called
 * when there is room for more. */
bool slot_send_bindings(struct slot *s, struct bindings *from);

/* Sends the end of the feed that records of requests go to; -1: there is no history. The caller
 * keeps the descriptor. */
void slot_send_feed(struct slot *s, int feed);

/* Sends START, unless bindings are still to follow. */
void slot_send_start(struct slot *s);

/* Sends the configuration, which the worker acknowledges. The states of its endpoints must follow
 * when it is in use. */
void slot_send_conf(struct slot *s, const struct conf *c);

/* Sends the difference between two sets of listening sockets; was NULL: all of set. */
void slot_send_listeners(struct slot *s, const struct listen_set *was,
                         const struct listen_set *set);

/* Has a worker that is about to be retired tell its last requests, its share of RECENT_KEPT, and
 * from now on each that ends; none if it is retiring already. */
void slot_send_keep(struct slot *s, const struct slots *all);

/* Sends the file that the log is written to; -1: stderr. The caller keeps the descriptor. */
void slot_send_log(struct slot *s, int log_fd);

#endif
