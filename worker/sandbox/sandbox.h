/* sandbox: the system calls that a worker may use. A worker parses input from anyone; code that an
 * attacker got to run in it cannot execute a program, write a file, read another process, open a
 * raw socket or change the user. A seccomp filter (seccomp(2)) over all threads:
 *
 *   calls of the worker, libc, libcurl, OpenSSL   are allowed, some with certain arguments only
 *   calls that only an intruder makes             end the process with SIGSYS, which the supervisor
 *                                                 logs
 *   all others                                    fail with ENOSYS: a newer libc that tries a newer
 *                                                 call falls back to an older one */
#ifndef QCC_WORKER_SANDBOX_SANDBOX_H
#define QCC_WORKER_SANDBOX_SANDBOX_H

#include "common/base/base.h"
#include "common/base/err.h"

/* 1: the filter allows what AddressSanitizer needs: it writes reports to files, and its leak
 * checker stops the process with ptrace(2) from a clone. */
#if defined(__SANITIZE_ADDRESS__)
#define SANDBOX_RELAXED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) /* clang */
#define SANDBOX_RELAXED 1
#endif
#endif
#ifndef SANDBOX_RELAXED
#define SANDBOX_RELAXED 0
#endif

/* Sets no_new_privs and loads the filter, for the rest of the process's life. False with e set: the
 * kernel or a container refuses the filter; no_new_privs may be set. */
bool sandbox_enter(struct err *e) MUST_CHECK;

#endif
