/* inherit: the other side of successor.h: a supervisor that takes the place of one that runs. It gets
 * that one's sockets and state, lets no worker accept before the state is its own, and listens
 * to what the other's workers report until the last of them has drained. */
#ifndef QCC_SUPERVISOR_INHERIT_H
#define QCC_SUPERVISOR_INHERIT_H

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

enum inherit_phase {
    INHERIT_NONE,     /* nobody runs before us */
    INHERIT_READING,  /* what is given at first; blocking, before there is a loop */
    INHERIT_STARTING, /* until all workers have a configuration */
    INHERIT_TAKING,   /* TAKE is sent */
    INHERIT_SERVING,  /* the other one drains */
    INHERIT_OVER      /* and is gone */
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
    struct sessions *sessions;
    struct state *store;
    struct successor *successor; /* gets the reports of the other one's workers, if it is there already */
    const struct predecessor_ops *ops;
    void *arg; /* of ops */
};

struct inherit {
    struct predecessor_env env;
    const struct conf *conf; /* in use while the state is taken over; NULL before and afterwards */
    enum inherit_phase phase;
    struct chan chan;
    ev_io rd, wr;
    struct listen_given given;
    struct handover handover; /* who uses one sets it to -1 */
    uint32_t version, pid;
    uint64_t gen;
    uint8_t secret[32];
    char build[65];
    bool same_words;  /* its workers' reports can be read */
    struct buf early; /* records of BINDS that came before there was a table */
};

/* Without a predecessor an empty one. Else reads what it gives. False: *e says why that is of no use. */
bool inherit_take(struct inherit *in, const struct predecessor_env *env, struct err *e) MUST_CHECK;

/* Whether the state is still the other one's: nothing is lent, ordered, accepted or saved. */
bool inherit_holding(const struct inherit *in);

/* Whether workers of the other one still drain. */
bool inherit_waiting(const struct inherit *in);

/* What was copied is taken up; the channel is read from now on. c: the configuration in use, which is not
 * replaced before predecessor_ops.go. */
void inherit_start(struct inherit *in, const struct conf *c);

/* All workers have a configuration: asks for the state; predecessor_ops.go follows. */
void inherit_ready(struct inherit *in);

/* Tells the other one why it has to go on, if it has not let go yet. */
void inherit_fail(struct inherit *in, const char *why);

/* An endpoint's state for its workers, which go by it until they have drained; of all endpoints. */
void inherit_tell(struct inherit *in, const struct ipc_endpoint *m);
void inherit_tell_all(struct inherit *in);

/* Places that HEALTH_PREDECESSOR is lent. */
void inherit_lend(struct inherit *in, const struct ipc_lend *m);

/* Its log files are to be opened anew too. */
void inherit_pass_reopen(const struct inherit *in);

/* Tells it that everything stops. */
void inherit_stop(struct inherit *in);

void inherit_fini(struct inherit *in);

#endif
