/* demand: the models that requests ask for, at any worker. A worker tells the supervisor of each
 * once a minute at most (ASKED_HERE), which tells all workers (ASKED). */
#ifndef QCC_WORKER_SHARED_DEMAND_H
#define QCC_WORKER_SHARED_DEMAND_H

#include "common/ipc/ipc.h"
#include "common/policy/endpoint/asked.h"

struct uplink;

/* The owner sets the pointer once, before any call. */
struct demand {
    struct asked asked;
    struct uplink *uplink;
};

/* Notes that a request asks for the model (empty: it names none), and tells the supervisor if that
 * is due (asked_due). True: it was told something new: nobody had asked within the hour, and an
 * endpoint may come in reach. now_ms: CLOCK_BOOTTIME. */
bool demand_note(struct demand *d, struct str model, int64_t now_ms);

/* ASKED: a model was asked for at some worker. */
void demand_on_asked(struct demand *d, const struct ipc_asked *m);

#endif
