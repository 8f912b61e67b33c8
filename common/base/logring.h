/* logring: the newest lines of the log, of all processes, in memory that they share: a sealed memfd of
 * fixed size, so that an operator can read them wherever the log itself goes. A writer reserves its
 * place with one atomic addition and copies; it waits for nobody. A reader takes no lock either: it finds
 * records by their stamps and drops what was overwritten while it read. A process that writes nonsense
 * spoils lines, and nothing else. */
#ifndef QCC_COMMON_BASE_LOGRING_H
#define QCC_COMMON_BASE_LOGRING_H

#include "common/base/err.h"

#include <stdatomic.h>
#include <stdint.h>

enum { LOGRING_BYTES = 512 << 10, LOGRING_LINE = 4096 };

struct logring;

/* ---- writing: one ring for each process, like the log itself */

/* Makes a ring: *fd for those who write, *reader for those who read only (both the caller's,
 * close-on-exec). This process does not write into it until logring_use. */
bool logring_make(int *fd, int *reader, struct err *e) MUST_CHECK;

/* From now on this process writes there; the descriptor stays the caller's and may be closed. -1: into
 * none. False: it is no ring; nothing changes. */
bool logring_use(int fd, struct err *e) MUST_CHECK;

/* One finished line; its newline and systemd's "<N>" in front of it are left out. Without a ring: nothing. */
void logring_put(unsigned level, const char *line, size_t n);

/* ---- reading */

struct logring_reader {
    const struct logring *ring;
    uint64_t at; /* the next place to look at */
    bool lost;   /* lines were overwritten before they were read; the caller may clear it */
};

/* Maps it, to be read from the oldest line that is there. False: it is no ring. */
bool logring_open(struct logring_reader *r, int fd, struct err *e) MUST_CHECK;
void logring_close(struct logring_reader *r);

/* The next line, without newline: its length and level; -1: none now. patient: a line that is being
 * written is waited for; else it is passed over. */
ptrdiff_t logring_next(struct logring_reader *r, bool patient, char line[static LOGRING_LINE],
                       unsigned *level) MUST_CHECK;

/* Whether something stands behind what was read (that line, which is not finished). */
bool logring_behind(const struct logring_reader *r);

#endif
