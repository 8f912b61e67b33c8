/* notify: what systemd is told (sd_notify(3)) when it started us with Type=notify. Does nothing
 * elsewhere. */
#ifndef QCC_SUPERVISOR_NOTIFY_H
#define QCC_SUPERVISOR_NOTIFY_H

#include "common/base/base.h"

#include <sys/types.h>

/* Serving; also the end of a reload, done or refused. */
void notify_ready(const char *status);
void notify_reloading(void);
void notify_stopping(void);
void notify_watchdog(void);

/* Another process is the main one from now on. */
void notify_main_pid(pid_t pid);

/* Milliseconds between two calls of notify_watchdog, half of what systemd waits; 0: none. */
int64_t notify_watchdog_ms(void);

#endif
