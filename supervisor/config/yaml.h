/* yaml: the configuration file into struct conf, by the rows of conf_key.h. */
#ifndef QCC_SUPERVISOR_CONFIG_YAML_H
#define QCC_SUPERVISOR_CONFIG_YAML_H

#include "common/conf/conf.h"
#include "supervisor/config/faults.h"

/* Bytes of the largest configuration file. */
enum { YAML_FILE_MAX = 1 << 20 };

/* Reads the file: syntax, keys, types, bounds, ${NAME} from the environment ($${ is a plain ${).
 * Every fault is added to f, with the places of all elements. NULL when the file could not be read
 * as YAML; else a configuration with one reference, which may be used only when f->errors is 0 and
 * conf_check returns true. Warns when all users may read a file that holds a key. */
struct conf *yaml_load(const char *path, struct faults *f) MUST_CHECK;

/* Reads a configuration from memory as yaml_load does from a file; `path` is for messages. */
struct conf *yaml_read(const char *path, struct str text, bool open_to_all,
                       struct faults *f) MUST_CHECK;

#endif
