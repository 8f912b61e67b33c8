/* shared_log: how far this host has read the log that hosts share, and whether it may read on: the
 * log is trimmed, may lose entries in a failover, and may begin anew. Pure. */
#ifndef QCC_COMMON_POLICY_SHARED_SHARED_LOG_H
#define QCC_COMMON_POLICY_SHARED_SHARED_LOG_H

#include "common/base/base.h"
#include "common/base/str.h"

enum { SHARED_EPOCH_MAX = 32, SHARED_ENTRY_MAX = 40 };

/* A position. Zero bytes: nothing was read. */
struct shared_log {
    char epoch[SHARED_EPOCH_MAX + 1]; /* of the data that it belongs to */
    char entry[SHARED_ENTRY_MAX + 1]; /* id of the last entry in the stream, "MS-SEQ" */
    uint64_t n;                       /* its number */
};

/* Why all must be read anew. */
enum shared_resync {
    SHARED_RESYNC_NONE,
    SHARED_RESYNC_FIRST, /* nothing was read before */
    SHARED_RESYNC_EPOCH, /* other data: flushed, or another engine */
    SHARED_RESYNC_LOST, /* the last entry read is gone or another: trimmed, or lost in a failover */
    SHARED_RESYNC_GAP,  /* a number is missing */
    SHARED_RESYNC__COUNT
};

/* Whether s is the id of an entry: MS-SEQ. */
bool shared_log_entry(struct str s);

/* After a join: whether the log may be read on from here. epoch: of the data joined. found: the
 * number that the entry l->entry has now; 0: there is no such entry. joined: the number of the log
 * at the join. */
enum shared_resync shared_log_resume(const struct shared_log *l, struct str epoch, uint64_t found,
                                     uint64_t joined);

/* Begins at a number and entry, after all was read. entry: empty for none. False: one of the texts
 * is none, or over its bound. */
bool shared_log_begin(struct shared_log *l, struct str epoch, struct str entry,
                      uint64_t n) MUST_CHECK;

/* The next entry that was read. SHARED_RESYNC_NONE: it follows, and is now the position. */
enum shared_resync shared_log_next(struct shared_log *l, struct str entry, uint64_t n);

/* A word for it, as metrics have it. */
const char *shared_resync_name(enum shared_resync r);

#endif
