/* handover: what the two supervisors of an upgrade must agree on, beside the messages UP_… in messages.def. */
#ifndef QCC_SUPERVISOR_UPGRADE_HANDOVER_H
#define QCC_SUPERVISOR_UPGRADE_HANDOVER_H

#include <sys/types.h>

/* Of the messages UP_…: a reader that knows less refuses. */
enum { HANDOVER_VERSION = 1 };

/* The new one's descriptors: the channel, and a file with what lasts; and the environment variable that says
 * that they are there. */
enum { HANDOVER_FD = 3, HANDOVER_STATE_FD = 4 };
#define HANDOVER_ENV "QCC_UPGRADE"

/* What UP_SOCKET carries. */
enum handover_kind {
    HANDOVER_LISTENER,
    HANDOVER_FOREIGN, /* a listener that systemd opened */
    HANDOVER_CONTROL, /* the control socket's */
    HANDOVER_LOCK,    /* of state_dir */
    HANDOVER_RING,    /* the log ring, to be written */
    HANDOVER_RING_READER
};

/* The descriptors that are handed over beside listening sockets. */
struct handover {
    int lock;          /* of state_dir; -1: none, here and below */
    int state;         /* a file with what lasts, as it is in memory */
    int control;       /* the control socket */
    dev_t control_dev; /* of the control socket's file; 0: not known */
    ino_t control_ino;
    int ring, ring_reader; /* the log ring: to be written, to be read */
};

#endif
