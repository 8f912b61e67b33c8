/* sandbox_cli: `qcc-worker --sandbox-test`: whether the sandbox holds on this machine. Tries what an
 * intruder would, and what a worker needs, each in a process of its own. */
#ifndef QCC_WORKER_SANDBOX_SANDBOX_CLI_H
#define QCC_WORKER_SANDBOX_SANDBOX_CLI_H

/* One line each: what was tried, what came of it, and whether that is right. Returns the exit code: 0:
 * all is right; 1: it is not, or there is no sandbox here. */
int sandbox_cli(void);

#endif
