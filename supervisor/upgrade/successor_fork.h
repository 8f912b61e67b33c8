/* successor_fork: starts the process of the successor, with the copy of what lasts that it begins
 * with. */
#ifndef QCC_SUPERVISOR_UPGRADE_SUCCESSOR_FORK_H
#define QCC_SUPERVISOR_UPGRADE_SUCCESSOR_FORK_H

#include "supervisor/store/store.h"

#include <sys/types.h>

/* Starts the program with that configuration, as a child of the process that started this one.
 * sock: its end of the channel. Returns its process id; -1 with errno. */
pid_t successor_fork(struct store *store, const char *program, const char *conf_path, int sock);

#endif
