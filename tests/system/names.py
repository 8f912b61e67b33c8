"""A name server of a test's own: a library that stands before getaddrinfo and reads a file.

    names = Names(tmp_path)                 # skips the test where there is no compiler
    names.set("relay.test", "127.0.0.2")    # or several addresses; none: not found
    q = qcc({...}, env=names.env)
"""
import os
import shutil
import subprocess

import pytest

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int fn(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    fn *real;
    char path[4096], address[64];
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (!host || !strstr(host, ".test"))
        return real(host, service, hints, out);
    snprintf(path, sizeof path, "%s/%s", getenv("NAMES"), host);
    FILE *f = fopen(path, "r");
    struct addrinfo *last = NULL, *one, numeric = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    *out = NULL;
    while (f && fscanf(f, "%63s", address) == 1) {
        if (real(address, service, &numeric, &one) != 0)
            continue;
        if (last)
            last->ai_next = one;
        else
            *out = one;
        last = one;
    }
    if (f)
        fclose(f);
    return *out ? 0 : EAI_NONAME;
}
"""


class Names:
    def __init__(self, folder):
        if not shutil.which("cc"):
            pytest.skip("no compiler for the library that answers for a name server")
        self.folder = folder / "names"
        self.folder.mkdir()
        library = folder / "names.so"
        (folder / "names.c").write_text(SOURCE)
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(folder / "names.c"), "-ldl"], check=True)
        self.env = {"LD_PRELOAD": str(library), "NAMES": str(self.folder),
                    "ASAN_OPTIONS": "verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", "")}

    def set(self, name, *addresses):
        new = self.folder / (name + ".new")
        new.write_text("\n".join(addresses))
        new.rename(self.folder / name)
