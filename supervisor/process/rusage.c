#include "supervisor/process/rusage.h"

#include "common/base/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

bool rusage_of(pid_t pid, struct rusage_cost *u)
{
    char path[32], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    fd_close(&fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    /* The process's name, in brackets, may hold any byte: the next field begins behind the last
     * bracket. */
    const char *p = strrchr(text, ')');
    unsigned long user, kernel;
    long pages;
    if (!p || sscanf(p + 1,
                     " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d "
                     "%*d %*u %*u %ld",
                     &user, &kernel, &pages) != 3)
        return false;
    u->cpu_ms = (int64_t)(user + kernel) * 1000 / sysconf(_SC_CLK_TCK);
    u->resident = (uint64_t)(pages > 0 ? pages : 0) * (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}

static int64_t ms(struct timeval t)
{
    return (int64_t)t.tv_sec * 1000 + t.tv_usec / 1000;
}

int64_t rusage_reaped(void)
{
    struct rusage r;
    return getrusage(RUSAGE_CHILDREN, &r) == 0 ? ms(r.ru_utime) + ms(r.ru_stime) : 0;
}
