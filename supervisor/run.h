/* run: a supervisor from its beginning to its end. */
#ifndef QCC_SUPERVISOR_RUN_H
#define QCC_SUPERVISOR_RUN_H

/* Runs until told to stop; returns the exit code. What keeps it from starting is printed on stderr, one line
 * each. */
int supervisor_run(const char *conf_path);

#endif
