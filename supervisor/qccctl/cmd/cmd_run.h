/* cmd_run: runs qcc-supervisor for qccctl, since it alone reads configurations. */
#ifndef QCC_SUPERVISOR_QCCCTL_CMD_CMD_RUN_H
#define QCC_SUPERVISOR_QCCCTL_CMD_CMD_RUN_H

#include "common/base/base.h"

#include <limits.h>

/* Finds the path of qcc-supervisor: beside qccctl, else on PATH. False: there is none. */
bool program_find(char out[PATH_MAX]) MUST_CHECK;

/* The path of that configuration's control socket; the caller frees it. NULL: why was printed on
 * stderr. */
char *program_socket(const char *config) MUST_CHECK;

#endif
