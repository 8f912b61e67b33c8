#include "supervisor/upgrade/successor_fork.h"

#include "common/base/fd.h"
#include "supervisor/process/signals.h"
#include "supervisor/upgrade/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Descriptors are moved to here or above, away from the fixed numbers. */
enum { ABOVE = 16 };

/* Runs in the child. It writes the state as of the fork from its copy of the memory; later changes
 * are sent over the channel. Every other descriptor is close-on-exec. */
static NORETURN void become_new(struct store *store, const char *program, const char *conf_path,
                                int sock)
{
    int state = memfd_create("qcc-state", MFD_CLOEXEC);
    bool ok = state != -1 && store_put(store, state);
    sock = fcntl(sock, F_DUPFD_CLOEXEC, ABOVE);
    state = fcntl(state, F_DUPFD_CLOEXEC, ABOVE);
    ok = ok && dup2(sock, HANDOVER_FD) != -1 && dup2(state, HANDOVER_STATE_FD) != -1 &&
         fd_cloexec(HANDOVER_FD, false) && fd_cloexec(HANDOVER_STATE_FD, false) &&
         setenv(HANDOVER_ENV, "1", 1) == 0 && unsetenv("WATCHDOG_PID") == 0;
    if (ok)
        execl(program, program, "-c", conf_path, (char *)NULL);
    dprintf(STDERR_FILENO, "qcc-supervisor: cannot execute %s: %s\n", program, strerror(errno));
    _exit(EXIT_FAILURE);
}

/* Runs in an intermediate process that ends at once, so that the successor becomes a child of the
 * process that started the first supervisor (systemd, init), which then sees its end and can
 * restart it. */
static NORETURN void fork_new(struct store *store, const char *program, const char *conf_path,
                              int sock, int report, const sigset_t *before)
{
    pid_t pid = fork();
    if (pid == 0) {
        /* signals that come before the successor has a loop wait until then */
        signals_block_only(before);
        become_new(store, program, conf_path, sock);
    }
    _exit(write(report, &pid, sizeof pid) == sizeof pid ? 0 : EXIT_FAILURE);
}

pid_t successor_fork(struct store *store, const char *program, const char *conf_path, int sock)
{
    int report[2];
    sigset_t all, before;
    pid_t pid = -1;
    if (pipe2(report, O_CLOEXEC) == -1)
        return -1;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before); /* no handler of the loop runs in the children */
    pid_t between = fork();
    if (between == 0)
        fork_new(store, program, conf_path, sock, report[1], &before);
    int why = errno;
    fd_close(&report[1]);
    if (between != -1) {
        why = EAGAIN; /* the error of fork(2) for a process limit */
        if (read(report[0], &pid, sizeof pid) != sizeof pid)
            pid = -1;
        waitpid(between, NULL, 0);
    }
    fd_close(&report[0]);
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = why;
    return pid;
}
