/* inherit: the other side of upgrade.h: a supervisor that takes the place of one that runs. It gets
 * that one's sockets and state, lets no worker accept before the state is its own, and listens
 * to what the other's workers report until the last of them has drained. */
#ifndef QCC_SUPERVISOR_INHERIT_H
#define QCC_SUPERVISOR_INHERIT_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/ipc/chan.h"
#include "supervisor/process/listen.h"

#include <ev.h>

struct sup;

enum inherit_phase {
    INHERIT_NONE,     /* nobody runs before us */
    INHERIT_READING,  /* what is given at first; blocking, before there is a loop */
    INHERIT_STARTING, /* until all workers have a configuration */
    INHERIT_TAKING,   /* TAKE is sent */
    INHERIT_SERVING,  /* the other one drains */
    INHERIT_OVER      /* and is gone */
};

struct inherit {
    enum inherit_phase phase;
    struct chan chan;
    ev_io rd, wr;
    struct listen_given given;
    int lock, state; /* descriptors of state_dir's lock and of the copy of what lasts, or -1 */
    int control;     /* qccctl's socket, or -1 */
    dev_t control_dev; /* of its file; 0: not told */
    ino_t control_ino;
    int ring, ring_reader; /* the log ring, or -1 */
    uint32_t version, pid;
    uint64_t gen;
    uint8_t secret[32];
    char build[65];
    bool same_words;  /* its workers' reports can be read */
    struct buf early; /* records of BINDS that came before there was a table */
};

/* Without a predecessor an empty one. Else reads what it gives. False: *e says why that is of no use. */
bool inherit_take(struct inherit *in, struct err *e) MUST_CHECK;

/* Whether the state is still the other one's: nothing is lent, ordered, accepted or saved. */
bool inherit_holding(const struct sup *s);

/* Whether workers of the other one still drain. */
bool inherit_waiting(const struct sup *s);

/* The loop is there, and what was copied is taken up. */
void inherit_start(struct sup *s);

/* All workers have a configuration: asks for the state; sup_go follows. */
void inherit_ready(struct sup *s);

/* Tells the other one why it has to go on, if it has not let go yet. */
void inherit_fail(struct inherit *in, const char *why);

/* An endpoint's state for its workers, which go by it until they have drained; of all endpoints. */
void inherit_tell(struct sup *s, const struct ipc_endpoint *m);
void inherit_tell_all(struct sup *s);

/* Places that HEALTH_PREDECESSOR is lent. */
void inherit_lend(struct sup *s, const struct ipc_lend *m);

/* Its log files are to be opened anew too. */
void inherit_pass_reopen(const struct sup *s);

/* Tells it that everything stops. */
void inherit_stop(struct sup *s);

void inherit_fini(struct sup *s);

#endif
