/* logring: the newest lines of the log, of all processes, in memory that they share: a sealed memfd
 * of fixed size, so that an operator can read them wherever the log itself goes. A writer reserves
 * its place with one atomic addition and copies; it never waits. A reader takes no lock: it finds
 * records by their stamps and drops what was overwritten while it read. A process that writes
 * garbage into the ring spoils lines, and nothing else. */
#ifndef QCC_COMMON_BASE_LOGRING_H
#define QCC_COMMON_BASE_LOGRING_H

#include "common/base/err.h"

#include <stdatomic.h>
#include <stdint.h>

enum { LOGRING_BYTES = 512 << 10, LOGRING_LINE = 4096 };

struct logring;

/* ---- writing: a process writes into at most one ring */

/* Makes a ring: *fd for processes that write, *reader for those that only read (the caller owns
 * both, close-on-exec). This process does not write into it until logring_use. False with e. */
bool logring_make(int *fd, int *reader, struct err *e) MUST_CHECK;

/* Makes this process write into the ring of fd from now on; -1: into none. The caller keeps fd and
 * may close it. False with e: fd is no ring; nothing changes. */
bool logring_use(int fd, struct err *e) MUST_CHECK;

/* Writes one finished line, without its newline and without systemd's "<N>" in front. Without a
 * ring: nothing. */
void logring_put(unsigned level, const char *line, size_t n);

/* ---- reading */

struct logring_reader {
    const struct logring *ring;
    uint64_t at; /* the next place to read */
    bool lost;   /* lines were overwritten before they were read; the caller may clear it */
};

/* Maps the ring of fd, to be read from the oldest line that is there; fd may be closed afterwards.
 * False with e: fd is no ring. */
bool logring_open(struct logring_reader *r, int fd, struct err *e) MUST_CHECK;
/* Makes a reader of the ring that this process writes into, from the oldest line that is there; it
 * is valid until the next logring_use, and not closed. False: there is none. */
bool logring_own(struct logring_reader *r) MUST_CHECK;

/* Moves the reader to a place that a reader of the same ring had. False: this ring has no such
 * place; the reader stays where it is. */
bool logring_seek(struct logring_reader *r, uint64_t at) MUST_CHECK;

/* Unmaps the ring. */
void logring_close(struct logring_reader *r);

/* Copies the next line, without newline, and gives its length and level; -1: none now. patient: -1
 * too for a line that is being written, so that a later call reads it; else that line is passed
 * over. */
ptrdiff_t logring_next(struct logring_reader *r, bool patient, char line[static LOGRING_LINE],
                       unsigned *level) MUST_CHECK;

/* Whether places behind the reader's are reserved: a line that was not finished when it was to be
 * read. */
bool logring_behind(const struct logring_reader *r);

#endif
