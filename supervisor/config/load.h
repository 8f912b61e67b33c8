/* load: everything between a path and a configuration that can be used, for the start, a reload
 * and `-t`. */
#ifndef QCC_SUPERVISOR_CONFIG_LOAD_H
#define QCC_SUPERVISOR_CONFIG_LOAD_H

#include "common/conf/conf.h"
#include "supervisor/config/faults.h"

/* yaml_load, the files it names (keys.h), conf_check, and whether a worker could be sent it.
 * NULL when f->errors; f may hold warnings all the same. Faults are in the order of the file. The
 * caller unrefs what it gets, and owns f before and after (`struct faults f = {0}`). */
struct conf *conf_load(const char *path, struct faults *f) MUST_CHECK;

#endif
