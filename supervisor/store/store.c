#include "supervisor/store/store.h"

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/secret/rnd.h"
#include "supervisor/store/store_cells.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SOON_MS = 2000,  /* saved so long after a binding or an endpoint's state has changed */
    LATER_MS = 5000, /* saved so long after times of use, counters or models have changed */
    SHARE = 20       /* writing takes at most 1/SHARE of the time */
};

static const char file_name[] = "state", cells_name[] = "cells";

void store_init(struct store *st, const struct store_env *env)
{
    *st = (struct store){.env = *env, .dir = {.fd = -1, .lock = -1}};
}

bool store_open(struct store *st, const char *path, const uint8_t *given, int *lent, struct err *e)
{
    if (!path) {
        if (given)
            memcpy(st->secret, given, sizeof st->secret);
        else
            rnd_bytes(st->secret, sizeof st->secret);
        return true;
    }
    st->path = mem_strdup(path);
    if (!store_dir_open(&st->dir, st->path, e) || !store_dir_lock(&st->dir, lent, e)) {
        store_dir_close(&st->dir);
        mem_free(st->path);
        st->path = NULL;
        return false;
    }
    store_dir_secret(&st->dir, given, st->secret);
    return true;
}

/* A print that tells bindings of this secret from those of another one without revealing it. */
static uint64_t print_of(const uint8_t secret[STORE_SECRET])
{
    uint8_t hash[32];
    uint64_t v = 0;
    unsigned n = sizeof hash;
    if (EVP_Digest(secret, STORE_SECRET, hash, &n, EVP_sha256(), NULL) == 1)
        memcpy(&v, hash, sizeof v);
    return v;
}

/* ---- saving */

/* The state to save as it is now; the caller frees it with drop. */
static struct store_view look(struct store *st)
{
    const struct store_env *env = &st->env;
    struct store_view v = {
        .wall_ms = clock_wall_ms(), .now_ms = clock_boot_ms(), .print = print_of(st->secret)};
    for (int k = 0; k < BINDING_KIND__COUNT; k++)
        v.bindings[k] = env->bindings->set[k].b;
    struct saved_endpoint *e = mem_zalloc(env->health->n + 1, sizeof *e);
    v.nendpoints = health_save(env->health, e);
    totals_save(env->totals, v.counters);
    for (size_t i = 0; i < v.nendpoints; i++)
        totals_save_endpoint(env->totals, str_c(e[i].id), e[i].counts);
    v.endpoints = e;
    v.cells = health_save_cells(env->health, v.now_ms);
    struct saved_mark *m = mem_zalloc(env->marks->table.n + 1, sizeof *m);
    v.nmarks = marked_save(env->marks, m, v.now_ms, v.wall_ms);
    v.marks = m;
    return v;
}

/* Frees what look has made. */
static void drop(struct store_view *v)
{
    mem_free((void *)v->endpoints);
    saved_cells_free(&v->cells);
    mem_free((void *)v->marks);
}

static bool same_cells(const struct saved_cells *a, const struct saved_cells *b)
{
    return a->n == b->n && a->nnames == b->nnames &&
           (a->n == 0 || memcmp(a->v, b->v, a->n * sizeof *a->v) == 0) &&
           (a->nnames == 0 || memcmp(a->names, b->names, a->nnames * sizeof *a->names) == 0);
}

enum change { CHANGE_NONE, CHANGE_COUNTERS, CHANGE_STATE };

static enum change changed(const struct store *st, const struct store_view *v)
{
    if (st->moves != st->env.bindings->moves || st->marks != st->env.marks->moves ||
        st->nendpoints != v->nendpoints || !same_cells(&st->cells, &v->cells))
        return CHANGE_STATE;
    enum change c = CHANGE_NONE;
    if (st->uses != st->env.bindings->uses ||
        memcmp(st->counters, v->counters, sizeof v->counters) != 0)
        c = CHANGE_COUNTERS;
    for (size_t i = 0; i < v->nendpoints; i++) {
        const struct saved_endpoint *a = &st->endpoints[i], *b = &v->endpoints[i];
        if (strcmp(a->id, b->id) != 0 || a->disabled != b->disabled || a->queued != b->queued ||
            a->draining != b->draining || a->refused_wall_ms != b->refused_wall_ms)
            return CHANGE_STATE;
        if (memcmp(a->counts, b->counts, sizeof a->counts) != 0 || strcmp(a->model, b->model) != 0)
            c = CHANGE_COUNTERS;
    }
    return c;
}

/* Records the view as saved; takes it over. */
static void remember(struct store *st, struct store_view *v)
{
    mem_free(st->endpoints);
    mem_free((void *)v->marks);
    st->endpoints = (struct saved_endpoint *)v->endpoints;
    st->nendpoints = v->nendpoints;
    saved_cells_free(&st->cells);
    st->cells = v->cells;
    memcpy(st->counters, v->counters, sizeof st->counters);
    st->moves = st->env.bindings->moves;
    st->uses = st->env.bindings->uses;
    st->marks = st->env.marks->moves;
}

/* A save has ended. code: 0, or errno. */
static void ended(struct store *st, int code)
{
    st->saved_ms = clock_mono_ms();
    st->took_ms = st->saved_ms - st->began_ms;
    if (code == 0 && st->failing)
        log_info("state_dir: %s is saved again", st->path);
    if (code != 0 && !st->failing)
        log_warn("state_dir: cannot save in %s, trying on: %s", st->path, strerror(code));
    st->failing = code != 0;
    if (code != 0)
        st->moves--; /* counts as changed, since it was not saved */
}

static void on_child(struct ev_loop *loop, ev_child *w, int events)
{
    struct store *st = CONTAINER_OF(w, struct store, on_child);
    (void)events;
    ev_child_stop(loop, w);
    st->child = 0;
    ended(st, WIFEXITED(w->rstatus) ? WEXITSTATUS(w->rstatus) : EINTR);
}

/* Writes both files. False with errno. */
static bool write_all(int dir, const struct store_view *v)
{
    return store_file_write(dir, file_name, v) && store_cells_write(dir, cells_name, v);
}

/* Runs in the child, which touches no descriptor of the supervisor and does not outlive it. */
static NORETURN void write_and_exit(int dir, pid_t parent, const struct store_view *v)
{
    static const int handled[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};
    sigset_t none;
    for (size_t i = 0; i < COUNT_OF(handled); i++)
        signal(handled[i], SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    enum { DIR_FD = 3 };
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1 || getppid() != parent ||
        (dir != DIR_FD && dup2(dir, DIR_FD) == -1))
        _exit(EINTR);
    close_range(DIR_FD + 1, ~0U, 0);
    _exit(write_all(DIR_FD, v) ? 0 : errno);
}

static void save(struct store *st, struct store_view *v)
{
    sigset_t all, before;
    sigfillset(&all);
    pid_t self = getpid();
    st->began_ms = clock_mono_ms();
    sigprocmask(SIG_SETMASK, &all, &before); /* no handler of the loop runs in the child */
    pid_t pid = fork();
    if (pid == 0)
        write_and_exit(st->dir.fd, self, v);
    int why = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    remember(st, v);
    if (pid == -1) {
        ended(st, why);
        return;
    }
    st->child = pid;
    ev_child_init(&st->on_child, on_child, pid, 0);
    ev_child_start(st->env.loop, &st->on_child);
}

static int64_t pause_for(const struct store *st, enum change c)
{
    int64_t ms = c == CHANGE_STATE ? SOON_MS : LATER_MS;
    return st->took_ms * SHARE > ms ? st->took_ms * SHARE : ms;
}

static bool may_save(const struct store *st)
{
    return st->path && !st->child && st->allowed;
}

/* Starts a save if something has changed whose pause since the last one, since_ms, is over. */
static void save_changes(struct store *st, int64_t since_ms)
{
    struct store_view v = look(st);
    enum change c = changed(st, &v);
    if (c == CHANGE_NONE || since_ms < pause_for(st, c))
        drop(&v);
    else
        save(st, &v);
}

void store_turn(struct store *st)
{
    if (!st->env.health->operator_acted || !may_save(st))
        return;
    st->env.health->operator_acted = false;
    save_changes(st, INT64_MAX);
}

void store_tick(struct store *st)
{
    int64_t since = clock_mono_ms() - st->saved_ms;
    if (since >= SOON_MS && may_save(st))
        save_changes(st, since);
}

bool store_put(struct store *st, int fd)
{
    struct store_view v = look(st);
    bool ok = store_file_put(fd, &v);
    int why = errno;
    drop(&v);
    errno = why;
    return ok;
}

/* Ends a save that is under way. */
static void halt(struct store *st)
{
    if (!st->child)
        return;
    ev_child_stop(st->env.loop, &st->on_child);
    kill(st->child, SIGKILL);
    while (waitpid(st->child, NULL, 0) == -1 && errno == EINTR)
        ;
    st->moves--; /* counts as changed, since the save may not be complete */
    st->child = 0;
}

void store_allow(struct store *st, bool on)
{
    st->allowed = on;
    if (!on)
        halt(st);
}

void store_leave(struct store *st)
{
    store_dir_close(&st->dir);
}

void store_close(struct store *st)
{
    if (!st->path)
        return;
    halt(st);
    struct store_view v = look(st);
    if (st->allowed && changed(st, &v) != CHANGE_NONE) {
        st->began_ms = clock_mono_ms();
        int code = write_all(st->dir.fd, &v) ? 0 : errno;
        remember(st, &v);
        ended(st, code);
    } else {
        drop(&v);
    }
    store_dir_close(&st->dir);
    mem_free(st->endpoints);
    saved_cells_free(&st->cells);
    mem_free(st->path);
    st->path = NULL;
    st->endpoints = NULL;
    st->nendpoints = 0;
}

/* ---- restoring */

/* Reads the file into *p, to be freed with mem_free. False: it cannot be used; *e says why. */
static bool read_fd(int fd, char **p, size_t *n, struct err *e)
{
    struct stat st;
    *p = NULL;
    *n = 0;
    bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    if (!ok)
        err_set(e, "is not a regular file");
    else if (st.st_size > STORE_FILE_MAX)
        ok = err_set(e, "is too large");
    else if (!(*p = mem_try((size_t)st.st_size + 1)))
        ok = err_set(e, "does not fit into memory");
    while (ok && *n < (size_t)st.st_size) {
        ssize_t k = pread(fd, *p + *n, (size_t)st.st_size - *n, (off_t)*n);
        if (k == -1 && errno != EINTR)
            ok = err_sys(e, "cannot be read");
        else if (k == 0)
            break;
        else if (k > 0)
            *n += (size_t)k;
    }
    if (!ok)
        mem_free(*p);
    return ok;
}

/* Reads a file of the folder into *p, to be freed with mem_free. False: with an empty *e there is
 * none, else it cannot be used. */
static bool read_file(const struct store_dir *d, const char *name, char **p, size_t *n,
                      struct err *e)
{
    e->msg[0] = '\0';
    int fd = openat(d->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd == -1)
        return errno == ENOENT ? false : err_sys(e, "cannot be opened");
    bool ok = read_fd(fd, p, n, e);
    fd_close(&fd);
    return ok;
}

/* Restores a binding that was used age_ms before the file was saved, off ms ago. last: time of the
 * one before of its kind, as the tables need ascending ones. False: no room. */
static bool restore_binding(struct bindings *ss, const struct store_binding *b, int64_t off,
                            int64_t last[static BINDING_KIND__COUNT])
{
    enum binding_kind kind = binding_kind(b->key);
    const struct binding_set *set = &ss->set[kind];
    int64_t now = clock_boot_ms();
    int64_t used = off > set->ttl_ms ? now - off : now - off - b->age_ms;
    if (used < last[kind])
        used = last[kind];
    last[kind] = used;
    return !set->enabled || used <= now - set->ttl_ms ||
           bindings_restore(ss, b->key, b->endpoint, used);
}

/* Restores the bindings. The time since the file was saved counts as time without use. */
static uint32_t restore_bindings(struct store *st, struct store_image *im)
{
    struct bindings *ss = st->env.bindings;
    int64_t off = clock_wall_ms() - im->saved_ms;
    int64_t last[BINDING_KIND__COUNT] = {INT64_MIN, INT64_MIN, INT64_MIN};
    struct str block;
    if (im->print != print_of(st->secret)) {
        log_warn("state: the bindings were made with another secret: forgotten");
        return 0;
    }
    if (off < 0)
        off = 0;
    if (ss->set[BINDING_TALK].enabled && im->nblocks)
        bindings_expect(ss, (size_t)im->nblocks * STORE_BLOCK);
    while ((block = store_block(im)).n)
        for (size_t i = 0; i < block.n / STORE_BINDING; i++) {
            struct store_binding b = store_binding_at(block, i);
            if (!restore_binding(ss, &b, off, last))
                return bindings_total(ss);
        }
    return bindings_total(ss);
}

/* Restores all from the bytes of a file. from: their origin, for the log. False: *e says why
 * not. */
static bool take_up(struct store *st, struct str file, const char *from, struct err *e)
{
    struct store_image im;
    if (!store_file_parse(file, &im, e))
        return false;
    uint32_t bound = restore_bindings(st, &im);
    totals_restore(st->env.totals, im.counters);
    for (uint32_t i = 0; i < im.nendpoints; i++)
        totals_restore_endpoint(st->env.totals, str_c(im.endpoints[i].id), im.endpoints[i].counts);
    size_t known = health_restore(st->env.health, im.endpoints, im.nendpoints, clock_boot_ms());
    marked_restore(st->env.marks, im.marks, im.nmarks, clock_boot_ms(), clock_wall_ms());
    log_info("state: %u bindings and the state of %zu endpoints are taken up from %s", bound, known,
             from);
    store_image_fini(&im);
    return true;
}

/* Restores the predecessor's state in memory, which is newer than its file. False: it cannot be
 * used. */
static bool restore_given(struct store *st, int fd)
{
    struct err e;
    char *p;
    size_t n;
    bool ok = fd != -1 && read_fd(fd, &p, &n, &e);
    if (!ok)
        return false;
    ok = take_up(st, str_make(p, n), "the previous supervisor", &e);
    if (!ok)
        log_warn("state: what the previous supervisor gave %s", e.msg);
    mem_free(p);
    return ok;
}

static void restore_file(struct store *st)
{
    struct err e;
    char *p = NULL;
    size_t n = 0;
    if (!st->path)
        return;
    bool found = read_file(&st->dir, file_name, &p, &n, &e);
    if (found ? !take_up(st, str_make(p, n), st->path, &e) : e.msg[0] != '\0')
        store_dir_set_aside(&st->dir, file_name, e.msg);
    if (found)
        mem_free(p);
}

void store_restore_cells(struct store *st)
{
    struct err e;
    struct saved_cells cells = {0};
    char *p = NULL;
    size_t n = 0;
    if (!st->path)
        return;
    bool found = read_file(&st->dir, cells_name, &p, &n, &e);
    int64_t now = clock_boot_ms();
    if (found ? !store_cells_parse(str_make(p, n), clock_wall_ms() - now, &cells, &e)
              : e.msg[0] != '\0')
        store_dir_set_aside(&st->dir, cells_name, e.msg);
    health_restore_cells(st->env.health, &cells, now);
    saved_cells_free(&cells);
    if (found)
        mem_free(p);
}

void store_restore(struct store *st, int given)
{
    if (!restore_given(st, given)) {
        restore_file(st);
        store_restore_cells(st);
    }
    if (!st->path)
        return;
    struct store_view v = look(st);
    remember(st, &v);
}
