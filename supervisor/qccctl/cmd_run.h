/* program: qcc-supervisor as a program that qccctl asks: it alone reads configurations. */
#ifndef QCC_SUPERVISOR_QCCCTL_CMD_RUN_H
#define QCC_SUPERVISOR_QCCCTL_CMD_RUN_H

#include "common/base/base.h"

#include <limits.h>

/* Its path: beside qccctl, else on PATH. False: it is nowhere. */
bool program_find(char out[PATH_MAX]) MUST_CHECK;

/* The control socket of that configuration, for the caller to free; NULL: said why on stderr. */
char *program_socket(const char *config) MUST_CHECK;

#endif
