#include "supervisor/recorder/confine.h"

#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* All others fail with EPERM. By name: names that the library or the architecture lacks are
 * skipped. */
static const char *const allowed[] = {
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "open",
    "openat",
    "close",
    "lseek",
    "fstat",
    "stat",
    "lstat",
    "newfstatat",
    "statx",
    "statfs",
    "fstatfs",
    "access",
    "faccessat",
    "faccessat2",
    "fcntl",
    "flock",
    "ftruncate",
    "fsync",
    "fdatasync",
    "fallocate",
    "unlink",
    "unlinkat",
    "rename",
    "renameat",
    "renameat2",
    "readlink",
    "readlinkat",
    "getcwd",
    "getdents64",
    "fchmod",
    "umask",
    "poll",
    "ppoll",
    "recvmsg",
    "recvfrom",
    "sendmsg",
    "sendto",
    "brk",
    "mmap",
    "munmap",
    "mremap",
    "madvise",
    "mprotect",
    "futex",
    "clock_gettime",
    "clock_getres",
    "clock_nanosleep",
    "nanosleep",
    "gettimeofday",
    "time",
    "getrandom",
    "getpid",
    "gettid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sigaltstack",
    "restart_syscall",
    "tgkill",
    "exit",
    "exit_group",
    "getrlimit",
    "sysinfo",
    "uname",
    "sched_yield",
    "set_robust_list",
    "rseq",
#if defined(__SANITIZE_ADDRESS__)
    /* reports, and the leak checker, which stops the process from a clone */
    "clone",
    "ptrace",
    "wait4",
    "kill",
    "prctl",
    "prlimit64",
    "getppid",
    "sched_getaffinity",
    "getdents",
#endif
};

static const char *const deadly[] = {
    "socket",  "connect", "bind",     "listen", "accept",
    "accept4", "execve",  "execveat", "fork",   "vfork",
#if !defined(__SANITIZE_ADDRESS__)
    "clone",   "clone3",  "ptrace",
#endif
};

static int add(scmp_filter_ctx filter, uint32_t action, const char *name)
{
    int nr = seccomp_syscall_resolve_name(name);
    return nr < 0 ? 0 : seccomp_rule_add(filter, action, nr, 0);
}

static bool filter_calls(struct err *e)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int rc = filter ? 0 : -ENOMEM;
    for (size_t i = 0; i < COUNT_OF(allowed) && rc == 0; i++)
        rc = add(filter, SCMP_ACT_ALLOW, allowed[i]);
    for (size_t i = 0; i < COUNT_OF(deadly) && rc == 0; i++)
        rc = add(filter, SCMP_ACT_KILL_PROCESS, deadly[i]);
    if (rc == 0)
        rc = seccomp_load(filter);
    if (filter)
        seccomp_release(filter);
    errno = -rc;
    return rc == 0 || err_sys(e, "seccomp");
}

/* The leak checker looks its own threads up. */
static bool allow_checker(int rules)
{
#if defined(__SANITIZE_ADDRESS__)
    int dir = open("/proc", O_PATH | O_CLOEXEC);
    const struct landlock_path_beneath_attr proc = {.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE |
                                                                      LANDLOCK_ACCESS_FS_READ_DIR,
                                                    .parent_fd = dir};
    bool ok = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &proc, 0) == 0;
    fd_close(&dir);
    return ok;
#else
    (void)rules;
    return true;
#endif
}

/* A kernel without Landlock has the filter alone. */
static bool keep_to_folder(int dir, struct err *e)
{
    const uint64_t files = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |
                           LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                           LANDLOCK_ACCESS_FS_MAKE_REG;
    const struct landlock_ruleset_attr rules = {
        .handled_access_fs = files | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                             LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |
                             LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                             LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM};
    const struct landlock_path_beneath_attr here = {.allowed_access = files, .parent_fd = dir};
    int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);
    if (fd == -1)
        return errno == ENOSYS || errno == EOPNOTSUPP || errno == EPERM || err_sys(e, "landlock");
    bool ok = syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &here, 0) == 0 &&
              allow_checker(fd) && syscall(SYS_landlock_restrict_self, fd, 0) == 0;
    if (!ok)
        err_sys(e, "landlock");
    fd_close(&fd);
    return ok;
}

bool confine_enter(int dir, struct err *e)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
        return err_sys(e, "no_new_privs");
    return keep_to_folder(dir, e) && filter_calls(e);
}
