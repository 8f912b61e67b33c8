/* slot_send: what a worker is sent by its supervisor: all that it must know when it is new, and what changes
 * afterwards. To a slot without a process nothing is sent. */
#ifndef QCC_SUPERVISOR_SLOT_SEND_H
#define QCC_SUPERVISOR_SLOT_SEND_H

#include "common/base/str.h"
#include "common/conf/conf.h"
#include "supervisor/children/slot.h"
#include "supervisor/process/listen.h"
#include "supervisor/shared/bindings.h"
#include "supervisor/shared/health.h"

/* What a new worker begins with; everything is borrowed for the call. */
struct slot_welcome {
    uint64_t boot_ms;               /* of the supervisor, wall clock */
    struct str secret;              /* conversations are hashed with it */
    int log_fd, ring_fd;            /* as in slot_send_log, slot_send_ring */
    const struct conf *conf;
    const struct listen_set *listen; /* of conf */
    struct health *health;
};

/* All of it. The bindings follow piece by piece (slot_send_bindings), and after them START. */
void slot_send_welcome(struct slot *s, const struct slot_welcome *w);

/* The next piece of the bindings. True: it was the last one; else slot_ops.room is called when there is room
 * for more. */
bool slot_send_bindings(struct slot *s, struct bindings *from);

/* "Accept from now on", unless bindings are still to follow. */
void slot_send_start(struct slot *s);

/* The configuration, to be acknowledged. The states of its endpoints must follow when it is in use. */
void slot_send_conf(struct slot *s, const struct conf *c);

/* The difference between two sets of listening sockets; was NULL: all of set. */
void slot_send_listeners(struct slot *s, const struct listen_set *was, const struct listen_set *set);

/* The file that lines of the log go to; -1: stderr. */
void slot_send_log(struct slot *s, int log_fd);

#endif
