/* usage: what a process costs the machine, as the kernel tells it (proc(5)). */
#ifndef QCC_SUPERVISOR_USAGE_H
#define QCC_SUPERVISOR_USAGE_H

#include "common/base/base.h"

#include <sys/types.h>

struct usage {
    int64_t cpu_ms;    /* so far, in user and kernel mode */
    uint64_t resident; /* bytes of memory */
};

/* Of one process. False: it is gone, or /proc is not there. */
bool usage_of(pid_t pid, struct usage *u) MUST_CHECK;

/* CPU time in milliseconds of all children that were waited for. */
int64_t usage_of_the_dead(void);

#endif
