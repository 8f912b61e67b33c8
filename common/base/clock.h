/* clock: the only place that asks the kernel for the time. */
#ifndef QCC_COMMON_BASE_CLOCK_H
#define QCC_COMMON_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Milliseconds of CLOCK_MONOTONIC: for durations and time-outs of input and output. Stands while
 * the machine is suspended; the same in all processes of a machine. */
int64_t clock_mono_ms(void);

/* Microseconds of CLOCK_MONOTONIC. */
int64_t clock_mono_us(void);

/* Milliseconds of CLOCK_BOOTTIME, which goes on while the machine is suspended: for the ends of
 * states that last (cooldowns, open breakers, bindings). CLOCK_MONOTONIC where there is none. */
int64_t clock_boot_ms(void);

/* CLOCK_BOOTTIME less CLOCK_MONOTONIC: how many milliseconds the machine has been suspended. */
int64_t clock_suspended_ms(void);

/* Milliseconds since 1970 UTC: for logs, dates, and what is written to disk. */
int64_t clock_wall_ms(void);

/* "2026-01-31T12:00:00.123Z", 24 characters and NUL. */
void clock_format(int64_t wall_ms, char out[static 25]);

#endif
