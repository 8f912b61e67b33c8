/* signals: those that a supervisor obeys: TERM, INT, HUP, USR1, USR2. */
#ifndef QCC_SUPERVISOR_PROCESS_SIGNALS_H
#define QCC_SUPERVISOR_PROCESS_SIGNALS_H

#include "common/base/base.h"

#include <signal.h>

/* Blocks them until a loop watches them, or lets them come: a reload that is ordered in the first moment must
 * not end the process. */
void signals_block(bool on);

/* Blocks them and those of *base, and no others. */
void signals_block_only(const sigset_t *base);

#endif
