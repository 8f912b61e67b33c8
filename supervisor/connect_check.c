#include "supervisor/connect_check.h"

#include "common/base/buf.h"
#include "common/base/fd.h"
#include "common/base/mem.h"
#include "common/conf/conf_wire.h"
#include "common/ipc/ipc.h"
#include "supervisor/children/spawn.h"
#include "supervisor/config/file.h"
#include "supervisor/start.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* The configuration in a file that has no name, at its beginning: it holds keys. -1: *e. */
static int as_file(const struct conf *c, struct err *e)
{
    struct buf b;
    buf_init(&b, IPC_CONF_MAX);
    int fd = conf_wire_put(c, &b) ? memfd_create("qcc-conf", MFD_CLOEXEC) : -1;
    size_t done = 0;
    while (fd != -1 && done < b.len) {
        ssize_t n = write(fd, buf_data(&b) + done, b.len - done);
        if (n == -1 && errno != EINTR)
            fd_close(&fd);
        done += n > 0 ? (size_t)n : 0;
    }
    if (fd == -1 || lseek(fd, 0, SEEK_SET) == -1)
        err_sys(e, "the configuration cannot be handed over");
    file_done(&b);
    return fd;
}

bool connect_check(const struct conf *c, bool *good, struct err *e)
{
    char *worker = start_find_worker(e);
    int fd = worker ? as_file(c, e) : -1;
    if (fd == -1) {
        mem_free(worker);
        return false;
    }
    char option[] = "--connect";
    char *argv[] = {worker, option, NULL};
    fflush(stdout);
    int status = 0;
    pid_t pid = spawn_child(worker, argv, &fd, 1, false), got = pid;
    while (pid != -1 && (got = waitpid(pid, &status, 0)) == -1 && errno == EINTR)
        ;
    fd_close(&fd);
    mem_free(worker);
    if (got == -1)
        return err_sys(e, "the worker program cannot be run");
    *good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) {
        char end[64];
        spawn_end_text(status, end, sizeof end);
        return err_set(e, "the worker program has not tried them: %s", end);
    }
    return true;
}
