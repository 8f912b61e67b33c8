/* systemd: messages to systemd (sd_notify(3)) when it started this process with Type=notify. Does
 * nothing elsewhere. */
#ifndef QCC_SUPERVISOR_PROCESS_SYSTEMD_H
#define QCC_SUPERVISOR_PROCESS_SYSTEMD_H

#include "common/base/base.h"

#include <sys/types.h>

/* Sends READY with a status: the service serves, or a reload has ended, done or refused. */
void systemd_ready(const char *status);
/* Sends RELOADING: a reload has begun. */
void systemd_reloading(void);
/* Sends STOPPING: the service ends. */
void systemd_stopping(void);
/* Sends WATCHDOG: the supervisor is alive. */
void systemd_watchdog(void);

/* Sends MAINPID: another process is the main one from now on. */
void systemd_main_pid(pid_t pid);

/* Milliseconds between two calls of systemd_watchdog, half of systemd's limit; 0: systemd sets
 * none. */
int64_t systemd_watchdog_ms(void);

#endif
