#include "worker/net/dial_curl.h"

#include <dlfcn.h>
#include <string.h>

/* With the ABI number of the libcurl headers that this is compiled with. */
static const char soname[] = "libcurl.so.4";

static bool find(void *so, const char *name, void *at, struct err *e)
{
    void *p = dlsym(so, name);
    if (!p)
        return err_set(e, "libcurl has no %s", name);
    memcpy(at, &p, sizeof p); /* ISO C has no cast from void * to a function; POSIX allows this */
    return true;
}

bool dial_curl_load(struct dial_lib *lib, struct err *e)
{
    void *so = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
    if (!so) {
        const char *why = dlerror();
        return err_set(e, "libcurl cannot be loaded: %s", why ? why : soname);
    }
#define FIND(type, name, args) find(so, "curl_" #name, &lib->name, e) &&
    return DIAL_LIB(FIND) true;
#undef FIND
}
