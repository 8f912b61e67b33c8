#include "worker/sandbox/sandbox_cli.h"

#include "worker/sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the actions tried: 0 or more: it works; -1: refused with errno */

static long try_fork(void)
{
    long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    return pid;
}

static long try_exec(void)
{
    static char *const argv[] = {(char *)"true", NULL};
    return syscall(SYS_execve, "/bin/true", argv, NULL);
}

static long try_write(void)
{
    return syscall(SYS_openat, AT_FDCWD, "/tmp/qcc-sandbox-test", O_WRONLY | O_CREAT | O_EXCL,
                   0600);
}

static long try_truncate(void)
{
    return syscall(SYS_openat, AT_FDCWD, "/nonexistent/qcc", O_RDONLY | O_TRUNC, 0);
}

static long try_read(void)
{
    return syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC, 0);
}

static long try_unlink(void)
{
    return syscall(SYS_unlinkat, AT_FDCWD, "/nonexistent/qcc", 0);
}

static long try_rename(void)
{
    return syscall(SYS_renameat2, AT_FDCWD, "/nonexistent/a", AT_FDCWD, "/nonexistent/b", 0);
}

static long try_mkdir(void)
{
    return syscall(SYS_mkdirat, AT_FDCWD, "/nonexistent/qcc", 0700);
}

static long try_chmod(void)
{
    return syscall(SYS_fchmodat, AT_FDCWD, "/nonexistent/qcc", 0777);
}

static long try_ptrace(void)
{
    return syscall(SYS_ptrace, 16 /* PTRACE_ATTACH */, getppid(), 0, 0);
}

static long try_memory(void)
{
    return syscall(SYS_process_vm_writev, getppid(), NULL, 0UL, NULL, 0UL, 0UL);
}

static long try_setuid(void)
{
    return syscall(SYS_setuid, 0);
}

static long try_unshare(void)
{
    return syscall(SYS_unshare, CLONE_NEWUSER);
}

static long try_mount(void)
{
    return syscall(SYS_mount, "none", "/nonexistent/qcc", "tmpfs", 0UL, NULL);
}

static long try_module(void)
{
    return syscall(SYS_init_module, NULL, 0UL, "");
}

static long try_bpf(void)
{
    return syscall(SYS_bpf, 0, NULL, 0);
}

static long try_perf(void)
{
    return syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0UL);
}

static long try_keyctl(void)
{
    return syscall(SYS_keyctl, 0, 0, 0, 0, 0);
}

static long try_userfault(void)
{
    return syscall(SYS_userfaultfd, 0);
}

static long try_packet(void)
{
    return socket(AF_PACKET, SOCK_RAW, 0);
}

static long try_alg(void)
{
    return socket(AF_ALG, SOCK_SEQPACKET, 0);
}

static long try_inet(void)
{
    return socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static long try_listen(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd == -1 ? 0 : listen(fd, 1);
}

static long try_kill(void)
{
    return syscall(SYS_kill, getppid(), 0);
}

static long try_code(void)
{
    void *p =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? -1 : 0;
}

static long try_mprotect(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? 0 : mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static long try_type(void)
{
    return ioctl(STDIN_FILENO, TIOCSTI, "x");
}

static long try_limits(void)
{
    struct rlimit r = {0, 0};
    return syscall(SYS_prlimit64, 0, RLIMIT_CORE, &r, NULL);
}

static long try_new_call(void)
{
    return syscall(100000);
}

static void *in_thread(void *arg)
{
    *(int *)arg = 1;
    return NULL;
}

static long try_thread(void)
{
    pthread_t t;
    int ran = 0;
    errno = pthread_create(&t, NULL, in_thread, &ran);
    if (errno)
        return -1;
    errno = pthread_join(t, NULL);
    return ran ? 0 : -1;
}

static long try_resolve(void)
{
    struct addrinfo *a;
    int rc = getaddrinfo("localhost", "443", NULL, &a);
    if (rc == 0)
        freeaddrinfo(a);
    return rc == 0 || rc == EAI_NONAME ? 0 : -1;
}

enum end { WORKS, REFUSED, KILLED };

static const struct {
    const char *what;
    long (*run)(void);
    enum end want;
    bool let; /* allowed in a build with AddressSanitizer (SANDBOX_RELAXED) */
} tries[] = {
    {"execute a program", try_exec, KILLED, false},
    {"write a file", try_write, KILLED, true},
    {"truncate a file", try_truncate, KILLED, true},
    {"unlink a file", try_unlink, KILLED, false},
    {"rename a file", try_rename, KILLED, false},
    {"make a folder", try_mkdir, KILLED, false},
    {"change a mode", try_chmod, KILLED, false},
    {"trace a process", try_ptrace, KILLED, true},
    {"write into a process", try_memory, KILLED, false},
    {"become root", try_setuid, KILLED, false},
    {"make a namespace", try_unshare, KILLED, false},
    {"mount", try_mount, KILLED, false},
    {"load a module", try_module, KILLED, false},
    {"load a BPF program", try_bpf, KILLED, false},
    {"open a performance event", try_perf, KILLED, false},
    {"use a keyring", try_keyctl, KILLED, false},
    {"handle page faults", try_userfault, KILLED, false},
    {"open a packet socket", try_packet, KILLED, false},
    {"open a crypto socket", try_alg, KILLED, false},
    {"fork", try_fork, REFUSED, true},
    {"listen", try_listen, REFUSED, false},
    {"signal a process", try_kill, REFUSED, true},
    {"get memory to write code to", try_code, REFUSED, false},
    {"make memory executable", try_mprotect, REFUSED, false},
    {"type into a terminal", try_type, REFUSED, false},
    {"set a limit", try_limits, REFUSED, true},
    {"call an unknown system call", try_new_call, REFUSED, false},
    {"read a file", try_read, WORKS, false},
    {"open a socket", try_inet, WORKS, false},
    {"start a thread", try_thread, WORKS, false},
    {"resolve a name", try_resolve, WORKS, false},
};

/* ---- trying */

enum { EXIT_WORKS, EXIT_REFUSED, EXIT_NO_SANDBOX };

static NORETURN void child(long (*run)(void))
{
    struct err e;
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    alarm(60);
    if (!sandbox_enter(&e)) {
        printf("there is no sandbox here: %s\n", e.msg);
        fflush(stdout);
        _exit(EXIT_NO_SANDBOX);
    }
    _exit(run() == -1 ? EXIT_REFUSED : EXIT_WORKS);
}

/* Runs one action in a child process; *end: how it ended. False: the result cannot be
 * determined. */
static bool come_of(long (*run)(void), enum end *end)
{
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        child(run);
    while (pid != -1 && waitpid(pid, &status, 0) == -1)
        if (errno != EINTR)
            return false;
    if (pid == -1 || (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_SANDBOX))
        return false;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        *end = KILLED;
    else if (WIFEXITED(status))
        *end = WEXITSTATUS(status) == EXIT_WORKS ? WORKS : REFUSED;
    else
        return false;
    return true;
}

int sandbox_cli(void)
{
    static const char *const words[] = {
        [WORKS] = "works", [REFUSED] = "refused", [KILLED] = "killed"};
    int wrong = 0;
    for (size_t i = 0; i < COUNT_OF(tries); i++) {
        enum end end;
        if (tries[i].let && SANDBOX_RELAXED) {
            printf("%-28s not tried: a build with AddressSanitizer may\n", tries[i].what);
            continue;
        }
        if (!come_of(tries[i].run, &end))
            return 1;
        bool right = end == tries[i].want;
        printf("%-28s %-8s %s\n", tries[i].what, words[end], right ? "ok" : "WRONG");
        wrong += !right;
    }
    if (wrong)
        printf("%d of %zu are not as they should be\n", wrong, COUNT_OF(tries));
    return wrong ? 1 : 0;
}
