#include "supervisor/config/file.h"

#include "common/base/fd.h"
#include "common/secret/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool read_all(int fd, struct buf *b, struct err *e)
{
    for (;;) {
        char piece[4096];
        ssize_t n = read(fd, piece, sizeof piece);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return err_sys(e, "cannot be read");
        bool fits = buf_add(b, piece, (size_t)n);
        secret_wipe(piece, (size_t)n);
        if (!fits)
            return err_set(e, "is larger than %u KiB", b->max >> 10);
        if (n == 0)
            return true;
    }
}

bool file_read(const char *path, struct buf *b, bool *open_to_all, struct err *e)
{
    struct stat st;
    bool ok = false;
    /* O_NONBLOCK: opening a named pipe without a writer would block the whole supervisor. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd == -1)
        return err_sys(e, "cannot be opened");
    if (fstat(fd, &st) == -1) {
        err_sys(e, "cannot be read");
    } else if (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode)) {
        *open_to_all = S_ISREG(st.st_mode) && (st.st_mode & S_IROTH);
        /* A pipe of the shell (<(…)) may still be written to, so it is read with waiting. */
        if (S_ISFIFO(st.st_mode) && fcntl(fd, F_SETFL, 0) == -1)
            err_sys(e, "cannot be read");
        else
            ok = read_all(fd, b, e);
    } else {
        err_set(e, S_ISDIR(st.st_mode) ? "is a directory" : "is not a regular file");
    }
    fd_close(&fd);
    return ok;
}

void file_named(const char *beside, const char *name, char *out, size_t size)
{
    const char *slash = strrchr(beside, '/');
    int folder = name[0] == '/' || !slash ? 0 : (int)min_size((size_t)(slash + 1 - beside), 4000);
    snprintf(out, size, "%.*s%s", folder, beside, name);
}

void file_done(struct buf *b)
{
    if (b->p)
        secret_wipe(b->p, b->cap);
    buf_free(b);
}
