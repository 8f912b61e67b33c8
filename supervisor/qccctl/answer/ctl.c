#include "supervisor/qccctl/answer/ctl.h"

#include "common/base/clock.h"
#include "common/base/env.h"
#include "common/base/fd.h"
#include "common/base/mem.h"
#include "supervisor/qccctl/answer/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { TX_MAX = 4096, PLACES = 8, SHORT_ARG = 128 }; /* SHORT_ARG: bytes of CTL_ASK.arg */

/* ---- places of the socket */

struct places {
    const char *named; /* what names the only place; NULL: these are the default places */
    size_t n;
    struct place {
        char path[PATH_MAX];
        bool shared;   /* in a folder that all may write: its owner must be one whom to trust */
        uid_t trusted; /* one of these, beside this user and root */
        int why;       /* errno of the failed connection */
    } v[PLACES];
};

static void place_add(struct places *p, bool shared, struct str folder, const char *rest)
{
    struct place *at = &p->v[p->n];
    if (folder.n == 0 || folder.n + strlen(rest) >= sizeof at->path)
        return;
    snprintf(at->path, sizeof at->path, STR_FMT "%s", STR_ARG(folder), rest);
    at->shared = shared;
    at->trusted = 0;
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->v[i].path, at->path) == 0)
            return;
    p->n++;
}

/* Finds the places as the supervisor chooses them (control_socket_path), and that of its service. A
 * place that is named is the only one: elsewhere another supervisor than the one that is meant
 * would answer. RUNTIME_DIRECTORY names one too: a service manager sets it for one service, while
 * XDG_RUNTIME_DIR is shared by all programs of a user. */
static void places_find(struct places *p, const char *socket, const char *by)
{
    char tmp[64];
    struct str run = env_folder("RUNTIME_DIRECTORY");
    const char *env = getenv("QCC_SOCKET");
    *p = (struct places){.named = by};
    if (socket) {
        place_add(p, false, str_c(socket), "");
        return;
    }
    if (env && *env) {
        p->named = "QCC_SOCKET";
        place_add(p, false, str_c(env), "");
        return;
    }
    if (run.n) {
        p->named = "RUNTIME_DIRECTORY";
        place_add(p, false, run, "/control.sock");
        return;
    }
    p->named = NULL;
    place_add(p, false, env_folder("XDG_RUNTIME_DIR"), "/qcc/control.sock");
    place_add(p, false, STR("/run/qcc"), "/control.sock");
    snprintf(tmp, sizeof tmp, "/run/user/%u/qcc", (unsigned)geteuid());
    place_add(p, false, str_c(tmp), "/control.sock");
    snprintf(tmp, sizeof tmp, "/tmp/qcc-%u", (unsigned)geteuid());
    place_add(p, true, str_c(tmp), "/control.sock");
    const struct passwd *service = getpwnam("qcc");
    if (!service || service->pw_uid == geteuid())
        return;
    snprintf(tmp, sizeof tmp, "/tmp/qcc-%u", (unsigned)service->pw_uid);
    place_add(p, true, str_c(tmp), "/control.sock");
    p->v[p->n - 1].trusted = service->pw_uid;
}

/* ---- connecting */

/* Opens the folder of the path. -1 with errno. */
static int open_folder(const struct place *p, const char **base)
{
    char dir[PATH_MAX];
    struct stat st;
    const char *slash = strrchr(p->path, '/');
    *base = slash ? slash + 1 : p->path;
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - p->path) : 0, p->path);
    int fd = open(dir[0]  ? dir
                  : slash ? "/"
                          : ".",
                  O_PATH | O_DIRECTORY | O_CLOEXEC | (p->shared ? O_NOFOLLOW : 0));
    if (fd == -1)
        return -1;
    if (p->shared && (fstat(fd, &st) == -1 ||
                      (st.st_uid != geteuid() && st.st_uid != 0 && st.st_uid != p->trusted))) {
        fd_close(&fd);
        errno = EPERM; /* another user's folder: the socket may be a trap */
    }
    return fd;
}

/* Connects to a place. -1 with errno. */
static int connect_to(const struct place *p)
{
    const char *base;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int dir = open_folder(p, &base);
    if (dir == -1)
        return -1;
    int n = snprintf(un.sun_path, sizeof un.sun_path, "%s", p->path);
    if (n >= (int)sizeof un.sun_path) /* too long for an address: through the folder's descriptor */
        n = snprintf(un.sun_path, sizeof un.sun_path, "/proc/self/fd/%d/%s", dir, base);
    int fd = -1;
    if (n >= (int)sizeof un.sun_path)
        errno = ENAMETOOLONG;
    else
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd != -1 &&
        (connect(fd, (const struct sockaddr *)&un, sizeof un) == -1 || !fd_nonblock(fd))) {
        int why = errno;
        fd_close(&fd);
        errno = why;
    }
    int why = errno;
    fd_close(&dir);
    errno = why;
    return fd;
}

/* ---- messages after a failed connection */

static const char *user_name(uid_t uid, char out[static 48])
{
    const struct passwd *pw = getpwuid(uid);
    if (pw)
        snprintf(out, 48, "%.40s", pw->pw_name);
    else
        snprintf(out, 48, "%u", (unsigned)uid);
    return out;
}

static const char *group_name(gid_t gid, char out[static 48])
{
    const struct group *gr = getgrgid(gid);
    if (gr)
        snprintf(out, 48, "%.40s", gr->gr_name);
    else
        snprintf(out, 48, "%u", (unsigned)gid);
    return out;
}

/* Prints which users may connect: by the owner and group of the socket, or of its folder when that
 * is closed. */
static void say_denied(const char *path)
{
    struct stat st;
    char me[48], owner[48], group[48], at[PATH_MAX];
    snprintf(at, sizeof at, "%s", path);
    while (stat(at, &st) == -1) {
        char *slash = strrchr(at, '/');
        if (!slash || slash == at)
            return;
        *slash = '\0';
    }
    fprintf(stderr, "qccctl: you are %s, and %s may not open %s\n", user_name(geteuid(), me),
            geteuid() == st.st_uid ? "that user" : "others", path);
    fprintf(
        stderr,
        "%s belongs to user %s, group %s: become root or %s, or have yourself added to the group "
        "(usermod -aG %s %s) and log in again\n",
        at, user_name(st.st_uid, owner), group_name(st.st_gid, group), owner, group, me);
}

static void say_nobody(const struct places *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].why == EACCES) {
            say_denied(p->v[i].path);
            return;
        }
    if (p->named)
        fprintf(stderr, "qccctl: no supervisor is at the socket that %s names\n", p->named);
    else
        fprintf(stderr, "qccctl: no supervisor is there; tried\n");
    if (!p->n)
        fprintf(stderr, "  its path is empty or too long\n");
    for (size_t i = 0; i < p->n; i++) {
        const char *why = p->v[i].why == ECONNREFUSED ? "nobody listens"
                          : p->v[i].why == EPERM      ? "its folder belongs to another user"
                          : p->v[i].why == ENOENT     ? "does not exist"
                                                      : strerror(p->v[i].why);
        fprintf(stderr, "  %s: %s\n", p->v[i].path, why);
    }
    fprintf(stderr,
            "Start one with `qcc-supervisor -c qcc.yaml` (or `systemctl start qcc`); if its "
            "control_socket is elsewhere, name it with --socket PATH or QCC_SOCKET\n");
}

enum ctl_exit ctl_open(struct ctl *c, const char *socket, const char *by, int64_t timeout_ms)
{
    *c = (struct ctl){.timeout_ms = timeout_ms, .fd = -1};
    c->chan.fd = -1;
    struct places *p = mem_zalloc(1, sizeof *p);
    int fd = -1;
    places_find(p, socket, by);
    c->searched = !p->named;
    for (size_t i = 0; fd == -1 && i < p->n; i++) {
        fd = connect_to(&p->v[i]);
        p->v[i].why = errno;
        if (fd != -1)
            c->path = mem_strdup(p->v[i].path);
    }
    if (fd == -1) {
        say_nobody(p);
    } else {
        snprintf(c->peer, sizeof c->peer, "the supervisor at %.120s", c->path);
        chan_init(&c->chan, fd, TO_CTL, TX_MAX, c->peer);
    }
    mem_free(p);
    return fd == -1 ? CTL_NOBODY : CTL_DONE;
}

void ctl_close(struct ctl *c)
{
    if (c->path)
        chan_fini(&c->chan);
    json_decref(c->body);
    fd_close(&c->fd);
    mem_free(c->path);
    *c = (struct ctl){.fd = -1};
    c->chan.fd = -1;
}

bool ctl_again(struct ctl *c)
{
    struct place p = {.shared = false}; /* its owner was checked at the first connection */
    snprintf(p.path, sizeof p.path, "%s", c->path);
    chan_fini(&c->chan);
    int fd = connect_to(&p);
    if (fd != -1)
        chan_init(&c->chan, fd, TO_CTL, TX_MAX, c->peer);
    return fd != -1;
}

/* ---- asking */

static bool on_frame(void *arg, struct ipc_frame *f, struct err *e)
{
    struct ctl *c = arg;
    struct ipc_ctl_answer m;
    if (f->id != IPC_CTL_ANSWER || !ipc_get_ctl_answer(f, &m))
        return err_set(e, "%s sent a malformed %s", c->peer, ipc_name(f->id));
    if (m.id != c->want || c->got)
        return true;
    c->body = tree_read(m.body);
    if (!c->body)
        return err_set(e, "%s sent an answer that cannot be read", c->peer);
    c->got = true;
    c->status = m.status;
    c->fd = f->fd;
    f->fd = -1;
    return true;
}

/* Waits until the answer `want` has come, or the connection is closed. */
static enum chan_result wait_for(struct ctl *c, int64_t until_ms, bool *late, struct err *e)
{
    *late = false;
    for (;;) {
        int64_t left = until_ms == -1 ? -1 : until_ms - clock_mono_ms();
        struct pollfd p = {c->chan.fd, POLLIN, 0};
        if (chan_pending(&c->chan))
            p.events |= POLLOUT;
        int n = until_ms != -1 && left <= 0
                    ? 0
                    : poll(&p, 1, left == -1 ? -1 : (int)(left < 60000 ? left : 60000));
        if (n == -1 && errno == EINTR)
            continue;
        if (n == 0 && (until_ms == -1 || clock_mono_ms() < until_ms))
            continue;
        if (n <= 0) {
            *late = true;
            return CHAN_OK;
        }
        enum chan_result r = CHAN_OK;
        if (p.revents & POLLOUT)
            r = chan_write(&c->chan, e);
        if (r == CHAN_OK && (p.revents & (POLLIN | POLLHUP | POLLERR)))
            r = chan_read(&c->chan, on_frame, c, e);
        if (r != CHAN_OK || (c->want && c->got))
            return r;
    }
}

enum ctl_exit ctl_ask(struct ctl *c, const char *what, const char *arg, int64_t timeout_ms,
                      unsigned *status, json_t **body, int *fd)
{
    struct err e = {""};
    struct ipc_ctl_ask m = {.id = ++c->last_id, .what = str_c(what), .arg = str_c(arg)};
    struct ipc_ctl_query q = {.id = m.id, .what = m.what, .arg = m.arg};
    /* A supervisor of before the history knows no CTL_QUERY. */
    bool longer = m.arg.n > SHORT_ARG, late = false;
    if (timeout_ms <= 0)
        timeout_ms = c->timeout_ms;
    c->want = m.id;
    c->got = false;
    *body = NULL;
    if (fd)
        *fd = -1;
    if (longer ? !chan_send(&c->chan, -1, ipc_put_v_ctl_query, 0, &q)
               : !chan_send(&c->chan, -1, ipc_put_v_ctl_ask, 0, &m)) {
        fprintf(stderr, "qccctl: the question is longer than the supervisor accepts\n");
        return CTL_USAGE;
    }
    enum chan_result r = wait_for(c, clock_mono_ms() + timeout_ms, &late, &e);
    if (c->got) { /* also when the supervisor closed directly after its answer */
        *status = c->status;
        *body = c->body;
        c->body = NULL;
        if (fd)
            *fd = c->fd;
        else
            fd_close(&c->fd);
        c->fd = -1;
        return CTL_DONE;
    }
    if (c->quiet)
        return CTL_NOBODY;
    if (late)
        fprintf(stderr, "qccctl: %s did not answer within %lld s\n", c->peer,
                (long long)(timeout_ms + 999) / 1000);
    else if (r == CHAN_BROKEN)
        fprintf(stderr, "qccctl: %s\n", e.msg);
    else
        fprintf(stderr,
                "qccctl: %s closed the connection: it has ended, or does not let you in (its log "
                "says)\n",
                c->peer);
    return CTL_NOBODY;
}

bool ctl_wait_end(struct ctl *c, int64_t timeout_ms)
{
    struct err e;
    bool late;
    c->want = 0;
    return wait_for(c, timeout_ms == -1 ? -1 : clock_mono_ms() + timeout_ms, &late, &e) != CHAN_OK;
}
