#include "supervisor/children/spawn.h"

#include "common/ipc/ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST_FD = 3 };

static void reset_signals(void)
{
    /* Signals that a terminal sends to the whole process group are for the supervisor alone. */
    static const int ignored[] = {SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE};
    sigset_t none;
    sigemptyset(&none);
    for (size_t i = 0; i < COUNT_OF(ignored); i++)
        signal(ignored[i], SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Moves the descriptors to 3, 4, …, first out of each other's way. */
static bool give_fds(const int *fds, size_t n)
{
    int high[SPAWN_FDS];
    for (size_t i = 0; i < n; i++) {
        high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, FIRST_FD + SPAWN_FDS);
        if (high[i] == -1)
            return false;
    }
    for (size_t i = 0; i < n; i++)
        if (dup2(high[i], FIRST_FD + (int)i) == -1)
            return false;
    return true;
}

pid_t spawn_child(const char *program, char *const argv[], const int *fds, size_t n, bool quiet)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    reset_signals();
    if (give_fds(fds, n))
        execv(program, argv);
    if (!quiet)
        dprintf(STDERR_FILENO, "qcc-supervisor: cannot execute %s: %s\n", program, strerror(errno));
    _exit(WORKER_EXIT_NO_EXEC);
}

void spawn_end_text(int status, char *out, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(out, size, "signal %d (%s)%s", WTERMSIG(status), strsignal(WTERMSIG(status)),
                 WCOREDUMP(status) ? ", core dumped" : "");
    else
        snprintf(out, size, "exit code %d", WEXITSTATUS(status));
}
