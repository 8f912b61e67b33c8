/* systemd: what systemd is told (sd_notify(3)) when it started us with Type=notify. Does nothing
 * elsewhere. */
#ifndef QCC_SUPERVISOR_PROCESS_SYSTEMD_H
#define QCC_SUPERVISOR_PROCESS_SYSTEMD_H

#include "common/base/base.h"

#include <sys/types.h>

/* Serving; also the end of a reload, done or refused. */
void systemd_ready(const char *status);
void systemd_reloading(void);
void systemd_stopping(void);
void systemd_watchdog(void);

/* Another process is the main one from now on. */
void systemd_main_pid(pid_t pid);

/* Milliseconds between two calls of systemd_watchdog, half of what systemd waits; 0: none. */
int64_t systemd_watchdog_ms(void);

#endif
