#include "supervisor/operate/control_socket.h"

#include "common/base/clock.h"
#include "common/base/env.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/ipc/chan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 64, LOCK_TURNS = 20, LOCK_STEP_MS = 10, FOLDER_MODE = 0750, YIELD_MS = 500 };

/* The place of a service: of a supervisor that is started as root, or as the user to whom that
 * folder was given. */
#define SERVICE_FOLDER "/run/qcc"

/* ---- the path */

char *control_socket_path(const char *configured, uid_t owner, bool dropped, bool *guarded)
{
    char path[PATH_MAX];
    struct str run = env_folder("RUNTIME_DIRECTORY");
    /* a user that root becomes has no access to root's runtime folder */
    struct str xdg = dropped ? STR("") : env_folder("XDG_RUNTIME_DIR");
    *guarded = !configured && !run.n; /* a folder that systemd made is not checked */
    if (configured)
        return mem_strdup(configured);
    if (run.n)
        snprintf(path, sizeof path, STR_FMT "/control.sock", STR_ARG(run));
    else if (xdg.n)
        snprintf(path, sizeof path, STR_FMT "/qcc/control.sock", STR_ARG(xdg));
    else if (geteuid() == 0 || access(SERVICE_FOLDER, W_OK) == 0)
        snprintf(path, sizeof path, SERVICE_FOLDER "/control.sock");
    else
        snprintf(path, sizeof path, "/tmp/qcc-%u/control.sock", (unsigned)owner);
    return mem_strdup(path);
}

/* ---- the folder */

/* Opens the path's folder and locks it against another supervisor that starts at the same time;
 * *base: the name in the folder. -1: *e says why. */
static int open_folder(const char *path, bool guarded, const struct user *user, const char **base,
                       struct err *e)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    struct stat st;
    *base = slash ? slash + 1 : path;
    if (**base == '\0' || n >= sizeof dir) {
        err_set(e, "%s is not the path of a socket", path);
        return -1;
    }
    snprintf(dir, sizeof dir, "%.*s", (int)n, path);
    if (n == 0)
        snprintf(dir, sizeof dir, "%s", slash ? "/" : ".");
    bool made = mkdir(dir, FOLDER_MODE) == 0;
    if (!made && errno != EEXIST && errno != EROFS && errno != EACCES) {
        err_sys(e, "cannot make the folder %s", dir);
        return -1;
    }
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (guarded ? O_NOFOLLOW : 0));
    if (fd == -1 || fstat(fd, &st) == -1) {
        err_sys(e, "cannot use the folder %s", dir);
        fd_close(&fd);
        return -1;
    }
    uid_t owner = user->name ? user->uid : geteuid();
    /* whoever has the service's folder has it from root */
    bool own = st.st_uid == geteuid() || st.st_uid == owner || strcmp(dir, SERVICE_FOLDER) == 0;
    bool open_to_all = (st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX);
    if (guarded && !own)
        err_set(e, "the folder %s belongs to user %u", dir, (unsigned)st.st_uid);
    else if (guarded && (st.st_mode & (S_IWGRP | S_IWOTH)))
        err_set(e, "the folder %s can be written by others", dir);
    else if (made && fchmod(fd, FOLDER_MODE) == -1) /* the mode without the effect of the umask */
        err_sys(e, "%s", dir);
    else if ((made || guarded) && user->name && fchown(fd, user->uid, user->gid) == -1)
        err_sys(e, "cannot give the folder %s to %s", dir, user->name);
    else {
        if (open_to_all) /* the operator has configured that folder */
            log_warn("control_socket: the folder %s can be written by everybody", dir);
        for (int i = 0; i < LOCK_TURNS && flock(fd, LOCK_EX | LOCK_NB) == -1; i++)
            poll(NULL, 0, LOCK_STEP_MS); /* a starting supervisor unlocks within that time */
        return fd;
    }
    fd_close(&fd);
    return -1;
}

/* ---- the socket */

/* Makes the address of the path; a path too long for an address is reached through the folder's
 * descriptor. */
static bool address_of(struct sockaddr_un *un, const char *path, int dir, const char *base)
{
    *un = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(un->sun_path, sizeof un->sun_path, "%s", path);
    if (n >= (int)sizeof un->sun_path)
        n = snprintf(un->sun_path, sizeof un->sun_path, "/proc/self/fd/%d/%s", dir, base);
    return n < (int)sizeof un->sun_path;
}

static bool on_answer(void *yields, struct ipc_frame *f, struct err *e)
{
    struct ipc_ctl_answer m;
    if (f->id != IPC_CTL_ANSWER || !ipc_get_ctl_answer(f, &m))
        return err_set(e, "no answer");
    *(bool *)yields = m.status == 200;
    return true;
}

/* Whether the supervisor that answers there is stopping and gives the path up: its last requests
 * may take long. The connected socket is taken over. */
static bool asked_to_yield(int fd)
{
    struct ipc_ctl_ask m = {.id = 1, .what = STR("yield")};
    struct chan c;
    struct err e;
    bool yields = false;
    int64_t until = clock_mono_ms() + YIELD_MS, left;
    chan_init(&c, fd, TO_CTL, 4096, "the supervisor that is there");
    if (chan_send(&c, -1, ipc_put_v_ctl_ask, 0, &m))
        while (!yields && (left = until - clock_mono_ms()) > 0) {
            struct pollfd p = {fd, POLLIN, 0};
            if (poll(&p, 1, (int)left) == 1 &&
                (chan_read(&c, on_answer, &yields, &e) != CHAN_OK || !yields))
                break; /* refused, or another answer */
        }
    chan_fini(&c);
    return yields;
}

/* Removes the socket at the path if it belongs to a dead supervisor, or one that gives it up. */
static bool clear_stale(const struct sockaddr_un *un, const char *path, int dir, const char *base,
                        struct err *e)
{
    struct stat st;
    if (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) == -1)
        return errno == ENOENT || err_sys(e, "%s", path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, "%s exists and is not a socket", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd == -1)
        return err_sys(e, "socket");
    bool there = connect(fd, (const struct sockaddr *)un, sizeof *un) == 0;
    bool dead = !there && errno == ECONNREFUSED;
    if (there)
        dead = asked_to_yield(fd);
    else
        fd_close(&fd);
    if (!dead)
        return err_set(e, "another supervisor answers at %s", path);
    return unlinkat(dir, base, 0) == 0 || errno == ENOENT || err_sys(e, "cannot remove %s", path);
}

static bool make_in(struct control_socket *k, const char *path, int dir, const char *base,
                    const struct user *user, struct err *e)
{
    struct sockaddr_un un;
    struct stat st;
    if (!address_of(&un, path, dir, base))
        return err_set(e, "the name of %s is too long for a socket", path);
    if (!clear_stale(&un, path, dir, base, e))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0117); /* created with mode 0660: at no time open to all users */
    bool bound = fd != -1 && bind(fd, (const struct sockaddr *)&un, sizeof un) == 0;
    int why = errno;
    umask(mask);
    errno = why;
    if (!bound || listen(fd, BACKLOG) == -1 ||
        (user->name && fchownat(dir, base, user->uid, user->gid, AT_SYMLINK_NOFOLLOW) == -1) ||
        fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) == -1) {
        err_sys(e, "cannot listen on %s", path);
        fd_close(&fd);
        if (bound)
            unlinkat(dir, base, 0);
        return false;
    }
    *k = (struct control_socket){
        .fd = fd, .path = mem_strdup(path), .dev = st.st_dev, .ino = st.st_ino, .group = st.st_gid};
    return true;
}

bool control_socket_make(struct control_socket *k, const char *path, bool guarded,
                         const struct user *user, struct err *e)
{
    const char *base;
    *k = (struct control_socket){.fd = -1};
    int dir = open_folder(path, guarded, user, &base, e);
    bool ok = dir != -1 && make_in(k, path, dir, base, user, e);
    fd_close(&dir); /* releases the lock too */
    return ok;
}

bool control_socket_there(const struct control_socket *k)
{
    struct stat st;
    return k->fd != -1 && lstat(k->path, &st) == 0 && st.st_dev == k->dev && st.st_ino == k->ino;
}

void control_socket_close(struct control_socket *k, bool remove)
{
    if (remove && control_socket_there(k))
        unlink(k->path);
    fd_close(&k->fd);
    mem_free(k->path);
    *k = (struct control_socket){.fd = -1};
}
