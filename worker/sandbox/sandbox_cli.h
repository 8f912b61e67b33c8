/* sandbox_cli: `qcc-worker --sandbox-test`: tests whether the sandbox holds on this machine. Tries
 * what an intruder would do and what a worker needs, each in a process of its own. */
#ifndef QCC_WORKER_SANDBOX_SANDBOX_CLI_H
#define QCC_WORKER_SANDBOX_SANDBOX_CLI_H

/* Prints one line per action: what was tried, the result, whether that is right. Returns the exit
 * code: 0: all is right; 1: something is not, or the sandbox could not be entered. */
int sandbox_cli(void);

#endif
