/* worker_ipc: what the supervisor sends to a worker. A supervisor that violates the protocol makes the
 * worker exit; one that is gone makes it finish what is in flight and exit. */
#ifndef QCC_WORKER_WORKER_IPC_H
#define QCC_WORKER_WORKER_IPC_H

struct worker;

/* Begins to read from the channel `fd`. */
void worker_ipc_start(struct worker *w, int fd);

/* Closes the channel. */
void worker_ipc_stop(struct worker *w);

#endif
