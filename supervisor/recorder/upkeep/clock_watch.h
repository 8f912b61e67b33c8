/* clock_watch: finds out that the wall clock was set, by its distance from CLOCK_BOOTTIME. Pure. */
#ifndef QCC_SUPERVISOR_RECORDER_UPKEEP_CLOCK_WATCH_H
#define QCC_SUPERVISOR_RECORDER_UPKEEP_CLOCK_WATCH_H

#include "common/base/base.h"
#include "common/base/err.h"

/* CLOCK_SET_MS: what is more than corrections of a clock that runs. */
enum { CLOCK_SET_MS = 3600000 };

/* Zero bytes are a valid start. */
struct clock_watch {
    int64_t apart_ms; /* CLOCK_REALTIME less CLOCK_BOOTTIME, when the clock was last set */
    bool begun;
};

/* By how many milliseconds the clock was set since it was last found to be set, or since the first
 * call; 0: by no more than CLOCK_SET_MS. */
int64_t clock_watch_look(struct clock_watch *c, int64_t wall_ms, int64_t boot_ms);

/* "the clock was set 3 h 25 min ahead". */
void clock_watch_text(int64_t by_ms, struct err *text);

#endif
