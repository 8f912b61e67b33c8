/* shared_line: when a line of the log about the cluster is due: once for each thing that is to be
 * said, and a reminder now and then while it stays so. Pure. */
#ifndef QCC_COMMON_POLICY_SHARED_SHARED_LINE_H
#define QCC_COMMON_POLICY_SHARED_SHARED_LINE_H

#include "common/base/base.h"

/* How long after a line the same one is said again, if it still holds. */
enum { SHARED_REMIND_MS = 600000 };

/* Zero bytes: nothing was said. */
struct shared_line {
    bool any;      /* something was said */
    unsigned what; /* last */
    int64_t at_ms; /* then, CLOCK_BOOTTIME */
};

/* Whether `what` is to be said now, which then counts as said. remind: also where it was the last
 * thing said, SHARED_REMIND_MS ago. */
bool shared_line_due(struct shared_line *l, unsigned what, bool remind, int64_t now_ms);

#endif
