#include "worker/sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <malloc.h>
#include <net/if.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* System calls that are allowed with any arguments. By name: names that the library or the
 * architecture lacks are skipped (aarch64 has no `poll`, an old libseccomp no `futex_waitv`). */
static const char *const allowed[] = {
    /* used by each request */
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_ctl",
    "read",
    "write",
    "readv",
    "writev",
    "recvfrom",
    "recvmsg",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "recvmmsg",
    "accept4",
    "close",
    "shutdown",
    "connect",
    "setsockopt",
    "getsockopt",
    "getsockname",
    "getpeername",
    "fcntl",
    "bind",
    "poll",
    "ppoll",
    "select",
    "pselect6",
    /* time; mostly in the vDSO */
    "clock_gettime",
    "clock_getres",
    "clock_nanosleep",
    "nanosleep",
    "gettimeofday",
    "time",
    "times",
    "getrusage",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    /* memory */
    "brk",
    "munmap",
    "mremap",
    "madvise",
    "mincore",
    "membarrier",
    /* threads (libcurl resolves names in one) and exit */
    "futex",
    "futex_wait",
    "futex_wake",
    "futex_waitv",
    "set_robust_list",
    "get_robust_list",
    "rseq",
    "set_tid_address",
    "gettid",
    "getpid",
    "getppid",
    "sched_yield",
    "sched_getaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigtimedwait",
    "sigaltstack",
    "restart_syscall",
    "exit",
    "exit_group",
    "arch_prctl",
    /* identity of the process, properties of the machine */
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getresuid",
    "getresgid",
    "getgroups",
    "uname",
    "sysinfo",
    "getrlimit",
    "getcpu",
    "getcwd",
    "getrandom",
    /* descriptors */
    "dup",
    "dup2",
    "dup3",
    "pipe",
    "pipe2",
    "eventfd2",
    "epoll_create1",
    "socketpair",
    "lseek",
    /* reading: resolver, locales, certificates, libraries of the name service */
    "fstat",
    "stat",
    "lstat",
    "newfstatat",
    "statx",
    "fstatfs",
    "statfs",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "pread64",
    "preadv",
    "getdents64",
    "fadvise64",
#if SANDBOX_RELAXED
    "open",
    "openat",
    "clone",
    "ptrace",
    "wait4",
    "kill",
    "tkill",
    "tgkill",
    "personality",
    "mkdir",
    "unlink",
    "rename",
    "ftruncate",
    "getdents",
    "process_vm_readv",
    "prctl",
    "prlimit64",
#endif
};

static const char *const deadly[] = {
    "execve",
    "execveat",
#if !SANDBOX_RELAXED
    "ptrace",
    "process_vm_readv",
    "unlink",
    "mkdir",
    "rename",
    "personality",
#endif
    "process_vm_writev",
    "process_madvise",
    "kcmp",
    "pidfd_getfd",
    /* other users, other namespaces and roots */
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setgroups",
    "setfsuid",
    "setfsgid",
    "capset",
    "unshare",
    "setns",
    "chroot",
    "pivot_root",
    "mount",
    "umount2",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsmount",
    "mount_setattr",
    /* the kernel's and the machine's settings */
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "keyctl",
    "add_key",
    "request_key",
    "reboot",
    "swapon",
    "swapoff",
    "iopl",
    "ioperm",
    "modify_ldt",
    "acct",
    "quotactl",
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "sethostname",
    "setdomainname",
    "open_by_handle_at",
    "fanotify_init",
    /* changes to the file system */
    "creat",
    "mkdirat",
    "rmdir",
    "unlinkat",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "mknod",
    "mknodat",
    "chmod",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "chown",
    "fchown",
    "lchown",
    "fchownat",
    "truncate",
    "setxattr",
    "lsetxattr",
    "fsetxattr",
    "utime",
    "utimes",
    "utimensat",
    "futimesat",
};

/* A filter that is being built; the first failure is kept and reported at the end. */
struct rules {
    scmp_filter_ctx filter;
    int failed; /* errno, or 0 */
};

static void add(struct rules *r, uint32_t action, const char *name, unsigned n,
                const struct scmp_arg_cmp *args)
{
    int nr = seccomp_syscall_resolve_name(name);
    if (nr < 0)
        return;
    int rc = seccomp_rule_add_array(r->filter, action, nr, n, args);
    if (rc < 0 && r->failed == 0)
        r->failed = -rc;
}

#define ADD(r, action, name, ...)                                                                  \
    add(r, action, name, (unsigned)COUNT_OF(((struct scmp_arg_cmp[]){__VA_ARGS__})),               \
        (struct scmp_arg_cmp[]){__VA_ARGS__})
#define ARG(n, how, a, b) ((struct scmp_arg_cmp){n, how, (uint64_t)(a), (uint64_t)(b)})
#define IS(n, value) ARG(n, SCMP_CMP_EQ, value, 0)
#define OVER(n, value) ARG(n, SCMP_CMP_GT, value, 0)
#define BITS(n, mask, value) ARG(n, SCMP_CMP_MASKED_EQ, mask, value)

#define ALLOW SCMP_ACT_ALLOW
#define KILL SCMP_ACT_KILL_PROCESS
#define REFUSE SCMP_ACT_ERRNO(EPERM)

#if !SANDBOX_RELAXED
/* Allows open(2) and its like for reading only. flags: number of the argument that has the
 * flags. */
static void add_open(struct rules *r, const char *name, unsigned flags)
{
    ADD(r, ALLOW, name, BITS(flags, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY));
    ADD(r, KILL, name, BITS(flags, O_ACCMODE, O_WRONLY));
    ADD(r, KILL, name, BITS(flags, O_ACCMODE, O_RDWR));
    ADD(r, KILL, name, BITS(flags, O_ACCMODE, O_ACCMODE));
    ADD(r, KILL, name, BITS(flags, O_CREAT, O_CREAT));
    ADD(r, KILL, name, BITS(flags, O_TRUNC, O_TRUNC));
}
#endif

/* Memory that was writable never becomes executable. Libraries may still be mapped: libc loads
 * those of the name service when they are first needed. */
static void add_memory(struct rules *r)
{
    ADD(r, ALLOW, "mprotect", BITS(2, PROT_EXEC, 0));
    ADD(r, REFUSE, "mprotect", BITS(2, PROT_EXEC, PROT_EXEC));
    ADD(r, ALLOW, "mmap", BITS(2, PROT_EXEC, 0));
    ADD(r, ALLOW, "mmap", BITS(2, PROT_EXEC | PROT_WRITE, PROT_EXEC), BITS(3, MAP_ANONYMOUS, 0));
    ADD(r, REFUSE, "mmap", BITS(2, PROT_EXEC | PROT_WRITE, PROT_EXEC),
        BITS(3, MAP_ANONYMOUS, MAP_ANONYMOUS));
    ADD(r, REFUSE, "mmap", BITS(2, PROT_EXEC | PROT_WRITE, PROT_EXEC | PROT_WRITE));
}

/* Allows Internet and Unix sockets, and of netlink the routes (libc, for addresses) and sock_diag
 * (peer_look). */
static void add_sockets(struct rules *r)
{
    ADD(r, ALLOW, "socket", IS(0, AF_UNIX));
    ADD(r, ALLOW, "socket", IS(0, AF_INET));
    ADD(r, ALLOW, "socket", IS(0, AF_INET6));
    ADD(r, ALLOW, "socket", IS(0, AF_NETLINK), IS(2, NETLINK_ROUTE));
    ADD(r, ALLOW, "socket", IS(0, AF_NETLINK), IS(2, NETLINK_SOCK_DIAG));
    for (int family = AF_UNIX; family < AF_NETLINK; family++)
        if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
            ADD(r, KILL, "socket", IS(0, family));
    ADD(r, KILL, "socket", OVER(0, AF_NETLINK)); /* AF_PACKET, AF_ALG, AF_VSOCK … */
}

static void add_rules(struct rules *r)
{
    for (size_t i = 0; i < COUNT_OF(allowed); i++)
        add(r, ALLOW, allowed[i], 0, NULL);
    for (size_t i = 0; i < COUNT_OF(deadly); i++)
        add(r, KILL, deadly[i], 0, NULL);
    add_memory(r);
    add_sockets(r);
#if !SANDBOX_RELAXED
    add_open(r, "open", 1);
    add_open(r, "openat", 2);
    /* Allows threads, not processes. A filter cannot read the flags of clone3, which are in memory;
     * where that fails with ENOSYS, libc uses clone. */
    ADD(r, ALLOW, "clone", BITS(0, CLONE_VM | CLONE_THREAD, CLONE_VM | CLONE_THREAD));
    ADD(r, ALLOW, "tgkill", IS(0, getpid())); /* abort() */
    ADD(r, ALLOW, "prlimit64", IS(2, 0));     /* new_limit NULL: reads the limit only */
    ADD(r, ALLOW, "prctl", IS(0, PR_SET_NAME));
    ADD(r, ALLOW, "prctl", IS(0, PR_GET_NAME));
    ADD(r, ALLOW, "prctl", IS(0, 0x53564d41)); /* PR_SET_VMA: newer libcs name their heaps */
#endif
    ADD(r, ALLOW, "ioctl", IS(1, FIONBIO));
    ADD(r, ALLOW, "ioctl", IS(1, FIONREAD));
    ADD(r, ALLOW, "ioctl", IS(1, TCGETS));
    ADD(r, ALLOW, "ioctl", IS(1, SIOCGIFINDEX)); /* the scope of an IPv6 address */
}

bool sandbox_enter(struct err *e)
{
    struct rules r = {.filter = NULL};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
        return err_sys(e, "no_new_privs");
    r.filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!r.filter)
        return err_set(e, "seccomp: no filter can be made");
    seccomp_attr_set(r.filter, SCMP_FLTATR_ACT_BADARCH, KILL);
    /* Binary search instead of one comparison after the other; libseccomp before 2.5 lacks it. */
    seccomp_attr_set(r.filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    /* Kernels before 5.16 turn off speculative store bypass (Spectre v4) in each process with a
     * filter, which is slow and protects only processes that run foreign code; a worker runs
     * none. */
    seccomp_attr_set(r.filter, SCMP_FLTATR_CTL_SSB, 1);
    int rc = seccomp_attr_set(r.filter, SCMP_FLTATR_CTL_TSYNC, 1);
    add_rules(&r);
    if (rc == 0)
        rc = r.failed ? -r.failed : seccomp_load(r.filter);
    seccomp_release(r.filter);
    malloc_trim(0); /* libseccomp used 256 KB to build the filter */
    errno = rc < 0 ? -rc : rc;
    return rc == 0 || err_sys(e, "seccomp");
}
