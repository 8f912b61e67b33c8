/* wal_watch: finds out that the write-ahead log is not emptied: a process that reads the database
 * without end holds it. Pure. */
#ifndef QCC_SUPERVISOR_RECORDER_UPKEEP_WAL_WATCH_H
#define QCC_SUPERVISOR_RECORDER_UPKEEP_WAL_WATCH_H

#include "common/base/base.h"

/* WAL_LARGE: bytes that are more than bursts need. WAL_HELD_MS: how long it is larger before it is
 * reported; WAL_AGAIN_MS: between two reports. */
enum { WAL_LARGE = 64 << 20, WAL_HELD_MS = 600000, WAL_AGAIN_MS = 3600000 };

/* Zero bytes are a valid start. */
struct wal_watch {
    int64_t since_ms;    /* when it was found to be large; 0: it is not */
    int64_t reported_ms; /* 0: never */
};

/* Whether it is to be reported now. size: of the log in bytes; boot_ms: CLOCK_BOOTTIME, not 0. */
bool wal_watch_look(struct wal_watch *w, uint64_t size, int64_t boot_ms);

#endif
