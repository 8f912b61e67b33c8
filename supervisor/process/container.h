/* container: the rest of the life of a supervisor that is process 1 of a container and has handed
 * over to another one: the container ends with process 1, so it stays, passes signals on, and
 * reaps. */
#ifndef QCC_SUPERVISOR_PROCESS_CONTAINER_H
#define QCC_SUPERVISOR_PROCESS_CONTAINER_H

/* Whether this process is process 1 of a container. */
_Bool container_is_init(void);

/* Sends the signal to all other supervisors of the container: while this process drains, the one
 * that serves is its child. */
void container_pass_on(int sig);

/* Reaps children and passes the signals TERM, INT, HUP, USR1 and USR2 on. Returns when no child is
 * left: the exit code of the last supervisor, 128 + N if signal N has ended it; `code` if there was
 * none. */
int container_outlive(int code);

#endif
