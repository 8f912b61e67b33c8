/* sandbox: what a worker may ask of the kernel. It parses what strangers send; should one of them ever
 * get it to run their code, that code cannot execute a program, write a file, look into another
 * process, open a raw socket or become somebody else. A seccomp filter (seccomp(2)) over all threads:
 *
 *   what a worker, libc, libcurl and OpenSSL use   is allowed, some of it by its arguments only
 *   what nobody but an intruder calls              ends the process: SIGSYS, and the supervisor's line
 *                                                  about it is the alarm
 *   all else                                       fails with ENOSYS: a newer libc that tries a newer
 *                                                  call falls back to the one it knows
 */
#ifndef QCC_WORKER_SANDBOX_SANDBOX_H
#define QCC_WORKER_SANDBOX_SANDBOX_H

#include "common/base/base.h"
#include "common/base/err.h"

/* AddressSanitizer writes its reports to files, and its leak checker stops the process with ptrace from
 * a clone of it: a build with it is let do so. */
#if defined(__SANITIZE_ADDRESS__)
#define SANDBOX_RELAXED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) /* clang's way to say it */
#define SANDBOX_RELAXED 1
#endif
#endif
#ifndef SANDBOX_RELAXED
#define SANDBOX_RELAXED 0
#endif

/* From here on, for good: no new privileges, and the filter. False: the kernel or a container refuses;
 * nothing but the privileges has changed. */
bool sandbox_enter(struct err *e) MUST_CHECK;

#endif
