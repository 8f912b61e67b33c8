#include "supervisor/start.h"

#include "common/base/env.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "supervisor/supervisor.h"
#include "supervisor/process/logfile.h"
#include "supervisor/process/user.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The workers of a dead supervisor close their sockets within this time. */
enum { LISTEN_WAIT_MS = 1000 };

void start_std_fds(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd != -1 && fd <= STDERR_FILENO);
    fd_close(&fd);
}

/* Finds a program of ours: `named` if that is set, else beside this one or in libexec. The caller
 * owns the path; NULL: *e says why. */
static char *find_beside(const char *variable, const char *program, struct err *e)
{
    const char *named = getenv(variable);
    if (named) {
        if (access(named, X_OK) == 0)
            return mem_strdup(named);
        err_sys(e, "%s: cannot execute %s", variable, named);
        return NULL;
    }
    static const char *const places[] = {"", "../libexec/qcc/"};
    char dir[PATH_MAX], path[PATH_MAX + 64];
    if (!env_program_folder(dir, sizeof dir)) {
        err_sys(e, "/proc/self/exe");
        return NULL;
    }
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        snprintf(path, sizeof path, "%s/%s%s", dir, places[i], program);
        if (access(path, X_OK) == 0)
            return mem_strdup(path);
    }
    err_set(e, "there is no program %s in %s or %s/../libexec/qcc", program, dir, dir);
    return NULL;
}

char *start_find_worker(struct err *e)
{
    return find_beside("QCC_WORKER", "qcc-worker", e);
}

char *start_find_recorder(void)
{
    struct err e;
    return find_beside("QCC_RECORDER", "qcc-recorder", &e);
}

char *start_find_link(void)
{
    struct err e;
    return find_beside("QCC_LINK", "qcc-link", &e);
}

/* Takes the predecessor's control socket over, or opens a new one. */
static bool take_control(struct supervisor *s, const struct user *user, struct err *e)
{
    struct handover *h = &s->predecessor.handover;
    int fd = h->control;
    h->control = -1;
    return fd != -1 ? control_adopt(&s->control, fd, h->control_dev, h->control_ino,
                                    s->conf->control_socket, e)
                    : control_open(&s->control, s->conf->control_socket, user, e);
}

static bool open_state(struct supervisor *s, struct err *e)
{
    struct predecessor *pre = &s->predecessor;
    struct cluster_keys keys;
    if (!store_open(&s->state, s->conf->state_dir, predecessor_holding(pre) ? pre->secret : NULL,
                    &pre->handover.lock, e))
        return false;
    /* hosts that share bindings hash conversations alike */
    if (s->conf->cluster.url && (s->conf->cluster_more.shares & 1u << SHARE_BINDINGS)) {
        cluster_keys_make(&keys, str_c(s->conf->cluster.secret));
        memcpy(s->state.secret, keys.conversation, sizeof s->state.secret);
        cluster_keys_wipe(&keys);
    }
    return true;
}

/* The absolute path of dir/name, if that is this program; else NULL. */
static char *named(struct str dir, const char *name)
{
    char cwd[PATH_MAX] = "", path[3 * PATH_MAX];
    struct stat self, st;
    if ((dir.n == 0 || dir.p[0] != '/') && name[0] != '/' && !getcwd(cwd, sizeof cwd))
        return NULL;
    int n = snprintf(path, sizeof path, "%s%s" STR_FMT "%s%s", cwd, cwd[0] ? "/" : "", STR_ARG(dir),
                     dir.n ? "/" : "", name);
    bool same = n < PATH_MAX && stat("/proc/self/exe", &self) == 0 && stat(path, &st) == 0 &&
                st.st_dev == self.st_dev && st.st_ino == self.st_ino;
    return same ? mem_strdup(path) : NULL;
}

/* The path that this program was started by. Symbolic links are kept: they may point to another
 * release at the time of an upgrade. NULL: the path no longer leads to this program. */
static char *started_as(void)
{
    const char *name = program_invocation_name, *path = getenv("PATH");
    char *found = NULL;
    if (strchr(name, '/'))
        return named(STR(""), name);
    while (path && *path && !found) {
        size_t n = strcspn(path, ":");
        found = named(str_make(path, n), name);
        path += n + (path[n] == ':');
    }
    return found;
}

/* Finds the path of this program; an upgrade starts whatever program is there then. */
static bool find_program(struct supervisor *s, struct err *e)
{
    static const struct str gone = STR_LIT(" (deleted)"); /* proc(5): replaced since the start */
    char path[PATH_MAX];
    s->program = started_as();
    if (s->program)
        return true;
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n == -1)
        return err_sys(e, "/proc/self/exe");
    struct str p = str_make(path, (size_t)n);
    if (p.n > gone.n && memcmp(p.p + p.n - gone.n, gone.p, gone.n) == 0)
        p.n -= gone.n;
    s->program = mem_strndup(p.p, p.n);
    return true;
}

bool start_prepare(struct supervisor *s, struct err *e)
{
    struct predecessor *pre = &s->predecessor;
    struct listen_given systemd, *given = predecessor_holding(pre) ? &pre->given : &systemd;
    struct user user;
    bool ok = false;
    listen_given_take(&systemd);
    s->worker_path = start_find_worker(e);
    if (s->worker_path && find_program(s, e) && user_find(&user, s->conf->user, e) &&
        listen_open(&s->listen, s->conf, NULL, given, LISTEN_WAIT_MS, e) &&
        logfile_open(s->conf->log.file, &s->log_fd, e) && take_control(s, &user, e) &&
        (!s->conf->state_dir || store_dir_make(s->conf->state_dir, &user, e))) {
        if (user.name)
            listen_chown(&s->listen, user.uid, user.gid);
        /* so that the log file can be opened again without root's privileges */
        if (user.name && s->log_fd != -1 && fchown(s->log_fd, user.uid, user.gid) == -1)
            log_warn("log.file keeps its owner: %s", strerror(errno));
        ok = user_become(&user, e) && open_state(s, e);
    }
    listen_given_drop(&systemd);
    return ok;
}
