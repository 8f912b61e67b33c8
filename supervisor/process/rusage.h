/* rusage: CPU time and memory of a process, from proc(5). */
#ifndef QCC_SUPERVISOR_PROCESS_RUSAGE_H
#define QCC_SUPERVISOR_PROCESS_RUSAGE_H

#include "common/base/base.h"

#include <sys/types.h>

struct rusage_cost {
    int64_t cpu_ms;    /* CPU time so far, in user and kernel mode */
    uint64_t resident; /* bytes of resident memory */
};

/* Reads the figures of one process. False: the process has ended, or /proc is not mounted. */
bool rusage_of(pid_t pid, struct rusage_cost *u) MUST_CHECK;

/* CPU time in milliseconds of all children that were waited for. */
int64_t rusage_reaped(void);

#endif
