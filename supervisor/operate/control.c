#include "supervisor/operate/control.h"

#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/ipc/chan.h"
#include "supervisor/process/user.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    CONNS_MAX = 32,     /* beyond that the connection idle longest is closed */
    ASK_MAX = 1200,     /* bytes of a CTL_QUERY; the longest has about 1,090 */
    GROUPS_MAX = 65536, /* the kernel's own bound (NGROUPS_MAX) */
    /* bytes: one answer of the largest size, and smaller ones that wait before it */
    TX_MAX = IPC_ANSWER_MAX + (64 << 10)
};

#define IDLE_S 60.0

struct control_conn {
    struct list node;
    struct control *control;
    struct chan chan;
    ev_io rd, wr;
    ev_timer idle;
    uint64_t serial;
    unsigned pending; /* queries whose answers come later */
    bool stays;       /* waits for the end of this supervisor: being idle is not an error */
    bool reading;     /* chan_read is under way: the connection may not be closed */
    bool bad;         /* to be closed after chan_read */
    uid_t uid;
    pid_t pid;
    char name[48];
};

/* ---- one connection */

static void conn_close(struct control_conn *k)
{
    struct ev_loop *loop = k->control->loop;
    ev_io_stop(loop, &k->rd);
    ev_io_stop(loop, &k->wr);
    ev_timer_stop(loop, &k->idle);
    chan_fini(&k->chan);
    list_remove(&k->node);
    k->control->nconns--;
    mem_free(k);
}

static void conn_bad(struct control_conn *k)
{
    if (k->reading)
        k->bad = true;
    else
        conn_close(k);
}

static void watch_writing(struct control_conn *k)
{
    if (chan_pending(&k->chan))
        ev_io_start(k->control->loop, &k->wr);
    else
        ev_io_stop(k->control->loop, &k->wr);
}

/* The connection was active: bytes were read or written. */
static void active(struct control_conn *k)
{
    list_remove(&k->node);
    list_push_back(&k->control->conns, &k->node);
    ev_timer_again(k->control->loop, &k->idle);
}

static void read_ended(struct control_conn *k, enum chan_result r, const struct err *e)
{
    if (r == CHAN_OK && !k->bad) {
        watch_writing(k);
        return;
    }
    if (r == CHAN_BROKEN)
        log_warn("%s is disconnected: %s", k->name, e->msg);
    conn_close(k);
}

static void say(struct control_conn *k, uint64_t id, unsigned status, const struct doc *d, int pass)
{
    struct doc torn;
    struct ipc_ctl_answer m = {.id = id, .status = status, .body = buf_view(&d->b)};
    doc_init(&torn, 256);
    if (d->torn) {
        m.status = doc_refuse(&torn, 500, "the answer is too long");
        m.body = buf_view(&torn.b);
    }
    if (chan_send(&k->chan, pass, ipc_put_v_ctl_answer, k->control->query->env->conf->gen, &m)) {
        watch_writing(k);
    } else {
        log_warn("%s does not read its answers", k->name);
        conn_bad(k);
    }
    doc_free(&torn);
}

static void answer_later(const struct asker *from, unsigned status, const struct doc *d)
{
    struct control *c = from->who;
    LIST_EACH(n, tmp, &c->conns)
    {
        struct control_conn *k = LIST_ENTRY(n, struct control_conn, node);
        if (k->serial != from->serial)
            continue;
        k->pending--;
        active(k);
        say(k, from->id, status, d, -1);
        return;
    }
}

/* Answers with the descriptor of the log ring, which is read-only. */
static void logs(struct control_conn *k, uint64_t id, struct doc *d)
{
    int fd = k->control->ring_reader;
    unsigned status = 200;
    if (fd == -1)
        status = doc_refuse(d, 404, "this supervisor keeps no lines of its log in memory");
    else
        doc_map(d, 0);
    say(k, id, status, d, fd);
}

/* Answers with the backup of the history that the question `backup` has made. */
static void take_backup(struct control_conn *k, uint64_t id, struct doc *d)
{
    int fd = recorder_take_backup(k->control->query->env->recorder);
    unsigned status = 200;
    if (fd == -1)
        status = doc_refuse(d, 409, "there is no backup to take: begin one");
    else
        doc_map(d, 0);
    say(k, id, status, d, fd);
    fd_close(&fd);
}

/* A starting supervisor requests the path. A supervisor that is stopping needs it only for queries
 * about its state, and gives it up. */
static void yield(struct control_conn *k, uint64_t id, struct doc *d)
{
    bool stops = k->control->query->env->intent->want != PLAN_SERVE;
    unsigned status = stops ? 200 : doc_refuse(d, 409, "this supervisor serves");
    if (stops) {
        doc_map(d, 0);
        control_hand_over(k->control);
        log_info("control socket left to %s, which starts", k->name);
    }
    say(k, id, status, d, -1);
}

static void ask(struct control_conn *k, const struct ipc_ctl_ask *m)
{
    struct control *c = k->control;
    struct asker from = {.answer = answer_later, .who = c, .serial = k->serial, .id = m->id};
    struct doc d;
    if (query_acts(m->what)) {
        user_text(k->uid, from.by, sizeof from.by);
        log_debug("%s says " STR_FMT "%s" STR_FMT, k->name, STR_ARG(m->what), m->arg.n ? " " : "",
                  STR_ARG(m->arg));
    }
    doc_init(&d, IPC_ANSWER_MAX);
    /* a client that follows the log or has ordered a stop waits for the end of this supervisor */
    k->stays |= str_eq(m->what, STR("stop")) || str_eq(m->what, STR("logs"));
    if (str_eq(m->what, STR("logs"))) {
        logs(k, m->id, &d);
    } else if (str_eq(m->what, STR("take_backup"))) {
        take_backup(k, m->id, &d);
    } else if (str_eq(m->what, STR("yield"))) {
        yield(k, m->id, &d);
    } else {
        unsigned status = query_run(c->query, &from, m->what, m->arg, &d);
        if (status == QUERY_LATER)
            k->pending++;
        else
            say(k, m->id, status, &d, -1);
    }
    doc_free(&d);
}

static bool on_frame(void *arg, struct ipc_frame *f, struct err *e)
{
    struct control_conn *k = arg;
    struct ipc_ctl_ask m;
    struct ipc_ctl_query q;
    if (k->bad)
        return true; /* the connection is being closed: further frames are dropped */
    if (f->fd == -1 && f->id == IPC_CTL_QUERY && ipc_get_ctl_query(f, &q))
        m = (struct ipc_ctl_ask){.id = q.id, .what = q.what, .arg = q.arg};
    else if (f->id != IPC_CTL_ASK || f->fd != -1 || !ipc_get_ctl_ask(f, &m))
        return err_set(e, "it sent a malformed %s", ipc_name(f->id));
    ask(k, &m);
    return true;
}

static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
    struct control_conn *k = w->data;
    struct err e;
    (void)loop, (void)events;
    active(k);
    k->reading = true;
    enum chan_result r = chan_read(&k->chan, on_frame, k, &e);
    k->reading = false;
    read_ended(k, r, &e);
}

static void on_writable(struct ev_loop *loop, ev_io *w, int events)
{
    struct control_conn *k = w->data;
    struct err e;
    (void)loop, (void)events;
    active(k);
    enum chan_result r = chan_write(&k->chan, &e);
    read_ended(k, r, &e);
}

static void on_idle(struct ev_loop *loop, ev_timer *w, int events)
{
    struct control_conn *k = w->data;
    (void)loop, (void)events;
    if (chan_pending(&k->chan) || !(k->pending || k->stays))
        conn_close(k);
}

/* ---- permission */

static gid_t group_now(const struct control_socket *k)
{
    struct stat st; /* read again: the operator may have changed the socket's group */
    bool ours = lstat(k->path, &st) == 0 && st.st_dev == k->dev && st.st_ino == k->ino;
    return ours ? st.st_gid : k->group;
}

/* Whether the peer was in the group when it connected, as the kernel knows: no name service is
 * asked. */
static bool in_group(int fd, gid_t group)
{
    gid_t few[64], *v = few;
    socklen_t len = sizeof few;
    int r = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, v, &len);
    if (r == -1 && errno == ERANGE && len <= GROUPS_MAX * sizeof *v) {
        v = mem_zalloc(len / sizeof *v + 1, sizeof *v);
        r = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, v, &len);
    }
    bool in = false;
    for (size_t i = 0; r == 0 && i < len / sizeof *v; i++)
        in |= v[i] == group;
    if (v != few)
        mem_free(v);
    return in;
}

static bool may(const struct control *c, int fd, struct ucred *who)
{
    socklen_t len = sizeof *who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, who, &len) == -1)
        return false;
    gid_t group = group_now(&c->now);
    return who->uid == 0 || who->uid == geteuid() || who->gid == group || in_group(fd, group);
}

/* ---- accepting */

/* Makes room for one more connection. False: all connections wait for an answer. */
static bool make_room(struct control *c)
{
    if (c->nconns < CONNS_MAX)
        return true;
    struct control_conn *old = NULL;
    LIST_EACH(n, tmp, &c->conns)
    {
        struct control_conn *k = LIST_ENTRY(n, struct control_conn, node);
        if (!k->pending && (!old || (old->stays && !k->stays)))
            old = k;
    }
    if (!old)
        return false;
    log_warn("%s is disconnected: too many are connected, and it was idle longest", old->name);
    conn_close(old);
    return true;
}

static void conn_new(struct control *c, int fd, const struct ucred *who)
{
    struct control_conn *k = mem_zalloc(1, sizeof *k);
    k->control = c;
    k->serial = ++c->last_serial;
    k->uid = who->uid;
    k->pid = who->pid;
    snprintf(k->name, sizeof k->name, "control: user %u (pid %d)", (unsigned)who->uid,
             (int)who->pid);
    chan_init(&k->chan, fd, FROM_CTL, TX_MAX, k->name);
    chan_bound(&k->chan, ASK_MAX);
    list_push_back(&c->conns, &k->node);
    c->nconns++;
    ev_io_init(&k->rd, on_readable, fd, EV_READ);
    ev_io_init(&k->wr, on_writable, fd, EV_WRITE);
    ev_init(&k->idle, on_idle);
    k->idle.repeat = IDLE_S;
    k->rd.data = k->wr.data = k->idle.data = k;
    ev_io_start(c->loop, &k->rd);
    ev_timer_again(c->loop, &k->idle);
}

static void on_accept(struct ev_loop *loop, ev_io *w, int events)
{
    struct control *c = w->data;
    struct ucred who = {.uid = (uid_t)-1};
    (void)loop, (void)events;
    int fd = accept4(c->now.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd == -1)
        return; /* the client has left, or EINTR: called again if another waits */
    if (!may(c, fd, &who))
        log_warn("control: user %u (pid %d) is not of the socket's group: refused",
                 (unsigned)who.uid, (int)who.pid);
    else if (!make_room(c))
        log_warn("control: user %u (pid %d) is refused: too many are connected", (unsigned)who.uid,
                 (int)who.pid);
    else {
        conn_new(c, fd, &who);
        return;
    }
    fd_close(&fd);
}

void control_init(struct control *c, struct ev_loop *loop, struct query *query)
{
    c->loop = loop;
    c->query = query;
    c->ring_reader = -1;
    c->now.fd = c->next.fd = -1;
    list_init(&c->conns);
    ev_init(&c->rd, on_accept);
    c->rd.data = c;
}

void control_start(struct control *c)
{
    c->leave = false;
    if (c->now.fd == -1)
        return;
    ev_io_set(&c->rd, c->now.fd, EV_READ);
    ev_io_start(c->loop, &c->rd);
    log_info("control socket %s", c->now.path);
}

/* ---- the socket */

static bool open_at(struct control_socket *k, const char *configured, const struct user *user,
                    struct err *e)
{
    uid_t owner = user->name ? user->uid : geteuid();
    bool guarded;
    char *path = control_socket_path(configured, owner, user->name != NULL, &guarded);
    struct err why;
    bool ok = control_socket_make(k, path, guarded, user, &why);
    if (!ok && configured)
        err_set(e, "control_socket: %s", why.msg);
    else if (!ok)
        log_warn("there is no control socket: %s", why.msg);
    mem_free(path);
    return ok || !configured;
}

bool control_open(struct control *c, const char *configured, const struct user *user, struct err *e)
{
    return open_at(&c->now, configured, user, e);
}

bool control_next(struct control *c, const char *configured, struct err *e)
{
    struct user same = {0};
    bool guarded;
    char *path =
        control_socket_path(configured, geteuid(), c->query->env->conf->user != NULL, &guarded);
    bool keep = c->leave || (control_socket_there(&c->now) && strcmp(path, c->now.path) == 0);
    mem_free(path);
    return keep || open_at(&c->next, configured, &same, e);
}

void control_commit(struct control *c)
{
    if (c->next.fd == -1)
        return;
    ev_io_stop(c->loop, &c->rd);
    control_socket_close(&c->now, true);
    c->now = c->next;
    c->next = (struct control_socket){.fd = -1};
    control_start(c);
}

void control_drop(struct control *c)
{
    control_socket_close(&c->next, true);
}

int control_fd(const struct control *c)
{
    return c->now.fd;
}

bool control_adopt(struct control *c, int fd, dev_t dev, ino_t ino, const char *configured,
                   struct err *e)
{
    struct sockaddr_un at;
    bool guarded;
    struct stat st;
    int accepting = 0;
    socklen_t len = sizeof accepting, at_len = sizeof at - 1;
    memset(&at, 0, sizeof at);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &len) == -1 || !accepting ||
        getsockname(fd, (struct sockaddr *)&at, &at_len) == -1 || at.sun_family != AF_UNIX) {
        fd_close(&fd);
        return err_set(e, "what was handed over as control socket is not a socket");
    }
    /* A path that is too long for an address was bound through its folder's descriptor, so its own
     * address is not the path. */
    char *path =
        control_socket_path(configured, geteuid(), c->query->env->conf->user != NULL, &guarded);
    if (dev == 0 || lstat(path, &st) == -1 || st.st_dev != dev || st.st_ino != ino) {
        mem_free(path);
        path = mem_strdup(at.sun_path);
    }
    bool there = lstat(path, &st) == 0; /* else control_next makes a new socket */
    c->now = (struct control_socket){.fd = fd,
                                     .path = path,
                                     .dev = there ? st.st_dev : 0,
                                     .ino = there ? st.st_ino : 0,
                                     .group = there ? st.st_gid : getegid()};
    c->leave = true;
    return true;
}

void control_hand_over(struct control *c)
{
    c->leave = true;
    ev_io_stop(c->loop, &c->rd);
    fd_close(&c->now.fd); /* else connections would wait here when the other one has ended */
}

void control_close(struct control *c)
{
    LIST_EACH(n, tmp, &c->conns)
    conn_close(LIST_ENTRY(n, struct control_conn, node));
    ev_io_stop(c->loop, &c->rd);
    control_drop(c);
    control_socket_close(&c->now, !c->leave);
}
