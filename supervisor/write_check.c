#include "supervisor/write_check.h"

#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The folder that `path` is in. False: none is named, or it is too long to say. */
static bool folder_of(const char *path, char folder[static PATH_MAX])
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    while (n > 0 && path[n - 1] != '/')
        n--;
    if (n >= PATH_MAX)
        return false;
    snprintf(folder, PATH_MAX, "%.*s", n ? (int)(n > 1 ? n - 1 : n) : 1, n ? path : ".");
    return true;
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0 || errno != ENOENT;
}

/* Whether a file can be made in the folder. False with errno. */
static bool takes_files(const char *folder)
{
    int fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600); /* has no name: nothing stays */
    if (fd != -1) {
        fd_close(&fd);
        return true;
    }
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
        return false;
    return access(folder, W_OK | X_OK) == 0;
}

/* Whether an existing file can be written. False with errno. */
static bool is_writable(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd == -1)
        return errno == ENXIO; /* a FIFO that nobody reads yet */
    fd_close(&fd);
    return true;
}

/* Whether the state can be kept in the existing folder. False with errno, and with the path that
 * fails in `at`. */
static bool keeps_state(const char *dir, char at[static PATH_MAX])
{
    snprintf(at, PATH_MAX, "%s", dir);
    if (access(dir, R_OK | W_OK | X_OK) == -1 || !takes_files(dir))
        return false;
    if (snprintf(at, PATH_MAX, "%s/lock", dir) >= PATH_MAX)
        return true;
    /* of a supervisor that another user has started there */
    return is_writable(at, O_RDWR | O_NOFOLLOW) || errno == ENOENT;
}

static void warn(const char *conf_path, const char *key, const char *at)
{
    fprintf(stderr, "%s: warning: %s: %s cannot be written: %s: a start would fail\n", conf_path,
            key, at, strerror(errno));
}

/* Warns of what stands in the way of a file or folder that a start would make. */
static void check_making(const char *conf_path, const char *key, const char *path)
{
    char folder[PATH_MAX];
    if (!folder_of(path, folder))
        return;
    if (!exists(folder))
        fprintf(stderr, "%s: warning: %s: there is no folder %s here: a start would fail\n",
                conf_path, key, folder);
    else if (!takes_files(folder))
        warn(conf_path, key, folder);
}

static bool to_stderr(const struct conf *c)
{
    return strcmp(c->log.file, "stderr") == 0;
}

void write_check_start(const char *conf_path, const struct conf *c, const struct user *user)
{
    char at[PATH_MAX];
    if (!to_stderr(c) && !exists(c->log.file))
        check_making(conf_path, "log.file", c->log.file);
    else if (!to_stderr(c) && !is_writable(c->log.file, O_WRONLY | O_APPEND))
        warn(conf_path, "log.file", c->log.file);
    if (c->state_dir && !exists(c->state_dir))
        check_making(conf_path, "state_dir", c->state_dir);
    else if (c->state_dir && !user->name && !keeps_state(c->state_dir, at))
        warn(conf_path, "state_dir", at);
}

bool write_check_serve(const char *conf_path, const struct conf *c, const struct user *user)
{
    char at[PATH_MAX];
    bool ok = true;
    /* the start gives both to the user; only the way there may be barred */
    if (!to_stderr(c) && folder_of(c->log.file, at) && access(at, X_OK) == -1 && errno != ENOENT) {
        fprintf(stderr, "%s: log.file: %s cannot be reached by user %s: %s\n", conf_path,
                c->log.file, user->name, strerror(errno));
        ok = false;
    }
    if (c->state_dir && access(c->state_dir, F_OK) == -1 && errno == ENOENT)
        return ok;
    if (c->state_dir && !keeps_state(c->state_dir, at)) {
        fprintf(stderr, "%s: state_dir: %s cannot be used by user %s: %s\n", conf_path, at,
                user->name, strerror(errno));
        ok = false;
    }
    return ok;
}
