/* The protocol is one datagram to the socket that $NOTIFY_SOCKET names, and sd_notify(3) promises
 * that it stays so. Implemented here, since libsystemd and the four libraries it needs would take
 * 0.9 MB of the supervisor's memory. */
#include "supervisor/process/systemd.h"

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void say(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t n = path ? strlen(path) : 0;
    if ((n && path[0] != '/' && path[0] != '@') || n < 2 || n >= sizeof to.sun_path)
        return;
    memcpy(to.sun_path, path, n);
    if (path[0] == '@') /* the abstract namespace */
        to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return;
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    (void)!sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to, len);
    fd_close(&fd);
}

void systemd_ready(const char *status)
{
    char text[256];
    snprintf(text, sizeof text, "READY=1\nSTATUS=%s", status);
    say(text);
}

void systemd_reloading(void)
{
    /* Type=notify-reload matches READY to a reload by this time. */
    char text[64];
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_mono_us());
    say(text);
}

void systemd_main_pid(pid_t pid)
{
    char text[32];
    snprintf(text, sizeof text, "MAINPID=%ld", (long)pid);
    say(text);
}

void systemd_stopping(void)
{
    say("STOPPING=1");
}

void systemd_watchdog(void)
{
    say("WATCHDOG=1");
}

int64_t systemd_watchdog_ms(void)
{
    /* sd_watchdog_enabled(3): the variables are for the process that $WATCHDOG_PID names, or for
     * any */
    const char *pid = getenv("WATCHDOG_PID"), *usec = getenv("WATCHDOG_USEC");
    uint64_t who, us;
    if (!usec || !str_to_u64(str_c(usec), INT64_MAX, &us) || us == 0)
        return 0;
    if (pid && (!str_to_u64(str_c(pid), INT32_MAX, &who) || who != (uint64_t)getpid()))
        return 0;
    return us / 2000 ? (int64_t)(us / 2000) : 1;
}
