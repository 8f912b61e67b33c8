#include "supervisor/process/listen.h"

#include "supervisor/process/listen_why.h"
#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* GIVEN_FIRST: the first descriptor that systemd passes (sd_listen_fds(3)). */
enum { GIVEN_FIRST = 3, RETRY_STEP_MS = 25 };

static const struct sockaddr_un *as_unix(const struct listener *l)
{
    return (const struct sockaddr_un *)(const void *)&l->addr;
}

static bool is_unix(const struct listener *l)
{
    return l->addr.ss_family == AF_UNIX;
}

void listen_text(const struct listener *l, char *out, size_t size)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (is_unix(l)) {
        snprintf(out, size, "unix:%s", as_unix(l)->sun_path);
        return;
    }
    if (getnameinfo((const struct sockaddr *)&l->addr, l->addr_len, host, sizeof host, port,
                    sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(out, size, "?");
    else
        snprintf(out, size, l->addr.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

static void unref(struct listener *l)
{
    if (--l->refs > 0)
        return;
    struct stat st;
    /* Another supervisor may have taken the path meanwhile: only the file that was made here is
     * removed. */
    if (is_unix(l) && !l->foreign && !l->lent && lstat(as_unix(l)->sun_path, &st) == 0 &&
        st.st_dev == l->dev && st.st_ino == l->ino)
        unlink(as_unix(l)->sun_path);
    fd_close(&l->fd);
    mem_free(l);
}

static struct listener *listener_new(int fd)
{
    struct listener *l = mem_zalloc(1, sizeof *l);
    l->refs = 1;
    l->fd = fd;
    return l;
}

/* ---- sockets from systemd */

static long env_number(const char *name)
{
    uint64_t n;
    return str_to_u64(str_c(getenv(name)), INT32_MAX, &n) ? (long)n : 0;
}

/* A listener of a socket that another process has opened, or NULL; fd is then left as it is. */
static struct listener *listener_of(int fd)
{
    struct listener *l = listener_new(fd);
    int accepting = 0;
    socklen_t len = sizeof accepting;
    l->addr_len = sizeof l->addr;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &len) != -1 && accepting &&
        getsockname(fd, (struct sockaddr *)&l->addr, &l->addr_len) != -1 && fd_cloexec(fd, true) &&
        fd_nonblock(fd))
        return l;
    mem_free(l);
    return NULL;
}

void listen_given_take(struct listen_given *g)
{
    long n = env_number("LISTEN_PID") == getpid() ? env_number("LISTEN_FDS") : 0;
    g->n = 0;
    for (int fd = GIVEN_FIRST; fd < GIVEN_FIRST + n && g->n < LISTEN_MAX; fd++) {
        struct listener *l = listener_of(fd);
        if (!l) { /* it may be there for another use, so it stays open */
            log_warn("descriptor %d from systemd is not a listening socket", fd);
            continue;
        }
        l->foreign = true;
        g->v[g->n++] = l;
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

bool listen_given_add(struct listen_given *g, int fd, bool foreign, dev_t dev, ino_t ino)
{
    struct listener *l = g->n < LISTEN_MAX ? listener_of(fd) : NULL;
    if (!l) {
        fd_close(&fd);
        return false;
    }
    l->foreign = foreign;
    l->lent = true;
    l->dev = dev;
    l->ino = ino;
    g->v[g->n++] = l;
    return true;
}

void listen_given_own(struct listen_given *g)
{
    for (size_t i = 0; i < g->n; i++)
        g->v[i]->lent = false;
}

void listen_lend(struct listen_set *set, bool on)
{
    for (size_t i = 0; i < set->n; i++)
        set->v[i].l->lent = on;
}

void listen_given_drop(struct listen_given *g)
{
    for (size_t i = 0; i < g->n; i++) {
        char text[256];
        listen_text(g->v[i], text, sizeof text);
        if (g->v[i]->refs == 1)
            log_warn("%s %s is not in the configuration: closed",
                     g->v[i]->foreign ? "systemd's socket" : "the socket", text);
        unref(g->v[i]);
    }
    g->n = 0;
}

/* ---- addresses */

struct target {
    struct sockaddr_storage addr;
    socklen_t len;
};

static bool unix_target(struct str path, struct target *t, struct err *e)
{
    struct sockaddr_un *un = (struct sockaddr_un *)(void *)&t->addr;
    if (path.n == 0 || path.n >= sizeof un->sun_path)
        return err_set(e, "a path must have 1 to %zu characters", sizeof un->sun_path - 1);
    memset(t, 0, sizeof *t);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path.p, path.n);
    t->len = (socklen_t)sizeof *un;
    return true;
}

/* Resolves "host:port", "[v6]:port" or "*:port" into all its addresses (*n), "unix:/path" into
 * one. */
static bool resolve(const char *address, struct target *t, size_t max, size_t *n, struct err *e)
{
    struct str a = str_c(address);
    *n = 0;
    if (str_starts(a, STR("unix:"))) {
        *n = 1;
        return unix_target(str_make(a.p + 5, a.n - 5), t, e);
    }
    const char *colon = strrchr(address, ':');
    uint64_t port;
    /* getaddrinfo(3) takes 65537 for 1, so the port is checked here */
    if (!colon || !str_to_u64(str_c(colon + 1), UINT16_MAX, &port))
        return err_set(e, "no port");
    struct str host = str_make(a.p, (size_t)(colon - a.p));
    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = str_make(host.p + 1, host.n - 2);
    char name[NI_MAXHOST];
    if (host.n >= sizeof name)
        return err_set(e, "host name too long");
    memcpy(name, host.p, host.n);
    name[host.n] = '\0';
    bool any = host.n == 0 || str_eq(host, STR("*"));
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                                   .ai_family = AF_UNSPEC};
    struct addrinfo *list;
    int r = getaddrinfo(any ? NULL : name, colon + 1, &hints, &list);
    if (r != 0)
        return err_set(e, "%s", r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
    for (struct addrinfo *ai = list; ai && *n < max; ai = ai->ai_next) {
        memset(&t[*n], 0, sizeof *t);
        memcpy(&t[*n].addr, ai->ai_addr, ai->ai_addrlen);
        t[(*n)++].len = ai->ai_addrlen;
    }
    freeaddrinfo(list);
    return true;
}

static bool same_address(const struct listener *l, const struct target *t)
{
    if (l->addr.ss_family != t->addr.ss_family)
        return false;
    if (t->addr.ss_family == AF_UNIX) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)&t->addr;
        return strncmp(as_unix(l)->sun_path, un->sun_path, sizeof un->sun_path) == 0;
    }
    if (t->addr.ss_family == AF_INET6) {
        const struct sockaddr_in6 *a = (const void *)&l->addr, *b = (const void *)&t->addr;
        return a->sin6_port == b->sin6_port && a->sin6_scope_id == b->sin6_scope_id &&
               memcmp(&a->sin6_addr, &b->sin6_addr, sizeof a->sin6_addr) == 0;
    }
    const struct sockaddr_in *a = (const void *)&l->addr, *b = (const void *)&t->addr;
    return a->sin_port == b->sin_port && a->sin_addr.s_addr == b->sin_addr.s_addr;
}

/* ---- opening */

/* What listen_open works on. */
struct opening {
    struct listen_set *set;
    const struct listen_set *old;
    const struct listen_given *given;
    int64_t give_up_ms;
};

/* Removes a Unix path that a dead process left: it refuses connections. A path that accepts them is
 * in use. False with errno when it must stay. */
static bool clear_stale(const struct target *t)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)&t->addr;
    struct stat st;
    if (lstat(un->sun_path, &st) == -1)
        return errno == ENOENT;
    if (!S_ISSOCK(st.st_mode)) {
        errno = EEXIST;
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd == -1)
        return false;
    bool dead = connect(fd, (const struct sockaddr *)un, t->len) == -1 && errno == ECONNREFUSED;
    fd_close(&fd);
    if (dead)
        return unlink(un->sun_path) == 0 || errno == ENOENT;
    errno = EADDRINUSE;
    return false;
}

static bool bind_listen(struct listener *l, const struct target *t)
{
    static const int on = 1;
    bool un = t->addr.ss_family == AF_UNIX;
    if (!un && setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == -1)
        return false;
    /* IPV6_V6ONLY, whatever the system's default: "[::]:80" leaves IPv4's port 80 to another
     * listener. */
    if (t->addr.ss_family == AF_INET6 &&
        setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == -1)
        return false;
    if (un && !clear_stale(t))
        return false;
    mode_t mask = umask(0117); /* a Unix socket is created with mode 0660 */
    int r = bind(l->fd, (const struct sockaddr *)&t->addr, t->len);
    umask(mask);
    if (r == -1 || listen(l->fd, LISTEN_BACKLOG) == -1)
        return false;
    l->addr_len = sizeof l->addr;
    if (getsockname(l->fd, (struct sockaddr *)&l->addr, &l->addr_len) == -1)
        return false;
    struct stat st;
    if (un && lstat(as_unix(l)->sun_path, &st) == 0) {
        l->dev = st.st_dev;
        l->ino = st.st_ino;
    }
    return true;
}

static bool is_any(const struct sockaddr_storage *a)
{
    if (a->ss_family == AF_INET)
        return ((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr == INADDR_ANY;
    return a->ss_family == AF_INET6 &&
           memcmp(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, &in6addr_any,
                  sizeof in6addr_any) == 0;
}

/* Whether one is all addresses of a family and the other one of them, with the same port. The
 * kernel lets one process listen on both only while both sockets have SO_REUSEPORT. */
static bool overlaps(const struct listener *l, const struct sockaddr_storage *t)
{
    if (l->addr.ss_family != t->ss_family || is_any(&l->addr) == is_any(t))
        return false;
    const struct sockaddr_in *a = (const void *)&l->addr, *b = (const void *)t;
    return (t->ss_family == AF_INET || t->ss_family == AF_INET6) && a->sin_port == b->sin_port;
}

static void share_port(const struct listener *l, int on)
{
    if (setsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == -1)
        log_debug("SO_REUSEPORT: %s", strerror(errno));
}

/* Sets SO_REUSEPORT of our sockets that overlap with t; for a moment only, as it says that others
 * may listen there too. Returns whether there are any. */
static bool share_overlapping(const struct opening *o, const struct target *t, int on)
{
    bool any = false;
    for (size_t i = 0; i < o->set->n; i++)
        if (overlaps(o->set->v[i].l, &t->addr)) {
            share_port(o->set->v[i].l, on);
            any = true;
        }
    for (size_t i = 0; o->old && i < o->old->n; i++)
        if (overlaps(o->old->v[i].l, &t->addr)) {
            share_port(o->old->v[i].l, on);
            any = true;
        }
    for (size_t i = 0; o->given && i < o->given->n; i++)
        if (overlaps(o->given->v[i], &t->addr)) {
            share_port(o->given->v[i], on);
            any = true;
        }
    return any;
}

static bool bind_beside(const struct opening *o, struct listener *l, const struct target *t)
{
    bool shared = share_overlapping(o, t, 1);
    if (shared)
        share_port(l, 1);
    bool ok = bind_listen(l, t);
    int why = errno;
    if (shared) {
        share_overlapping(o, t, 0);
        share_port(l, 0);
    }
    errno = why;
    return ok;
}

/* Opens a new listening socket; NULL with errno. */
static struct listener *open_one(const struct opening *o, const struct target *t)
{
    for (;;) {
        int fd = socket(t->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd == -1)
            return NULL;
        struct listener *l = listener_new(fd);
        if (bind_beside(o, l, t))
            return l;
        int why = errno;
        l->lent = true; /* a Unix path, if any, belongs to the predecessor */
        unref(l);
        errno = why;
        if (why != EADDRINUSE || clock_mono_ms() >= o->give_up_ms)
            return NULL;
        poll(NULL, 0, RETRY_STEP_MS);
    }
}

static struct listener *find_shared(const struct target *t, const struct listen_set *set)
{
    for (size_t i = 0; set && i < set->n; i++)
        if (same_address(set->v[i].l, t))
            return set->v[i].l;
    return NULL;
}

static struct listener *find_given(const struct target *t, const struct listen_given *g)
{
    for (size_t i = 0; g && i < g->n; i++)
        if (same_address(g->v[i], t))
            return g->v[i];
    return NULL;
}

/* The id under which workers know that socket in that role, or a new id. */
static uint32_t role_id(struct listen_set *set, const struct listen_set *old,
                        const struct listener *l, bool admin, const char *address)
{
    for (size_t k = 0; old && k < old->n; k++)
        if (old->v[k].l == l && old->v[k].admin == admin && strcmp(old->v[k].address, address) == 0)
            return old->v[k].id;
    return ++set->last_id;
}

/* Adds l, whose reference is taken over. */
static void add_entry(struct opening *o, struct listener *l, const char *address, int64_t index)
{
    struct listen_set *s = o->set;
    char *copy = mem_strdup(address); /* may be of an entry, which moves */
    s->v = mem_realloc(s->v, s->n + 1, sizeof *s->v);
    s->v[s->n++] = (struct listen_entry){.l = l,
                                         .id = role_id(s, o->old, l, index == -1, copy),
                                         .admin = index == -1,
                                         .conf_index = index,
                                         .address = copy};
}

static bool add_target(struct opening *o, const struct target *t, const char *address,
                       int64_t index)
{
    struct listener *l = find_shared(t, o->set);
    if (l) {
        errno = EADDRINUSE; /* the address is twice in one configuration */
        return false;
    }
    l = find_shared(t, o->old);
    if (!l)
        l = find_given(t, o->given);
    if (l)
        l->refs++;
    else if (!(l = open_one(o, t)))
        return false;
    add_entry(o, l, address, index);
    return true;
}

/* Keeps l if it is one of the addresses of a new socket of all: closing it would lose the
 * connections in its queue, and the kernel gives it those of its address as long as it is there. */
static void keep_within(struct opening *o, struct listener *l)
{
    for (size_t i = 0; i < o->set->n; i++)
        if (o->set->v[i].l == l)
            return;
    for (size_t i = 0; i < o->set->n && o->set->n < LISTEN_MAX; i++) {
        const struct listen_entry *all = &o->set->v[i];
        if (!is_any(&all->l->addr) || !overlaps(l, &all->l->addr))
            continue;
        l->refs++;
        add_entry(o, l, all->address, all->conf_index);
        return;
    }
}

static void keep_all_within(struct opening *o)
{
    for (size_t i = 0; o->old && i < o->old->n; i++)
        keep_within(o, o->old->v[i].l);
    for (size_t i = 0; o->given && i < o->given->n; i++)
        keep_within(o, o->given->v[i]);
}

/* Whether the error means that the machine lacks that kind of address (IPv6 switched off). */
static bool lacking(int why)
{
    return why == EAFNOSUPPORT || why == EADDRNOTAVAIL;
}

static bool add_address(struct opening *o, const char *address, int64_t index, struct err *e)
{
    struct target t[16];
    struct err why;
    size_t n, opened = 0;
    int missing = EADDRNOTAVAIL;
    if (!resolve(address, t, COUNT_OF(t), &n, &why))
        return err_set(e, "cannot listen on %s: %s", address, why.msg);
    for (size_t i = 0; i < n; i++) {
        if (o->set->n == LISTEN_MAX)
            return err_set(e, "cannot listen on %s: more than %d sockets", address, LISTEN_MAX);
        if (add_target(o, &t[i], address, index))
            opened++;
        else if (!lacking(errno))
            return listen_why(e, address, &t[i].addr, t[i].len, errno);
        else
            missing = errno;
    }
    errno = missing;
    return opened > 0 || err_sys(e, "cannot listen on %s", address);
}

bool listen_open(struct listen_set *set, const struct conf *c, const struct listen_set *old,
                 const struct listen_given *given, int64_t wait_ms, struct err *e)
{
    struct opening o = {set, old, given, clock_mono_ms() + wait_ms};
    *set = (struct listen_set){.last_id = old ? old->last_id : 0};
    for (size_t i = 0; i < c->nlisten; i++)
        if (!add_address(&o, c->listen[i].address, (int64_t)i, e))
            goto fail;
    if (c->admin.listen && !add_address(&o, c->admin.listen, -1, e))
        goto fail;
    keep_all_within(&o);
    return true;
fail:
    listen_close(set);
    return false;
}

void listen_close(struct listen_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        unref(set->v[i].l);
        mem_free(set->v[i].address);
    }
    mem_free(set->v);
    *set = (struct listen_set){0};
}

const struct listen_entry *listen_find(const struct listen_set *set, uint32_t id)
{
    for (size_t i = 0; i < set->n; i++)
        if (set->v[i].id == id)
            return &set->v[i];
    return NULL;
}

void listen_chown(const struct listen_set *set, uid_t uid, gid_t gid)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct listener *l = set->v[i].l;
        if (l->foreign)
            continue;
        /* of others the socket itself, as sockets that share a port must have one owner */
        int r = is_unix(l) ? chown(as_unix(l)->sun_path, uid, gid) : fchown(l->fd, uid, gid);
        if (r == -1)
            log_warn("%s keeps its owner: %s", set->v[i].address, strerror(errno));
    }
}
