#include "supervisor/recorder/upkeep/wal_watch.h"

bool wal_watch_look(struct wal_watch *w, uint64_t size, int64_t boot_ms)
{
    if (size <= WAL_LARGE) {
        w->since_ms = 0;
        return false;
    }
    if (!w->since_ms)
        w->since_ms = boot_ms;
    if (boot_ms - w->since_ms < WAL_HELD_MS ||
        (w->reported_ms && boot_ms - w->reported_ms < WAL_AGAIN_MS))
        return false;
    w->reported_ms = boot_ms;
    return true;
}
