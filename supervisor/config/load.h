/* load: from a path to a checked configuration, for the start, a reload and `-t`. */
#ifndef QCC_SUPERVISOR_CONFIG_LOAD_H
#define QCC_SUPERVISOR_CONFIG_LOAD_H

#include "common/conf/conf.h"
#include "supervisor/config/faults.h"

/* Reads the file and the files it names (keys.h), and checks all, also whether it fits into a
 * CONF. QCC_LOG of the environment takes the place of log.file and log.format. NULL when f->errors;
 * f may hold warnings in any case. Faults are in the order of the file. The caller owns one
 * reference of the configuration, and f before and after (`struct faults f = {0}`). */
struct conf *conf_load(const char *path, struct faults *f) MUST_CHECK;

#endif
