/* container: what a supervisor does that was started as process 1 of a container and has handed over to
 * another one: the container ends with process 1, so it stays, passes signals on, and reaps. */
#ifndef QCC_SUPERVISOR_PROCESS_CONTAINER_H
#define QCC_SUPERVISOR_PROCESS_CONTAINER_H

/* Whether this process is process 1 of a container. */
_Bool container_is_init(void);

/* To all other supervisors of the container: while ours drains, the one that serves is its child. */
void container_pass_on(int sig);

/* Returns when no child is left: the exit code of the last supervisor, 128 + N for one that signal N has
 * ended; `code` if none was left. Signals TERM, INT, HUP, USR1 and USR2 are passed on. */
int container_outlive(int code);

#endif
