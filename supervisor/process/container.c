#include "supervisor/process/container.h"

#include "common/base/base.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

bool container_is_init(void)
{
    return getpid() == 1;
}

/* The text of a file, cut at `size` bytes. */
static struct str text_of(const char *path, char *room, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd == -1 ? -1 : read(fd, room, size);
    fd_close(&fd);
    return str_make(room, n > 0 ? (size_t)n : 0);
}

static bool is_supervisor(uint64_t pid)
{
    char path[64], name[32];
    snprintf(path, sizeof path, "/proc/%llu/comm", (unsigned long long)pid);
    return str_starts(text_of(path, name, sizeof name), STR("qcc-supervisor"));
}

/* Supervisors alone get the signal; each one passes it on to its own workers. */
void container_pass_on(int sig)
{
    DIR *d = opendir("/proc");
    for (const struct dirent *f; d && (f = readdir(d));) {
        uint64_t pid;
        if (str_to_u64(str_c(f->d_name), INT32_MAX, &pid) && pid > 1 && is_supervisor(pid))
            kill((pid_t)pid, sig);
    }
    if (d)
        closedir(d);
}

/* Reaps one child that has ended; false: there is no child left. Only exit codes of supervisors
 * count: workers may outlive a supervisor that was killed. */
static bool reap(int *code)
{
    for (;;) {
        siginfo_t who = {0};
        int status;
        if (waitid(P_ALL, 0, &who, WEXITED | WNOHANG | WNOWAIT) == -1)
            return errno != ECHILD;
        if (who.si_pid == 0)
            return true;
        bool counts = is_supervisor((uint64_t)who.si_pid); /* readable until it is reaped */
        if (waitpid(who.si_pid, &status, 0) == who.si_pid && counts)
            *code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
}

int container_outlive(int code)
{
    static const int taken[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < COUNT_OF(taken); i++)
        sigaddset(&set, taken[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    log_info("process 1 stays until the supervisors after it have ended");
    while (reap(&code)) {
        int sig = sigwaitinfo(&set, NULL);
        if (sig > 0 && sig != SIGCHLD)
            container_pass_on(sig);
    }
    return code;
}
