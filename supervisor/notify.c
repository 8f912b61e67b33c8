#include "supervisor/notify.h"

#ifdef QCC_SYSTEMD
#include "common/base/clock.h"

#include <systemd/sd-daemon.h>

void notify_ready(const char *status)
{
    sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void notify_reloading(void)
{
    /* Type=notify-reload matches READY to a reload by this time. */
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_mono_us());
}

void notify_stopping(void)
{
    sd_notify(0, "STOPPING=1");
}

void notify_watchdog(void)
{
    sd_notify(0, "WATCHDOG=1");
}

int64_t notify_watchdog_ms(void)
{
    uint64_t usec;
    if (sd_watchdog_enabled(0, &usec) <= 0)
        return 0;
    return usec / 2000 ? (int64_t)(usec / 2000) : 1;
}

#else

void notify_ready(const char *status)
{
    (void)status;
}

void notify_reloading(void) {}

void notify_stopping(void) {}

void notify_watchdog(void) {}

int64_t notify_watchdog_ms(void)
{
    return 0;
}

#endif
