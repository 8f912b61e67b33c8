"""A process whose wall clock a test moves."""
import os
import shutil
import subprocess

import pytest

YEAR = 365 * 86400

CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
static const volatile long *ahead;
static int (*real)(clockid_t, struct timespec *);
__attribute__((constructor)) static void begin(void)
{
    int fd = open(getenv("AHEAD"), O_RDONLY);
    void *p = mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, fd, 0);
    ahead = p == MAP_FAILED ? NULL : p;
}
int clock_gettime(clockid_t id, struct timespec *t)
{
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int rc = real(id, t);
    if (rc == 0 && ahead && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        t->tv_sec += *ahead;
    return rc;
}
int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *t = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}
"""


class Clock:
    """The wall clock of an instance, by a library that is loaded before all others."""

    def __init__(self, folder):
        self.path, library = folder / "ahead", folder / "clock.so"
        self.set(0)
        (folder / "clock.c").write_text(CLOCK)
        if not shutil.which("cc"):
            pytest.skip("no compiler for the library that moves the clock")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(folder / "clock.c"), "-ldl"], check=True)
        sanitizer = "verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", "")
        self.env = {"LD_PRELOAD": str(library), "AHEAD": str(self.path), "ASAN_OPTIONS": sanitizer}

    def set(self, seconds):
        with open(self.path, "r+b" if self.path.exists() else "w+b") as f:
            f.write(seconds.to_bytes(8, "little", signed=True))
