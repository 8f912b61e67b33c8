/* env: folders that environment variables name. */
#ifndef QCC_COMMON_BASE_ENV_H
#define QCC_COMMON_BASE_ENV_H

#include "common/base/str.h"

/* The folder that a variable names: the first of several separated by ':' (systemd.exec(5),
 * RuntimeDirectory=). Empty: there is none, or its path is not absolute. Borrows from the
 * environment. */
struct str env_folder(const char *name);

#endif
