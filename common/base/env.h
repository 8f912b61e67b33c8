/* env: folders that environment variables name, and that of this program. */
#ifndef QCC_COMMON_BASE_ENV_H
#define QCC_COMMON_BASE_ENV_H

#include "common/base/str.h"

/* The folder that a variable names: the first of several separated by ':' (systemd.exec(5),
 * RuntimeDirectory=). Empty: there is none, or its path is not absolute. Borrows from the
 * environment. */
struct str env_folder(const char *name);

/* Writes the folder of the program that runs, with the symbolic links of its path resolved. False
 * with errno set: it is not known. */
bool env_program_folder(char *out, size_t size) MUST_CHECK;

#endif
