/* confine: what the recorder gives up before it reads a record: all system calls but those of files
 * and of its two sockets (seccomp), and all files but those of the history's folder (Landlock,
 * where the kernel has it). */
#ifndef QCC_SUPERVISOR_RECORDER_CONFINE_H
#define QCC_SUPERVISOR_RECORDER_CONFINE_H

#include "common/base/base.h"
#include "common/base/err.h"

/* Confines the process for the rest of its life to the folder `dir`. False: *e says what the kernel
 * refuses; the process may be confined in part. */
bool confine_enter(int dir, struct err *e) MUST_CHECK;

#endif
