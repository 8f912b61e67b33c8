/* start: what a supervisor needs before its loop runs: sockets, log, folder, privileges given
 * up. */
#ifndef QCC_SUPERVISOR_START_H
#define QCC_SUPERVISOR_START_H

#include "common/base/base.h"
#include "common/base/err.h"

struct supervisor;

/* Opens /dev/null as descriptors 0, 1 and 2 where they are closed: else a socket would get such a
 * number, and the log would be written into it. */
void start_std_fds(void);

/* Does all that a start needs and that may fail, in the order that privileges demand, with s->conf.
 * False: *e says what failed; what was opened is closed with *s. */
bool start_prepare(struct supervisor *s, struct err *e) MUST_CHECK;

/* The worker program: named by QCC_WORKER (tests do), beside this one (a build tree), or installed
 * in libexec. The caller frees the path. NULL: *e says where it was searched. */
char *start_find_worker(struct err *e) MUST_CHECK;

/* The recorder program, as start_find_worker with QCC_RECORDER. The caller frees the path. NULL:
 * there is none. */
char *start_find_recorder(void) MUST_CHECK;

/* Finds the program of the link. The caller owns the path; NULL: there is none. */
char *start_find_link(void);

#endif
