/* start: what a supervisor must have before there is a loop: sockets, log, folder, privileges given up. */
#ifndef QCC_SUPERVISOR_START_H
#define QCC_SUPERVISOR_START_H

#include "common/base/base.h"
#include "common/base/err.h"

struct supervisor;

/* Descriptors 0, 1, 2 are somebody's: else a socket would get their number and the log go there. */
void start_std_fds(void);

/* All that a start needs and that may fail, in the order in which privileges allow it; with s->conf. False:
 * *e says what cannot be had, and the rest is closed with *s. */
bool start_prepare(struct supervisor *s, struct err *e) MUST_CHECK;

/* The worker program: named by QCC_WORKER (tests do), beside this one (a build tree), or installed
 * in libexec. NULL: *e says where it was looked for. The caller frees it. */
char *start_find_worker(struct err *e) MUST_CHECK;

#endif
