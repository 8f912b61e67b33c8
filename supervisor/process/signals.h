/* signals: the signals that a supervisor handles: TERM, INT, HUP, USR1, USR2. */
#ifndef QCC_SUPERVISOR_PROCESS_SIGNALS_H
#define QCC_SUPERVISOR_PROCESS_SIGNALS_H

#include "common/base/base.h"

#include <signal.h>

/* Blocks or unblocks the signals. They are blocked until a loop watches them, so that a SIGHUP
 * directly after the start does not end the process. */
void signals_block(bool on);

/* Blocks the signals and those of *base, and unblocks all others. */
void signals_block_only(const sigset_t *base);

#endif
