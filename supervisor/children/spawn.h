/* spawn: starts the program of a child: signals as it expects them, its descriptors from 3 on. */
#ifndef QCC_SUPERVISOR_CHILDREN_SPAWN_H
#define QCC_SUPERVISOR_CHILDREN_SPAWN_H

#include "common/base/base.h"

#include <sys/types.h>

/* Most descriptors that are given to a child. */
enum { SPAWN_FDS = 4 };

/* Forks and executes the program, found by `program`, with the arguments argv, which ends with
 * NULL. The n descriptors become 3, 4, …; every other one must be close-on-exec. The child exits
 * with WORKER_EXIT_NO_EXEC when the program cannot be executed; `quiet`: without a line on stderr.
 * Returns the process id; -1 with errno: it could not be forked. */
pid_t spawn_child(const char *program, char *const argv[], const int *fds, size_t n, bool quiet);

/* How a process ended, in words: "exit code 1", "signal 11 (Segmentation fault)". status: as of
 * waitpid(2). */
void spawn_end_text(int status, char *out, size_t size);

#endif
