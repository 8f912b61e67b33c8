/* yaml: the configuration file into struct conf, by the rows of conf_key.h. */
#ifndef QCC_SUPERVISOR_CONFIG_YAML_H
#define QCC_SUPERVISOR_CONFIG_YAML_H

#include "common/conf/conf.h"
#include "supervisor/config/faults.h"

/* Largest configuration file. */
enum { YAML_FILE_MAX = 1 << 20 };

/* Reads the file: syntax, keys, types, bounds, ${NAME} from the environment ($${ is a plain ${).
 * Every fault goes to f, which also learns where each element stands. NULL when the file could not
 * be read as YAML; else a configuration with one reference, which is only fit for use when
 * f->errors is 0 and conf_check agrees. Warns when everybody may read a file that holds a key. */
struct conf *yaml_load(const char *path, struct faults *f) MUST_CHECK;

/* The same from memory; `path` is for messages. */
struct conf *yaml_read(const char *path, struct str text, bool open_to_all,
                       struct faults *f) MUST_CHECK;

#endif
