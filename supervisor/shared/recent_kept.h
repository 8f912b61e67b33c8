/* recent_kept: records of the last requests of workers that have ended or are about to: those that
 * a reload or an upgrade has replaced. */
#ifndef QCC_SUPERVISOR_SHARED_RECENT_KEPT_H
#define QCC_SUPERVISOR_SHARED_RECENT_KEPT_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "common/ipc/recent_record.h"

/* Records that are kept. */
enum { RECENT_KEPT = 256 };

struct recent_kept {
    struct recent_record
        *v; /* owned, the newest first, with room for a RECENT; NULL until the first */
    size_t n;
};

/* Adds the records of a RECENT; of more than RECENT_KEPT the newest stay. False: they are none. */
bool recent_kept_add(struct recent_kept *k, struct str records) MUST_CHECK;

/* Frees all; *k is empty afterwards. */
void recent_kept_fini(struct recent_kept *k);

/* Sorts records, the newest first, and drops those that are there twice. Returns how many there
 * are. */
size_t recent_kept_sort(struct recent_record *v, size_t n);

#endif
