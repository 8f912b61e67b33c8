/* env: what the environment says of folders. */
#ifndef QCC_COMMON_BASE_ENV_H
#define QCC_COMMON_BASE_ENV_H

#include "common/base/str.h"

/* The folder that a variable names: the first of several separated by ':' (systemd.exec(5),
 * RuntimeDirectory=); only absolute ones count. Empty: there is none. Borrows from the environment. */
struct str env_folder(const char *name);

#endif
