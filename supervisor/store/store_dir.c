#include "supervisor/store/store_dir.h"

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/secret/rnd.h"
#include "common/secret/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    NAME = 64,
    LOCK_WAIT_MS = 500, /* a worker forked by a dead supervisor holds the lock until its exec */
    LOCK_STEP_MS = 20
};

bool store_dir_make(const char *path, const struct user *user, struct err *e)
{
    struct stat st;
    bool made = mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST)
        return err_sys(e, "state_dir: cannot make %s", path);
    if (stat(path, &st) == -1)
        return err_sys(e, "state_dir: %s", path);
    if (!S_ISDIR(st.st_mode))
        return err_set(e, "state_dir: %s is not a folder", path);
    if (made && user->name && chown(path, user->uid, user->gid) == -1)
        return err_sys(e, "state_dir: cannot give %s to %s", path, user->name);
    return true;
}

bool store_dir_open(struct store_dir *d, const char *path, struct err *e)
{
    *d = (struct store_dir){.path = path, .fd = -1, .lock = -1};
    d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->fd == -1)
        return err_sys(e, "state_dir: cannot open %s", path);
    return true;
}

void store_dir_close(struct store_dir *d)
{
    fd_close(&d->lock);
    fd_close(&d->fd);
}

/* ---- the lock */

/* The process id in the lock's file; 0: there is none. */
static long holder(int fd)
{
    char text[24] = "";
    long pid = 0;
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    return n > 0 && sscanf(text, "%ld", &pid) == 1 ? pid : 0;
}

static bool same_file(int a, int b)
{
    struct stat x, y;
    return a != -1 && fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

bool store_dir_lock(struct store_dir *d, int *lent, struct err *e)
{
    int fd = openat(d->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
    if (fd == -1)
        return err_sys(e, "state_dir: cannot write in %s", d->path);
    bool was_lent = same_file(*lent, fd);
    if (was_lent) { /* flock(2): the lock belongs to the open file, which the predecessor shares */
        fd_close(&fd);
        fd = *lent;
        *lent = -1;
    }
    int waited = 0;
    while (flock(fd, LOCK_EX | LOCK_NB) == -1) {
        if (errno == EWOULDBLOCK && waited < LOCK_WAIT_MS) {
            const struct timespec step = {.tv_nsec = LOCK_STEP_MS * 1000000L};
            nanosleep(&step, NULL);
            waited += LOCK_STEP_MS;
            continue;
        }
        if (errno == EWOULDBLOCK)
            err_set(e, "state_dir: %s is in use by another qcc-supervisor, pid %ld", d->path,
                    holder(fd));
        else
            err_sys(e, "state_dir: cannot lock %s", d->path);
        fd_close(&fd);
        return false;
    }
    d->lock = fd;
    if (!was_lent)
        store_dir_sign(d);
    return true;
}

void store_dir_sign(const struct store_dir *d)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (d->lock != -1 && (ftruncate(d->lock, 0) == -1 || pwrite(d->lock, text, (size_t)n, 0) == -1))
        log_debug("state_dir: the lock does not say whose it is: %s", strerror(errno));
}

/* ---- files */

static void name_with(char out[NAME], const char *name, const char *more)
{
    snprintf(out, NAME, "%s%s", name, more);
}

int store_dir_begin(int dir, const char *name)
{
    char fresh[NAME];
    name_with(fresh, name, ".new");
    if (unlinkat(dir, fresh, 0) == -1 && errno != ENOENT)
        return -1;
    return (int)TEMP_FAILURE_RETRY(
        openat(dir, fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
}

/* Some file systems let a signal, as of a worker that ended, interrupt it. */
static bool sync_fd(int fd)
{
    return TEMP_FAILURE_RETRY(fsync(fd)) == 0;
}

bool store_dir_commit(int dir, int fd, const char *name)
{
    char fresh[NAME];
    name_with(fresh, name, ".new");
    return sync_fd(fd) && TEMP_FAILURE_RETRY(renameat(dir, fresh, dir, name)) == 0 && sync_fd(dir);
}

bool store_dir_put(int fd, const void *p, size_t n)
{
    const char *at = p;
    while (n) {
        ssize_t k = write(fd, at, n);
        if (k == -1 && errno == EINTR)
            continue;
        if (k == -1)
            return false;
        at += k;
        n -= (size_t)k;
    }
    return true;
}

void store_dir_set_aside(const struct store_dir *d, const char *name, const char *why)
{
    char now[25], stamp[25], to[NAME], more[40];
    size_t n = 0;
    clock_format(clock_wall_ms(), now);
    for (const char *p = now; *p; p++)
        if (ascii_digit(*p) || *p == 'T' || *p == 'Z')
            stamp[n++] = *p;
    stamp[n] = '\0';
    snprintf(more, sizeof more, ".bad-%s", stamp);
    name_with(to, name, more);
    if (renameat(d->fd, name, d->fd, to) == 0)
        log_warn("state_dir: %s/%s %s: set aside as %s", d->path, name, why, to);
    else
        log_warn("state_dir: %s/%s %s, and cannot be set aside: %s", d->path, name, why,
                 strerror(errno));
}

/* ---- the secret */

static bool keep(const struct store_dir *d, const uint8_t secret[STORE_SECRET])
{
    int fd = store_dir_begin(d->fd, "secret");
    bool ok = fd != -1 && store_dir_put(fd, secret, STORE_SECRET) &&
              store_dir_commit(d->fd, fd, "secret");
    int why = errno;
    fd_close(&fd);
    errno = why;
    return ok;
}

void store_dir_secret(const struct store_dir *d, const uint8_t *in_use,
                      uint8_t secret[STORE_SECRET])
{
    uint8_t got[STORE_SECRET + 1];
    struct stat st;
    int fd = openat(d->fd, "secret", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    ssize_t n = -1;
    if (fd != -1 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        n = read(fd, got, sizeof got);
    bool absent = fd == -1 && errno == ENOENT;
    fd_close(&fd);
    if (n == STORE_SECRET) {
        memcpy(secret, got, STORE_SECRET);
    } else {
        if (!absent)
            store_dir_set_aside(d, "secret", "is not one");
        if (in_use)
            memcpy(secret, in_use, STORE_SECRET);
        else
            rnd_bytes(secret, STORE_SECRET);
        if (!keep(d, secret))
            log_warn("state_dir: cannot keep a secret in %s, bindings will not outlast this run: "
                     "%s",
                     d->path, strerror(errno));
    }
    secret_wipe(got, sizeof got);
}
