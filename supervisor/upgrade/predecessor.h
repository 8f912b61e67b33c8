/* predecessor: the other side of successor.h, in a supervisor that replaces a running one, its
 * predecessor. It receives the predecessor's sockets and state, lets no worker accept before it
 * owns the state, and handles the reports of the predecessor's workers until the last of them has
 * drained. */
#ifndef QCC_SUPERVISOR_UPGRADE_PREDECESSOR_H
#define QCC_SUPERVISOR_UPGRADE_PREDECESSOR_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/ipc/chan.h"
#include "common/conf/conf.h"
#include "supervisor/process/listen.h"
#include "supervisor/shared/bindings.h"
#include "supervisor/shared/marks/marked.h"
#include "supervisor/upgrade/handover.h"
#include "supervisor/upgrade/successor.h"

#include <ev.h>

enum predecessor_phase {
    PREDECESSOR_NONE,     /* there is no predecessor */
    PREDECESSOR_READING,  /* receiving up to UP_READ; blocking, before there is a loop */
    PREDECESSOR_STARTING, /* until all workers have a configuration */
    PREDECESSOR_TAKING,   /* UP_TAKE is sent */
    PREDECESSOR_SERVING,  /* this supervisor owns the state, the predecessor drains */
    PREDECESSOR_OVER      /* the predecessor has ended */
};

struct predecessor_ops {
    /* Who this host is among those that share state; before go. */
    void (*cluster)(void *arg, const struct handover_cluster *c);
    /* This supervisor owns the state: its workers may accept. */
    void (*go)(void *arg);
    /* The predecessor has violated the protocol before UP_GO: this supervisor must end. */
    void (*failed)(void *arg, const char *why);
    /* This process is the main one of the service: systemd_ready may be called. */
    void (*serves)(void *arg);
    /* The predecessor's recorder has ended: that of this supervisor may start. May be called more
     * than once. */
    void (*history)(void *arg);
};

/* What the state is taken over into; borrowed. */
struct predecessor_env {
    struct ev_loop *loop;
    const struct plan_intent *intent;
    struct health *health;
    struct marked *marks;
    struct model_lists *lists;
    struct recent_kept *recent;
    struct totals *totals;
    struct bindings *bindings;
    struct store *store;
    struct successor *successor; /* gets the predecessor's workers' reports during another
                                    upgrade */
    const struct predecessor_ops *ops;
    void *arg; /* argument of ops */
};

struct predecessor {
    struct predecessor_env env;
    const struct conf *conf; /* the configuration in use while the state is taken over; else NULL */
    enum predecessor_phase phase;
    struct chan chan;
    ev_io rd, wr;
    struct listen_given given;
    struct handover handover; /* descriptors received; -1 once another part has taken one over */
    uint32_t version, pid;
    uint64_t gen;
    uint8_t secret[32];
    char build[65];
    char by[ASKER_BY]; /* who has ordered the upgrade; "": not known */
    uint32_t ipc;      /* IPC_VERSION of the predecessor */
    bool same_ipc;     /* the predecessor's IPC_VERSION is the same: its workers' frames can be
                          read */
    int64_t go_ms;     /* when this supervisor became the one that owns the state; 0: not yet */
    struct buf early;  /* records of BINDS that came before the table was restored */
};

/* Without a predecessor: PREDECESSOR_NONE. Else blocks until it has sent its descriptors. env is
 * copied. False: *e says why an upgrade is impossible. */
bool predecessor_take(struct predecessor *pre, const struct predecessor_env *env,
                      struct err *e) MUST_CHECK;

/* Whether the predecessor still owns the state: nothing may be lent, verified, accepted or saved
 * here. */
bool predecessor_holding(const struct predecessor *pre);

/* Whether workers of the predecessor still drain. */
bool predecessor_waiting(const struct predecessor *pre);

/* Takes over what was received so far; the channel is read by the loop from now on. c: the
 * configuration in use, which is not replaced before predecessor_ops.go. */
void predecessor_start(struct predecessor *pre, const struct conf *c);

/* Sends UP_TAKE when all workers have a configuration; predecessor_ops.go follows. */
void predecessor_ready(struct predecessor *pre);

/* Sends UP_FAILS with the reason, unless the predecessor has handed over already. */
void predecessor_fail(struct predecessor *pre, const char *why);

/* Sends UP_TELL with an endpoint's state for the predecessor's workers, which use it until they
 * have drained. */
void predecessor_send_endpoint(struct predecessor *pre, const struct ipc_endpoint *m);
/* The same of a cell's state: UP_TELL_CELL. */
void predecessor_send_cell(struct predecessor *pre, const struct ipc_cell *m);
/* Sends UP_TELL for each endpoint. */
void predecessor_send_endpoints(struct predecessor *pre);

/* Sends UP_LEND with places that were lent to HEALTH_PREDECESSOR. */
void predecessor_send_lend(struct predecessor *pre, const struct ipc_lend *m);

/* Sends UP_TRIAL with a trial that was lent to HEALTH_PREDECESSOR, for the worker that asked last.
 */
void predecessor_send_trial(struct predecessor *pre, const struct ipc_trial *m);

/* Sends SIGUSR1 to the predecessor while its workers drain, so that it opens its log file again. */
void predecessor_pass_reopen(const struct predecessor *pre);

/* Sends UP_STOP to the predecessor while its workers drain. */
void predecessor_stop(struct predecessor *pre);

/* Closes the channel and the descriptors that are left. */
void predecessor_fini(struct predecessor *pre);

#endif
