/* predecessor: the other side of successor.h: a supervisor that takes the place of one that runs. It gets
 * that one's sockets and state, lets no worker accept before the state is its own, and listens
 * to what the other's workers report until the last of them has drained. */
#ifndef QCC_SUPERVISOR_UPGRADE_PREDECESSOR_H
#define QCC_SUPERVISOR_UPGRADE_PREDECESSOR_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/ipc/chan.h"
#include "common/conf/conf.h"
#include "supervisor/process/listen.h"
#include "supervisor/shared/bindings.h"
#include "supervisor/upgrade/handover.h"
#include "supervisor/upgrade/successor.h"

#include <ev.h>

enum predecessor_phase {
    PREDECESSOR_NONE,     /* nobody runs before us */
    PREDECESSOR_READING,  /* what is given at first; blocking, before there is a loop */
    PREDECESSOR_STARTING, /* until all workers have a configuration */
    PREDECESSOR_TAKING,   /* TAKE is sent */
    PREDECESSOR_SERVING,  /* the other one drains */
    PREDECESSOR_OVER      /* and is gone */
};

struct predecessor_ops {
    /* The state is ours: all workers accept. */
    void (*go)(void *arg);
    /* The other one violates the protocol before it has let go: this supervisor ends. */
    void (*failed)(void *arg, const char *why);
    /* This process is the main one: systemd may be told that it serves. */
    void (*serves)(void *arg);
};

/* What is taken up; borrowed. */
struct predecessor_env {
    struct ev_loop *loop;
    const struct plan_intent *intent;
    struct health *health;
    struct totals *totals;
    struct bindings *bindings;
    struct store *store;
    struct successor *successor; /* gets the reports of the other one's workers, if it is there already */
    const struct predecessor_ops *ops;
    void *arg; /* of ops */
};

struct predecessor {
    struct predecessor_env env;
    const struct conf *conf; /* in use while the state is taken over; NULL before and afterwards */
    enum predecessor_phase phase;
    struct chan chan;
    ev_io rd, wr;
    struct listen_given given;
    struct handover handover; /* descriptors; a taker sets its own to -1 */
    uint32_t version, pid;
    uint64_t gen;
    uint8_t secret[32];
    char build[65];
    bool same_ipc;    /* it has our IPC_VERSION: frames of its workers can be decoded */
    struct buf early; /* records of BINDS that came before there was a table */
};

/* Empty when no supervisor runs before this one; else blocks until it has given its descriptors. env is copied.
 * False: *e says why an upgrade is impossible. */
bool predecessor_take(struct predecessor *pre, const struct predecessor_env *env, struct err *e) MUST_CHECK;

/* Whether the state is still the other one's: nothing is lent, ordered, accepted or saved. */
bool predecessor_holding(const struct predecessor *pre);

/* Whether workers of the other one still drain. */
bool predecessor_waiting(const struct predecessor *pre);

/* What was copied is taken up; the channel is read from now on. c: the configuration in use, which is not
 * replaced before predecessor_ops.go. */
void predecessor_start(struct predecessor *pre, const struct conf *c);

/* All workers have a configuration: asks for the state; predecessor_ops.go follows. */
void predecessor_ready(struct predecessor *pre);

/* Sends the other one why this one cannot serve, unless it has handed over already. */
void predecessor_fail(struct predecessor *pre, const char *why);

/* An endpoint's state, or those of all endpoints, for the workers of the other one, which go by it until they
 * have drained. */
void predecessor_send_endpoint(struct predecessor *pre, const struct ipc_endpoint *m);
void predecessor_send_endpoints(struct predecessor *pre);

/* Places that are lent to HEALTH_PREDECESSOR. */
void predecessor_send_lend(struct predecessor *pre, const struct ipc_lend *m);

/* Sends SIGUSR1 on to the other one while its workers drain: its log files are opened again. */
void predecessor_pass_reopen(const struct predecessor *pre);

/* Orders the other one, while its workers drain, to stop. */
void predecessor_stop(struct predecessor *pre);

/* Closes what is open. */
void predecessor_fini(struct predecessor *pre);

#endif
