/* logfile: the file that log.file names. */
#ifndef QCC_SUPERVISOR_PROCESS_LOGFILE_H
#define QCC_SUPERVISOR_PROCESS_LOGFILE_H

#include "common/base/err.h"

/* Opens the file for appending, and makes it with mode 0640 if it is missing. The caller owns *fd;
 * -1 for "stderr". False: *e says why. */
bool logfile_open(const char *path, int *fd, struct err *e) MUST_CHECK;

#endif
