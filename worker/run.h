/* run: the life of a worker process: puts its rooms together, runs the loop, takes all apart. */
#ifndef QCC_WORKER_RUN_H
#define QCC_WORKER_RUN_H

/* Runs the worker on the channel `fd` until it is retired; returns the exit code. */
int worker_run(int fd, unsigned slot);

#endif
