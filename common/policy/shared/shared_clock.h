/* shared_clock: the engine's clock as this host knows it: its offset from CLOCK_BOOTTIME, by the
 * quickest answer of each minute. All stamps that hosts compare are of that clock; wall clocks
 * never are. Pure. */
#ifndef QCC_COMMON_POLICY_SHARED_SHARED_CLOCK_H
#define QCC_COMMON_POLICY_SHARED_SHARED_CLOCK_H

#include "common/base/base.h"

/* Zero bytes: no answer yet. */
struct shared_clock {
    bool known;
    int64_t offset_ms; /* engine's clock less CLOCK_BOOTTIME */
    int64_t took_ms;   /* how long the quickest answer of this minute took */
    int64_t since_ms;  /* when this minute began, CLOCK_BOOTTIME */
};

/* An answer that told the engine's time, between sending and receiving, CLOCK_BOOTTIME. Of one
 * minute the quickest counts. True if the offset has changed. */
bool shared_clock_answer(struct shared_clock *c, int64_t sent_ms, int64_t received_ms,
                         int64_t engine_ms);

/* A time of CLOCK_BOOTTIME by the engine's clock, and back. 0 stays 0, which means no time. */
int64_t shared_clock_engine(const struct shared_clock *c, int64_t boot_ms);
int64_t shared_clock_boot(const struct shared_clock *c, int64_t engine_ms);

#endif
