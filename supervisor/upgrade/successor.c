#include "supervisor/upgrade/successor.h"

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "supervisor/upgrade/endpoint_wire.h"
#include "supervisor/process/container.h"
#include "supervisor/process/signals.h"
#include "supervisor/process/systemd.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TX_MAX = 64 << 20, /* what may wait for a new one that is busy with its start */
    FLUSH_MS = 1000,
    ABOVE = 16         /* descriptors out of the way of those with a fixed number */
};

/* In which the new one must have come to serve: it reads a configuration, loads a million bindings,
 * and waits for its workers. */
#define START_S 60.

void upgrade_init(struct upgrade *u)
{
    *u = (struct upgrade){.chan.fd = -1};
}

bool upgrade_going(const struct sup *s)
{
    return s->upgrade.phase != UPGRADE_NONE;
}

bool upgrade_given(const struct sup *s)
{
    return s->upgrade.phase == UPGRADE_GIVEN || s->upgrade.phase == UPGRADE_DONE;
}

/* ---- the new one's process */

/* In the child: the copy of all memory is as it was at the fork, and what comes after it is told over
 * the channel. Every other descriptor is close-on-exec. */
static NORETURN void become_new(struct sup *s, int sock)
{
    int state = memfd_create("qcc-state", MFD_CLOEXEC);
    bool ok = state != -1 && state_put(&s->state, state);
    sock = fcntl(sock, F_DUPFD_CLOEXEC, ABOVE);
    state = fcntl(state, F_DUPFD_CLOEXEC, ABOVE);
    ok = ok && dup2(sock, UPGRADE_FD) != -1 && dup2(state, UPGRADE_STATE_FD) != -1 &&
         fd_cloexec(UPGRADE_FD, false) && fd_cloexec(UPGRADE_STATE_FD, false) &&
         setenv(UPGRADE_ENV, "1", 1) == 0 && unsetenv("WATCHDOG_PID") == 0;
    if (ok)
        execl(s->program, s->program, "-c", s->conf_path, (char *)NULL);
    dprintf(STDERR_FILENO, "qcc-supervisor: cannot execute %s: %s\n", s->program, strerror(errno));
    _exit(SUP_EXIT_FAULT);
}

/* In the process between the two, which ends at once: so that the new one is a child of whoever started us
 * (systemd, init), who then knows of its end and restarts it, also after an upgrade. */
static NORETURN void fork_new(struct sup *s, int sock, int report, const sigset_t *before)
{
    pid_t pid = fork();
    if (pid == 0) {
        /* What is sent to it before it has a loop of its own waits until then. */
        signals_block_only(before);
        become_new(s, sock);
    }
    _exit(write(report, &pid, sizeof pid) == sizeof pid ? 0 : SUP_EXIT_FAULT);
}

/* The new one's process id; -1 with errno. */
static pid_t fork_twice(struct sup *s, int sock)
{
    int report[2];
    sigset_t all, before;
    pid_t pid = -1;
    if (pipe2(report, O_CLOEXEC) == -1)
        return -1;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before); /* no handler of the loop's runs in the children */
    pid_t between = fork();
    if (between == 0)
        fork_new(s, sock, report[1], &before);
    int why = errno;
    fd_close(&report[1]);
    if (between != -1) {
        why = EAGAIN; /* as fork(2) says */
        if (read(report[0], &pid, sizeof pid) != sizeof pid)
            pid = -1;
        waitpid(between, NULL, 0);
    }
    fd_close(&report[0]);
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = why;
    return pid;
}

static bool spawn(struct sup *s, int *fd, struct err *e)
{
    int theirs;
    if (!fd_pair(fd, &theirs))
        return err_sys(e, "socketpair");
    pid_t pid = fork_twice(s, theirs);
    if (pid == -1) {
        err_sys(e, "fork");
        fd_close(fd);
    } else {
        s->upgrade.pid = pid;
    }
    fd_close(&theirs);
    return pid != -1;
}

/* ---- the channel */

static void watch(struct sup *s)
{
    struct upgrade *u = &s->upgrade;
    if (chan_pending(&u->chan))
        ev_io_start(s->loop, &u->wr);
    else
        ev_io_stop(s->loop, &u->wr);
}

static void unwatch(struct sup *s)
{
    struct upgrade *u = &s->upgrade;
    ev_io_stop(s->loop, &u->rd);
    ev_io_stop(s->loop, &u->wr);
    ev_timer_stop(s->loop, &u->late);
    chan_fini(&u->chan);
}

static void answer(struct sup *s, unsigned status, const char *why)
{
    struct upgrade *u = &s->upgrade;
    struct doc d;
    if (!u->asked)
        return;
    u->asked = false;
    doc_init(&d, IPC_ANSWER_MAX);
    if (why) {
        doc_refuse(&d, status, why);
    } else {
        doc_map(&d, 1);
        doc_kv_int(&d, "pid", u->pid);
    }
    u->asker.answer(&u->asker, status, &d);
    doc_free(&d);
}

/* The new one did not come to serve: as if nothing had been. */
static void failed(struct sup *s, const char *why)
{
    struct upgrade *u = &s->upgrade;
    bool back = u->phase == UPGRADE_GIVEN;
    unwatch(s);
    if (u->pid)
        kill(u->pid, SIGKILL); /* its workers see that it is gone, and end */
    u->pid = 0;
    u->phase = UPGRADE_NONE;
    if (s->intent.want == PLAN_SERVE && !s->stops)
        log_error("upgrade refused, this supervisor goes on: %s", why);
    else
        log_warn("upgrade given up: %s", why);
    if (back) {
        health_freeze(&s->health, false);
        state_allow(&s->state, true);
    }
    answer(s, 422, why);
}

static void tell(struct sup *s, int pass, chan_put_fn *put, const void *m)
{
    struct upgrade *u = &s->upgrade;
    if (u->chan.fd == -1 || u->deaf)
        return;
    u->deaf = !chan_send(&u->chan, pass, put, s->intent.gen, m);
    if (!u->deaf) {
        watch(s);
        return;
    }
    /* Not here: its own channel may be what called. */
    ev_timer_stop(s->loop, &u->late);
    ev_timer_set(&u->late, 0., 0.);
    ev_timer_start(s->loop, &u->late);
}

/* ---- what is given */

static void give_socket(struct sup *s, int fd, enum upgrade_kind kind, dev_t dev, ino_t ino)
{
    struct ipc_up_socket m = {.kind = kind, .dev = dev, .ino = ino};
    tell(s, fd, ipc_put_v_up_socket, &m);
}

static void give_first(struct sup *s)
{
    struct ipc_up_hello hello = {.version = UPGRADE_VERSION,
                                 .ipc = IPC_VERSION,
                                 .pid = (uint32_t)getpid(),
                                 .gen = s->intent.gen,
                                 .build = STR(QCC_VERSION),
                                 .secret = str_make((const char *)s->state.secret, sizeof s->state.secret)};
    struct ipc_up_read end = {};
    tell(s, -1, ipc_put_v_up_hello, &hello);
    for (size_t i = 0; i < s->listen.n; i++) {
        const struct listener *l = s->listen.v[i].l;
        give_socket(s, l->fd, l->foreign ? UPGRADE_FOREIGN : UPGRADE_LISTENER, l->dev, l->ino);
    }
    if (s->state.dir.lock != -1)
        give_socket(s, s->state.dir.lock, UPGRADE_LOCK, 0, 0);
    if (s->ring_fd != -1 && s->ring_reader != -1) {
        give_socket(s, s->ring_fd, UPGRADE_RING, 0, 0);
        give_socket(s, s->ring_reader, UPGRADE_RING_READER, 0, 0);
    }
    if (control_fd(&s->control) != -1)
        give_socket(s, control_fd(&s->control), UPGRADE_CONTROL, s->control.now.dev, s->control.now.ino);
    tell(s, -1, ipc_put_v_up_read, &end);
}

static void give_counters(struct sup *s, const char *endpoint)
{
    uint64_t v[SAVED_COUNTS] = {0};
    if (endpoint)
        totals_save_endpoint(&s->totals, str_c(endpoint), v);
    else
        totals_save(&s->totals, v);
    struct ipc_up_counters m = {.endpoint = str_c(endpoint), .v = str_make((const char *)v, sizeof v)};
    tell(s, -1, ipc_put_v_up_counters, &m);
}

/* What is open in a worker is told when it changes: what was told before is told again. */
static void give_open(struct sup *s, unsigned slot)
{
    struct stats_total all;
    struct stats_record v[STATS_RECORDS];
    size_t at = 0, n;
    do {
        n = totals_open(&s->totals, slot, &at, &all, v, STATS_RECORDS);
        struct ipc_stats m = {.total = str_make((const char *)&all, sizeof all),
                              .records = str_make((const char *)v, n * sizeof *v)};
        struct buf b;
        struct ipc_frame f;
        buf_init(&b, IPC_STATS_MAX + 4096);
        if ((n || all.streams_open) && ipc_put_stats(&b, 0, &m) && ipc_open(buf_view(&b), TO_SUP, &f))
            upgrade_relay(s, slot, &f);
        buf_free(&b);
    } while (n == STATS_RECORDS);
}

/* All that is decided here, and with it the right to decide. */
static void give_state(struct sup *s)
{
    struct ipc_up_go go = {.seq = s->health.seq};
    s->upgrade.phase = UPGRADE_GIVEN;
    state_allow(&s->state, false);
    health_freeze(&s->health, true);
    for (size_t i = 0; i < s->health.n; i++) {
        struct ipc_up_endpoint m;
        carry_put(&s->health.v[i], &m);
        tell(s, -1, ipc_put_v_up_endpoint, &m);
        give_counters(s, s->health.v[i].id);
    }
    give_counters(s, NULL);
    upgrade_turn(s);
    for (unsigned i = 0; i < TOTALS_SLOTS; i++)
        give_open(s, i);
    tell(s, -1, ipc_put_v_up_go, &go);
}

static void done(struct sup *s)
{
    struct upgrade *u = &s->upgrade;
    struct ipc_up_done m = {};
    u->phase = UPGRADE_DONE;
    ev_timer_stop(s->loop, &u->late);
    log_info("upgrade: pid %d serves; what is in flight here has %lld s", (int)u->pid,
             (long long)s->conf->limits.drain_timeout / 1000);
    notify_main_pid(u->pid); /* before the new one has anything to say to systemd */
    tell(s, -1, ipc_put_v_up_done, &m);
    answer(s, 200, NULL);
    sup_hand_over(s);
}

/* ---- what the new one says */

static bool overruled(struct sup *s, const struct ipc_frame *f)
{
    struct ipc_up_tell m;
    struct ipc_endpoint e;
    if (!ipc_get_up_tell(f, &m))
        return false;
    struct ipc_frame as = {.id = IPC_ENDPOINT, .fields = m.fields, .nfields = m.nfields, .fd = -1};
    if (m.ipc != IPC_VERSION || s->upgrade.phase != UPGRADE_DONE)
        return true; /* all of it comes again after DONE */
    if (!ipc_get_endpoint(&as, &e))
        return false;
    s->health.overruled = true;
    sup_send(s, HEALTH_ALL, ipc_put_v_endpoint, &e);
    return true;
}

static bool on_frame(void *arg, struct ipc_frame *f, struct err *e)
{
    struct sup *s = arg;
    struct upgrade *u = &s->upgrade;
    struct ipc_up_fails fails;
    struct ipc_up_lend lend;
    if (f->id == IPC_UP_TAKE && u->phase == UPGRADE_STARTING)
        give_state(s);
    else if (f->id == IPC_UP_SERVES && u->phase == UPGRADE_GIVEN)
        done(s);
    else if (f->id == IPC_UP_STOP && u->phase == UPGRADE_DONE)
        u->stops++;
    else if (f->id == IPC_UP_TELL && upgrade_given(s))
        return overruled(s, f) || err_set(e, "it sent a malformed %s", ipc_name(f->id));
    else if (f->id == IPC_UP_LEND && u->phase == UPGRADE_DONE && ipc_get_up_lend(f, &lend))
        health_places_granted(&s->health, lend.endpoint, lend.n);
    else if (f->id == IPC_UP_FAILS && ipc_get_up_fails(f, &fails))
        snprintf(u->why, sizeof u->why, STR_FMT, STR_ARG(fails.why));
    else
        return err_set(e, "it sent %s, which means nothing now", ipc_name(f->id));
    return true;
}

static void ended(struct sup *s, const char *how)
{
    struct upgrade *u = &s->upgrade;
    if (u->phase == UPGRADE_DONE) {
        if (u->chan.fd == -1)
            return; /* that is known */
        unwatch(s);
        if (!init_is()) /* who hears of its end by on_child */
            u->pid = 0;
        s->health.overruled = false;
        log_warn("the new supervisor %s", how);
    } else if (upgrade_going(s)) {
        struct err why;
        err_set(&why, "the new supervisor %s", how);
        failed(s, u->why[0] ? u->why : why.msg);
    }
}

static void hear(struct sup *s)
{
    struct upgrade *u = &s->upgrade;
    struct err e;
    enum chan_result r = u->chan.fd == -1 ? CHAN_OK : chan_read(&u->chan, on_frame, s, &e);
    if (r == CHAN_BROKEN)
        ended(s, e.msg);
    else if (r == CHAN_CLOSED && init_is() && u->pid)
        ev_io_stop(s->loop, &u->rd); /* its end, which we hear of, says more */
    else if (r == CHAN_CLOSED)
        ended(s, u->phase == UPGRADE_DONE ? "has ended" : "has ended before it served, see above");
}

static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop, (void)events;
    hear(w->data);
}

static void on_writable(struct ev_loop *loop, ev_io *w, int events)
{
    struct sup *s = w->data;
    struct err e;
    (void)loop, (void)events;
    if (chan_write(&s->upgrade.chan, &e) == CHAN_OK)
        watch(s);
    else
        ev_io_stop(s->loop, w);
}

/* Only as process 1 of a container, whose child it then is. */
static void on_child(struct ev_loop *loop, ev_child *w, int events)
{
    struct sup *s = w->data;
    char how[64];
    (void)events;
    ev_child_stop(loop, w);
    hear(s); /* what it said last */
    s->upgrade.pid = 0;
    s->upgrade.code = WIFSIGNALED(w->rstatus) ? 128 + WTERMSIG(w->rstatus) : WEXITSTATUS(w->rstatus);
    if (WIFSIGNALED(w->rstatus))
        snprintf(how, sizeof how, "ended by signal %d", WTERMSIG(w->rstatus));
    else
        snprintf(how, sizeof how, "ended with exit code %d", WEXITSTATUS(w->rstatus));
    ended(s, how);
}

static void on_late(struct ev_loop *loop, ev_timer *w, int events)
{
    struct sup *s = w->data;
    (void)loop, (void)events;
    ended(s, s->upgrade.deaf ? "does not read what it is told" : "does not come to serve");
}

/* ---- begin and end */

bool upgrade_begin(struct sup *s, const struct asker *from, struct err *e)
{
    struct upgrade *u = &s->upgrade;
    int fd;
    if (upgrade_going(s))
        return err_set(e, "an upgrade is under way");
    if (s->intent.want != PLAN_SERVE)
        return err_set(e, "the supervisor is stopping");
    if (!s->serving || s->next.conf)
        return err_set(e, "a %s is under way", s->serving ? "reload" : "start");
    if (access(s->program, X_OK) == -1)
        return err_sys(e, "%s", s->program);
    if (!spawn(s, &fd, e))
        return false;
    log_info("upgrade: %s starts, pid %d", s->program, (int)u->pid);
    u->phase = UPGRADE_STARTING;
    u->deaf = false;
    u->why[0] = '\0';
    u->asked = from != NULL;
    if (from)
        u->asker = *from;
    chan_init(&u->chan, fd, TO_OLD, TX_MAX, "the new supervisor");
    ev_io_init(&u->rd, on_readable, fd, EV_READ);
    ev_io_init(&u->wr, on_writable, fd, EV_WRITE);
    ev_child_init(&u->child, on_child, u->pid, 0);
    ev_timer_init(&u->late, on_late, START_S, 0.);
    u->rd.data = u->wr.data = u->child.data = u->late.data = s;
    ev_io_start(s->loop, &u->rd);
    ev_child_start(s->loop, &u->child);
    ev_now_update(s->loop);
    ev_timer_start(s->loop, &u->late);
    give_first(s);
    return true;
}

void upgrade_stop(struct sup *s)
{
    const struct upgrade *u = &s->upgrade;
    if (u->phase == UPGRADE_STARTING)
        failed(s, "the supervisor is told to stop");
    else if (u->phase == UPGRADE_GIVEN && u->pid)
        kill(u->pid, SIGTERM); /* whose turn it is, is just being decided */
}

/* What our workers said last is still to be read by the new one. */
static void flush(struct upgrade *u)
{
    struct err e;
    for (int64_t until = clock_mono_ms() + FLUSH_MS; chan_pending(&u->chan) && clock_mono_ms() < until;) {
        struct pollfd p = {.fd = u->chan.fd, .events = POLLOUT};
        if (poll(&p, 1, FLUSH_MS) == -1 || chan_write(&u->chan, &e) != CHAN_OK)
            return;
    }
}

void upgrade_fini(struct sup *s)
{
    struct upgrade *u = &s->upgrade;
    if (u->phase == UPGRADE_STARTING || u->phase == UPGRADE_GIVEN)
        failed(s, "the supervisor stops");
    else if (u->chan.fd != -1)
        flush(u);
    ev_child_stop(s->loop, &u->child);
    unwatch(s);
}

void upgrade_pass_reload(const struct sup *s)
{
    if (s->upgrade.pid)
        kill(s->upgrade.pid, SIGHUP);
}

/* ---- what goes on here meanwhile */

static bool of_interest(enum upgrade_phase phase, enum ipc_id id)
{
    if (phase == UPGRADE_NONE)
        return false;
    return id == IPC_BINDS ||
           (phase != UPGRADE_STARTING && (id == IPC_OUTCOME || id == IPC_VERDICT || id == IPC_STATS ||
                                          id == IPC_TRIAL_BEGUN || id == IPC_TRIAL_BACK));
}

void upgrade_relay(struct sup *s, unsigned slot, const struct ipc_frame *f)
{
    if (!of_interest(s->upgrade.phase, f->id))
        return;
    struct ipc_up_said m = {.slot = slot, .what = f->id, .nfields = f->nfields, .fields = f->fields};
    tell(s, -1, ipc_put_v_up_said, &m);
}

void upgrade_slot_gone(struct sup *s, unsigned slot)
{
    for (size_t i = 0; upgrade_given(s) && i < s->health.n; i++) {
        const struct health_endpoint *e = &s->health.v[i];
        struct ipc_up_lost m = {.endpoint = str_c(e->id),
                                .trial = e->trial_slot == (int)slot ? e->trial_seq : 0,
                                .verifies = e->verify_slot == (int)slot ? e->verify_seq : 0};
        if (m.trial || m.verifies)
            tell(s, -1, ipc_put_v_up_lost, &m);
    }
}

void upgrade_lost(struct sup *s, const struct ipc_up_lost *m)
{
    if (upgrade_given(s))
        tell(s, -1, ipc_put_v_up_lost, m);
}

void upgrade_turn(struct sup *s)
{
    for (size_t i = 0; upgrade_given(s) && i < s->health.n; i++) {
        struct health_endpoint *e = &s->health.v[i];
        uint64_t lent = places_lent(&e->places);
        struct ipc_up_places m = {.endpoint = str_c(e->id), .n = (uint32_t)lent, .got = e->places.got};
        struct ipc_up_want want = {.endpoint = m.endpoint};
        bool news = lent != e->places_told && (lent || e->places_told != UINT64_MAX);
        if (news || m.got != e->got_told) {
            e->places_told = lent;
            e->got_told = m.got;
            tell(s, -1, ipc_put_v_up_places, &m);
        }
        if (!e->place_asked && s->upgrade.phase == UPGRADE_DONE && places_wanted(&e->places)) {
            e->place_asked = true;
            tell(s, -1, ipc_put_v_up_want, &want);
        }
    }
}
