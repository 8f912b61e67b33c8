/* handover: what the two supervisors of an upgrade must agree on, beside the UP_ messages in
 * messages.def. */
#ifndef QCC_SUPERVISOR_UPGRADE_HANDOVER_H
#define QCC_SUPERVISOR_UPGRADE_HANDOVER_H

#include <sys/types.h>

/* Version of the UP_ messages: a successor of another version refuses. */
enum { HANDOVER_VERSION = 1 };

/* Descriptors that the successor starts with, the channel and a file with what lasts, and the
 * environment variable that is set when they are there. */
enum { HANDOVER_FD = 3, HANDOVER_STATE_FD = 4 };
#define HANDOVER_ENV "QCC_UPGRADE"

/* The environment variable that says who has ordered the upgrade, behind the process id of the
 * supervisor that it came to: an earlier build passes on what it does not know. */
#define HANDOVER_BY_ENV "QCC_UPGRADE_BY"

/* The first IPC_VERSION whose supervisors know UP_HISTORY. An earlier one must not be sent it. */
enum { HANDOVER_HISTORY_IPC = 11 };
/* The same of UP_PAST. */
enum { HANDOVER_PAST_IPC = 13 };
/* The same of UP_MARK. */
enum { HANDOVER_MARK_IPC = 14 };
/* The same of UP_LIST. */
enum { HANDOVER_LIST_IPC = 16 };
/* The same of UP_CELL. As it comes before UP_GO, a successor that knows it says its own IPC_VERSION
 * before UP_TAKE, in an UP_TELL without fields, to a predecessor of that version or a later one. */
enum { HANDOVER_CELL_IPC = 14 };

/* The kind of descriptor that UP_SOCKET carries. */
enum handover_kind {
    HANDOVER_LISTENER,
    HANDOVER_FOREIGN, /* a listener that systemd opened */
    HANDOVER_CONTROL, /* the control socket */
    HANDOVER_LOCK,    /* the lock of state_dir */
    HANDOVER_RING,    /* the log ring, to be written */
    HANDOVER_RING_READER,
    HANDOVER_FEED, /* the feed (children/recorder.h), to be written */
    HANDOVER_FEED_READER
};

/* The descriptors that are handed over beside listening sockets. */
struct handover {
    int lock;          /* the lock of state_dir; -1: none, as for all members */
    int state;         /* a file with what lasts, newer than the one on disk */
    int control;       /* the control socket */
    dev_t control_dev; /* of the control socket's file; 0: not known */
    ino_t control_ino;
    int ring, ring_reader; /* the log ring: to be written, to be read */
    int feed, feed_reader; /* the feed: to be written, to be read */
};

#endif
