/* run: a supervisor from its beginning to its end. */
#ifndef QCC_SUPERVISOR_RUN_H
#define QCC_SUPERVISOR_RUN_H

/* Runs until it is ordered to stop; returns the exit code. Faults that prevent the start are
 * printed on stderr, one line each. */
int supervisor_run(const char *conf_path);

#endif
