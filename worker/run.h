/* run: the life of a worker process: sets up its rooms, runs the event loop, tears all down. */
#ifndef QCC_WORKER_RUN_H
#define QCC_WORKER_RUN_H

/* Runs the worker of slot `slot` until it is drained or its channel breaks; returns the exit code.
 * `fd`: the channel to the supervisor; closed on return. */
int worker_run(int fd, unsigned slot);

#endif
