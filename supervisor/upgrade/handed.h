/* handed: the descriptors that one supervisor hands over to the next, beside its listening sockets. */
#ifndef QCC_SUPERVISOR_HANDED_H
#define QCC_SUPERVISOR_HANDED_H

#include <sys/types.h>

struct handed {
    int lock;          /* of state_dir; -1: none, here and below */
    int state;         /* a file with what lasts, as it is in memory */
    int control;       /* the control socket */
    dev_t control_dev; /* of the control socket's file; 0: not known */
    ino_t control_ino;
    int ring, ring_reader; /* the log ring: to be written, to be read */
};

#endif
