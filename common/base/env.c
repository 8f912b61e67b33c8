#include "common/base/env.h"

#include <stdlib.h>
#include <string.h>

struct str env_folder(const char *name)
{
    struct str v = str_c(getenv(name));
    const char *colon = v.n ? memchr(v.p, ':', v.n) : NULL;
    if (colon)
        v.n = (size_t)(colon - v.p);
    return v.n && v.p[0] == '/' ? v : STR("");
}
