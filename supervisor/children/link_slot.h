/* link_slot: the process that talks to the engine through which hosts share state (qcc-link). It is
 * started where cluster.url is set, watched, and started again; serving never depends on it. What
 * it says goes to whoever filled in the ops. */
#ifndef QCC_SUPERVISOR_CHILDREN_LINK_SLOT_H
#define QCC_SUPERVISOR_CHILDREN_LINK_SLOT_H

#include "common/ipc/chan.h"
#include "supervisor/children/backoff.h"

#include <ev.h>
#include <sys/types.h>

struct link_slot_ops {
    /* A process runs and awaits LINK_CONF. */
    void (*started)(void *arg);
    /* A frame of it. False: it violates the protocol, and is killed. */
    bool (*frame)(void *arg, struct ipc_frame *f, struct err *e);
    /* It has ended. told: it was asked to, and did it well. */
    void (*ended)(void *arg, bool told);
};

enum link_phase {
    LINK_SLOT_OFF,     /* no process is wanted, and there is none */
    LINK_SLOT_WAITING, /* none; the next start is at the timer */
    LINK_SLOT_RUNNING,
    LINK_SLOT_STOPPING /* LINK_STOP was sent; killed at the timer */
};

struct link_slot {
    struct ev_loop *loop;
    const struct link_slot_ops *ops;
    void *arg;
    char *program; /* owned; NULL: there is none */
    bool wanted;
    enum link_phase phase;
    pid_t pid;
    struct chan chan;
    ev_io rd, wr;
    ev_child child;
    ev_timer timer;
    struct backoff backoff;
    int64_t started_ms; /* CLOCK_MONOTONIC */
    unsigned failures;  /* processes that ended without having been told to */
};

/* Makes one that is off. program: its path, taken over; NULL: none was found. ops is borrowed. */
void link_slot_init(struct link_slot *l, struct ev_loop *loop, char *program,
                    const struct link_slot_ops *ops, void *arg);

/* on: a process is to run. anew: one that runs is replaced, as its configuration is another. */
void link_slot_want(struct link_slot *l, bool on, bool anew);

/* Sends a message. False: no process runs, or it does not read and was killed. */
bool link_slot_send(struct link_slot *l, chan_put_fn *put, const void *m);

/* Tells it to send what waits and to end, and starts none. keep: what this host has in the cluster
 * stays its own, for another supervisor. False: there is none left. */
bool link_slot_stop(struct link_slot *l, bool keep);

/* Kills it and frees all. */
void link_slot_free(struct link_slot *l);

#endif
