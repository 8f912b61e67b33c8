#include "common/base/env.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct str env_folder(const char *name)
{
    struct str v = str_c(getenv(name));
    const char *colon = v.n ? memchr(v.p, ':', v.n) : NULL;
    if (colon)
        v.n = (size_t)(colon - v.p);
    return v.n && v.p[0] == '/' ? v : STR("");
}

bool env_program_folder(char *out, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    if (n == -1)
        return false;
    out[n] = '\0';
    char *slash = strrchr(out, '/');
    if (slash)
        *slash = '\0';
    return true;
}
