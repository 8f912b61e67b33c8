/* worker_ipc: receives the supervisor's messages and acts on them. A supervisor that violates the
 * protocol makes the worker exit; when the supervisor is gone, the worker drains and exits. */
#ifndef QCC_WORKER_WORKER_IPC_H
#define QCC_WORKER_WORKER_IPC_H

struct worker;

/* Begins to read from the channel `fd`, which it takes over. */
void worker_ipc_start(struct worker *w, int fd);

/* Stops reading and closes the channel. */
void worker_ipc_stop(struct worker *w);

#endif
