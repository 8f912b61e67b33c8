#include "supervisor/link/link_confine.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sys/prctl.h>

/* What only an intruder would try. The resolver of the C library loads modules, and speaks to
 * whatever the system has: sockets and memory that can be executed stay. */
static const char *const deadly[] = {
    "execve",
    "execveat",
    "fork",
    "vfork",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "bpf",
    "setuid",
    "setgid",
    "setreuid",
    "setresuid",
    "setgroups",
    "unshare",
    "setns",
    "keyctl",
    "add_key",
    "process_vm_readv",
    "process_vm_writev",
    "userfaultfd",
    "reboot",
    "swapon",
    "perf_event_open",
#if !defined(__SANITIZE_ADDRESS__)
    "ptrace",
#endif
};

static const char *const refused[] = {
    "listen",    "accept", "accept4", "unlink",   "unlinkat",  "rename", "renameat",
    "renameat2", "mkdir",  "mkdirat", "rmdir",    "link",      "linkat", "symlink",
    "symlinkat", "mknod",  "mknodat", "truncate", "ftruncate", "chmod",  "fchmod",
    "fchmodat",  "chown",  "fchown",  "lchown",   "fchownat",  "creat",  "openat2",
};

static int add(scmp_filter_ctx filter, uint32_t action, const char *name)
{
    int nr = seccomp_syscall_resolve_name(name);
    return nr < 0 ? 0 : seccomp_rule_add(filter, action, nr, 0);
}

/* Files are opened for reading alone. */
static int refuse_writing(scmp_filter_ctx filter)
{
    static const int bits[] = {O_WRONLY, O_RDWR, O_CREAT};
    int rc = 0;
    for (size_t i = 0; i < COUNT_OF(bits) && rc == 0; i++)
        rc = seccomp_rule_add(
            filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(openat), 1,
            SCMP_A2(SCMP_CMP_MASKED_EQ, (scmp_datum_t)bits[i], (scmp_datum_t)bits[i]));
#ifdef __NR_open
    for (size_t i = 0; i < COUNT_OF(bits) && rc == 0; i++)
        rc = seccomp_rule_add(
            filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(open), 1,
            SCMP_A1(SCMP_CMP_MASKED_EQ, (scmp_datum_t)bits[i], (scmp_datum_t)bits[i]));
#endif
    return rc;
}

bool link_confine(struct err *e)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
        return err_sys(e, "no_new_privs");
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int rc = filter ? 0 : -ENOMEM;
    for (size_t i = 0; i < COUNT_OF(deadly) && rc == 0; i++)
        rc = add(filter, SCMP_ACT_KILL_PROCESS, deadly[i]);
    for (size_t i = 0; i < COUNT_OF(refused) && rc == 0; i++)
        rc = add(filter, SCMP_ACT_ERRNO(EPERM), refused[i]);
    if (rc == 0)
        rc = refuse_writing(filter);
    if (rc == 0)
        rc = seccomp_load(filter);
    if (filter)
        seccomp_release(filter);
    errno = -rc;
    return rc == 0 || err_sys(e, "seccomp");
}
