#include "supervisor/children/recorder.h"

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/ipc/feed_head.h"
#include "common/price/price_wire.h"
#include "supervisor/children/spawn.h"
#include "supervisor/shared/events.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Seconds that it has to store what it has. */
#define STOP_S 2.0

/* Seconds without a REC_STATE, which comes each 5 s, after which it counts as hanging. */
#define SILENT_S 15.0

/* Prices and the factors of all endpoints take up to 1.4 MB. */
enum { TX_MAX = 3 << 20, FORK_RETRY_MS = 1000 };

static const struct backoff_conf respawn = {.young_ms = 2000, .first_ms = 100, .max_ms = 5000};

static const char *const state_text[HISTORY__COUNT] = {
    [HISTORY_STARTING] = "starting", [HISTORY_STORING] = "storing", [HISTORY_PAUSED] = "paused",
    [HISTORY_LOCKED] = "locked",     [HISTORY_NEWER] = "newer",     [HISTORY_BROKEN] = "broken",
    [HISTORY_CLOCK] = "clock",       [HISTORY_FAILED] = "failed",
};

const char *recorder_state_text(const struct recorder *r)
{
    if (r->phase == RECORDER_OFF)
        return "off";
    if (r->phase == RECORDER_WAITING)
        return "not running";
    if (r->is.state == HISTORY_STORING && r->is.retention == HISTORY_FULL && !r->silent)
        return "sums only";
    return r->silent ? "not answering" : state_text[r->is.state];
}

bool recorder_stores(const struct recorder *r)
{
    return r->phase == RECORDER_RUNNING && !r->silent && r->is.state == HISTORY_STORING;
}

bool recorder_paused(const struct recorder *r)
{
    return r->phase == RECORDER_RUNNING && !r->silent && r->is.state > HISTORY_STORING;
}

uint64_t recorder_behind_ms(const struct recorder *r)
{
    return r->is.behind_ms + (r->silent ? (uint64_t)(clock_mono_ms() - r->heard_ms) : 0);
}

const char *recorder_retention_text(const struct recorder *r)
{
    static const char *const text[HISTORY_RETENTION__COUNT] = {
        [HISTORY_KEEPS] = "up to date", [HISTORY_DROPS] = "deleting", [HISTORY_YOUNG] = "waiting",
        [HISTORY_HELD] = "held",        [HISTORY_FULL] = "full",
    };
    return r->phase == RECORDER_RUNNING ? text[r->is.retention] : NULL;
}

struct recorder_commits recorder_commits(const struct recorder *r)
{
    struct recorder_commits c = r->commits_before;
    c.us += r->commits.us;
    for (size_t i = 0; i < HIST_BUCKETS; i++)
        c.hist[i] += r->commits.hist[i];
    return c;
}

uint64_t recorder_dropped(const struct recorder *r)
{
    return r->dropped_before + r->is.dropped;
}

static void start(struct recorder *r);

static void timer_in(struct recorder *r, double seconds)
{
    ev_timer_stop(r->loop, &r->timer);
    ev_now_update(r->loop);
    ev_timer_set(&r->timer, seconds, 0);
    ev_timer_start(r->loop, &r->timer);
}

static void unwatch(struct recorder *r)
{
    ev_io_stop(r->loop, &r->rd);
    ev_io_stop(r->loop, &r->wr);
    ev_timer_stop(r->loop, &r->silence);
    r->silent = false;
}

static void note_error(struct recorder *r, struct str what)
{
    snprintf(r->last_error, sizeof r->last_error, STR_FMT, STR_ARG(what));
    r->last_error_ms = clock_wall_ms();
}

static void kill_it(struct recorder *r, const char *why)
{
    note_error(r, str_c(why));
    log_error("the recorder (pid %d) is killed: %s", (int)r->pid, why);
    kill(r->pid, SIGKILL);
    unwatch(r);
}

/* ---- the channel */

/* Takes over the durations of commits, if they are of this build. */
static void take_commits(struct recorder *r, const struct ipc_rec_state *m)
{
    uint32_t hist[HIST_BUCKETS];
    if (m->commit_hist.n != sizeof hist)
        return;
    memcpy(hist, m->commit_hist.p, sizeof hist);
    r->commits.us = m->commit_us;
    for (size_t i = 0; i < HIST_BUCKETS; i++)
        r->commits.hist[i] = hist[i];
}

/* Logs what has changed since the last REC_STATE. */
static void log_state(struct recorder *r, const struct ipc_rec_state *m)
{
    bool same = m->state == r->is.state && str_eq(m->why, str_c(r->why));
    if (m->note.n && m->fine)
        log_info("history: " STR_FMT, STR_ARG(m->note));
    else if (m->note.n) {
        note_error(r, m->note);
        log_warn("history: " STR_FMT, STR_ARG(m->note));
    }
    if (same)
        return;
    if (m->state > HISTORY_STORING)
        note_error(r, m->why);
    if (m->state > HISTORY_STORING)
        log_error("history: nothing is stored: " STR_FMT, STR_ARG(m->why));
    else if (r->is.state > HISTORY_STORING && m->state == HISTORY_STORING)
        log_info("history: requests are stored again");
}

static bool on_frame(void *arg, struct ipc_frame *f, struct err *e)
{
    struct recorder *r = arg;
    struct ipc_rec_state m;
    struct ipc_rec_ready ready;
    struct ipc_rec_answer answer;
    if (f->id == IPC_REC_ANSWER && ipc_get_rec_answer(f, &answer)) {
        r->ops->answer(r->arg, &answer);
        return true;
    }
    if (f->id == IPC_REC_READY) {
        if (!ipc_get_rec_ready(f, &ready) || ready.version != IPC_VERSION)
            return err_set(e, "it is not of this build");
        snprintf(r->libraries, sizeof r->libraries, STR_FMT, STR_ARG(ready.libraries));
        return true;
    }
    if (f->id != IPC_REC_STATE || !ipc_get_rec_state(f, &m) || m.state >= HISTORY__COUNT ||
        m.retention >= HISTORY_RETENTION__COUNT)
        return err_set(e, "it sent a malformed %s", ipc_name(f->id));
    if (r->silent)
        log_info("history: the recorder answers again");
    r->silent = false;
    r->heard_ms = clock_mono_ms();
    ev_timer_again(r->loop, &r->silence);
    log_state(r, &m);
    /* The process has read what was sent before its last report but one: if nothing waits, it is
     * stored. */
    if (m.state == HISTORY_STORING && m.behind_ms == 0)
        r->events_safe = r->events_then;
    r->events_then = r->events_sent;
    take_commits(r, &m);
    snprintf(r->why, sizeof r->why, STR_FMT, STR_ARG(m.why));
    r->is = m;
    return true;
}

static void watch_writing(struct recorder *r)
{
    if (chan_pending(&r->chan))
        ev_io_start(r->loop, &r->wr);
    else
        ev_io_stop(r->loop, &r->wr);
}

static void handle(struct recorder *r, enum chan_result got, const struct err *e)
{
    switch (got) {
    case CHAN_OK:
        watch_writing(r);
        return;
    case CHAN_CLOSED:
        unwatch(r); /* SIGCHLD follows */
        return;
    case CHAN_BROKEN:
        kill_it(r, e->msg);
        return;
    }
}

static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
    struct recorder *r = CONTAINER_OF(w, struct recorder, rd);
    struct err e = {""};
    (void)loop, (void)events;
    enum chan_result got = chan_read(&r->chan, on_frame, r, &e);
    handle(r, got, &e);
}

static void on_silence(struct ev_loop *loop, ev_timer *w, int events)
{
    struct recorder *r = CONTAINER_OF(w, struct recorder, silence);
    int64_t heard = r->heard_ms;
    char why[64];
    (void)loop, (void)events;
    on_readable(r->loop, &r->rd, EV_READ); /* this process may have stood still itself */
    if (r->silent || r->heard_ms != heard || !ev_is_active(&r->rd))
        return;
    r->silent = true;
    snprintf(why, sizeof why, "the recorder (pid %d) has not answered for %.0f s", (int)r->pid,
             SILENT_S);
    note_error(r, str_c(why));
    log_warn("history: %s", why);
}

static void on_writable(struct ev_loop *loop, ev_io *w, int events)
{
    struct recorder *r = CONTAINER_OF(w, struct recorder, wr);
    struct err e = {""};
    (void)loop, (void)events;
    enum chan_result got = chan_write(&r->chan, &e);
    handle(r, got, &e);
}

/* False: it is killed. */
static bool send_it(struct recorder *r, chan_put_fn *put, const void *m)
{
    bool sent = chan_send(&r->chan, -1, put, 0, m);
    if (sent)
        watch_writing(r);
    else
        kill_it(r, "it does not read its channel");
    return sent;
}

/* Sends all of a configuration: what is stored, prices, and what each endpoint charges. */
static void send_conf(struct recorder *r)
{
    struct buf table;
    bool sent = send_it(r, ipc_put_v_rec_conf, &r->conf);
    buf_init(&table, IPC_PRICES_MAX);
    if (sent && price_pack(&r->used->price_list, &table)) {
        const struct ipc_rec_prices m = {.table = buf_view(&table)};
        sent = send_it(r, ipc_put_v_rec_prices, &m);
    }
    buf_free(&table);
    for (size_t i = 0; sent && i < r->used->nendpoints; i++) {
        const struct ipc_rec_factor m = {.endpoint = str_c(r->used->endpoints[i].name),
                                         .ppm = r->used->endpoints[i].price_factor};
        sent = send_it(r, ipc_put_v_rec_factor, &m);
    }
}

void recorder_send_events(struct recorder *r)
{
    uint64_t oldest = events_oldest(r->events);
    if (r->events_sent < oldest)
        r->events_sent = oldest;
    while (r->phase == RECORDER_RUNNING && r->events_sent < r->events->n) {
        const struct event *e = events_at(r->events, r->events_sent++);
        const struct ipc_rec_event m = {.at_ms = e->k >> EVENT_K_BITS,
                                        .endpoint = str_c(e->endpoint),
                                        .kind = str_c(event_kind_name(e->kind)),
                                        .text = str_c(e->text)};
        send_it(r, ipc_put_v_rec_event, &m);
    }
}

/* ---- its life */

/* Says that the successor's may start. */
static void tell_held(struct recorder *r)
{
    if (r->held == RECORDER_HELD_AFTER && r->phase != RECORDER_STOPPING)
        r->ops->held(r->arg);
}

static void wait_for_start(struct recorder *r, int64_t ms)
{
    r->phase = RECORDER_WAITING;
    if (!r->held)
        timer_in(r, (double)ms / 1000);
}

static void close_feed(struct recorder *r)
{
    fd_close(&r->feed);
    fd_close(&r->feed_in);
}

/* What workers have sent and no recorder will read is counted. */
static void count_feed(struct recorder *r)
{
    struct feed_head head;
    ssize_t n;
    if (r->feed_in == -1)
        return;
    while ((n = recv(r->feed_in, &head, sizeof head, MSG_DONTWAIT)) > 0)
        if (n == (ssize_t)sizeof head)
            r->dropped_before += min_size(head.n, FEED_BATCH);
}

static void on_reaped(struct ev_loop *loop, ev_child *w, int events)
{
    struct recorder *r = CONTAINER_OF(w, struct recorder, child);
    struct err e;
    char how[96];
    (void)events;
    ev_child_stop(loop, w);
    ev_timer_stop(loop, &r->timer);
    (void)!chan_read(&r->chan, on_frame, r, &e); /* what it said last */
    unwatch(r);
    chan_fini(&r->chan);
    r->ops->gone(r->arg);
    bool told = r->phase == RECORDER_STOPPING;
    int64_t wait = 0;
    int pid = (int)r->pid;
    r->pid = 0;
    if (told && r->is.dropped > r->dropped_told)
        log_warn("history: the recorder has ended; %llu requests were not stored",
                 (unsigned long long)(r->is.dropped - r->dropped_told));
    r->dropped_before += r->is.dropped;
    r->dropped_told = 0;
    r->commits_before = recorder_commits(r);
    r->commits = (struct recorder_commits){0};
    r->is = (struct ipc_rec_state){.rows = r->is.rows, .size = r->is.size};
    r->events_sent = r->events_then = r->events_safe; /* what it has got twice it stores once */
    spawn_end_text(w->rstatus, how, sizeof how);
    if (told && w->rstatus == 0) {
        log_debug("the recorder has finished");
    } else {
        r->failures++;
        log_error("the recorder (pid %d) ended unexpectedly: %s", pid, how);
        events_add(r->events, clock_wall_ms(), EVENT_WORKER, NULL,
                   "the recorder (pid %d) ended unexpectedly: %s", pid, how);
        note_error(r, str_c(how));
        wait = backoff_ended(&r->backoff, &respawn, clock_mono_ms() - r->started_ms);
    }
    r->phase = RECORDER_OFF;
    if (r->switched_off)
        count_feed(r);
    if (r->wanted)
        wait_for_start(r, wait);
    else
        close_feed(r);
    tell_held(r);
}

static void start(struct recorder *r)
{
    char *argv[] = {"qcc-recorder", "--record", NULL};
    int ours, theirs;
    if (!fd_pair(&ours, &theirs)) {
        log_error("the recorder cannot be started: %s", strerror(errno));
        wait_for_start(r, FORK_RETRY_MS);
        return;
    }
    const int fds[] = {theirs, r->feed_in, r->dir};
    r->pid = spawn_child(r->program, argv, fds, COUNT_OF(fds), r->failures > 0);
    fd_close(&theirs);
    if (r->pid == -1) {
        log_error("the recorder cannot be started: %s", strerror(errno));
        fd_close(&ours);
        r->pid = 0;
        wait_for_start(r, FORK_RETRY_MS);
        return;
    }
    chan_init(&r->chan, ours, FROM_REC, TX_MAX, "recorder");
    ev_child_set(&r->child, r->pid, 0);
    ev_child_start(r->loop, &r->child);
    ev_io_set(&r->rd, ours, EV_READ);
    ev_io_set(&r->wr, ours, EV_WRITE);
    ev_io_start(r->loop, &r->rd);
    r->heard_ms = r->started_ms = clock_mono_ms();
    r->started_wall_ms = clock_wall_ms();
    ev_now_update(r->loop);
    ev_timer_again(r->loop, &r->silence);
    r->phase = RECORDER_RUNNING;
    r->why[0] = '\0';
    log_info("recorder started, pid %d", (int)r->pid);
    send_conf(r);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
    struct recorder *r = CONTAINER_OF(w, struct recorder, timer);
    (void)loop, (void)events;
    if (r->phase == RECORDER_WAITING)
        start(r);
    else if (r->phase == RECORDER_STOPPING)
        kill_it(r, "it did not finish in time");
}

void recorder_init(struct recorder *r, struct ev_loop *loop, char *program, struct events *events,
                   const struct recorder_ops *ops, void *arg)
{
    *r = (struct recorder){.loop = loop,
                           .ops = ops,
                           .arg = arg,
                           .program = program,
                           .events = events,
                           .dir = -1,
                           .feed_in = -1,
                           .feed = -1,
                           .chan.fd = -1};
    ev_init(&r->rd, on_readable);
    ev_init(&r->wr, on_writable);
    ev_init(&r->child, on_reaped);
    ev_init(&r->timer, on_timer);
    ev_init(&r->silence, on_silence);
    r->silence.repeat = SILENT_S;
}

/* Starts it, or leaves that to recorder_release. */
static void begin(struct recorder *r)
{
    if (r->held)
        wait_for_start(r, 0);
    else
        start(r);
}

/* Makes the feed. */
static bool open_feed(struct recorder *r)
{
    int sv[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == -1) {
        log_error("there is no history: socketpair: %s", strerror(errno));
        return false;
    }
    r->feed_in = sv[0];
    r->feed = sv[1];
    return true;
}

void recorder_use_conf(struct recorder *r, struct conf *c, int dir)
{
    bool on = dir != -1 && c->history.enabled != HISTORY_OFF;
    fd_close(&r->dir);
    r->dir = on ? fcntl(dir, F_DUPFD_CLOEXEC, 3) : -1;
    r->wanted = on && r->program && r->dir != -1;
    conf_unref(r->used);
    r->used = conf_ref(c);
    r->conf = (struct ipc_rec_conf){.version = IPC_VERSION,
                                    .requests = c->history.requests,
                                    .min_free = c->history.min_free,
                                    .max_size = c->history.max_size,
                                    .keep_requests_ms = (uint64_t)c->history.keep_requests,
                                    .keep_usage_ms = (uint64_t)c->history.keep_usage,
                                    .clients = c->history.clients};
    if (on && !r->program)
        log_error("there is no history: there is no program qcc-recorder beside qcc-worker");
    r->switched_off = !r->wanted;
    if (!r->wanted)
        (void)recorder_stop(r);
    else if (r->phase == RECORDER_RUNNING)
        send_conf(r);
    else if (r->phase == RECORDER_OFF && (r->feed != -1 || open_feed(r)))
        begin(r);
}

void recorder_take_feed(struct recorder *r, int feed_in, int feed)
{
    r->feed_in = feed_in;
    r->feed = feed;
    if (feed_in == -1 || feed == -1)
        close_feed(r);
}

int recorder_feed(const struct recorder *r)
{
    return r->wanted ? r->feed : -1;
}

bool recorder_ask(struct recorder *r, uint64_t id, int64_t until_ms, struct str what,
                  struct str arg)
{
    const struct ipc_rec_ask m = {.id = id, .until_ms = until_ms, .what = what, .arg = arg};
    if (r->phase != RECORDER_RUNNING || r->silent)
        return false;
    send_it(r, ipc_put_v_rec_ask, &m);
    return true;
}

int recorder_take_backup(const struct recorder *r)
{
    static const char name[] = "history.db.backup";
    int fd = openat(r->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd != -1)
        unlinkat(r->dir, name, 0);
    return fd;
}

/* Tells the process to end, which is killed if it does not. */
static void tell_to_stop(struct recorder *r)
{
    struct ipc_rec_stop m;
    recorder_send_events(r);
    if (r->phase != RECORDER_RUNNING)
        return;
    r->phase = RECORDER_STOPPING;
    r->dropped_told = r->is.dropped;
    r->ops->gone(r->arg);
    timer_in(r, STOP_S);
    send_it(r, ipc_put_v_rec_stop, &m);
}

void recorder_hold(struct recorder *r, enum recorder_hold by)
{
    r->held |= by;
    if (r->phase == RECORDER_WAITING)
        ev_timer_stop(r->loop, &r->timer);
    tell_to_stop(r);
    tell_held(r);
}

void recorder_release(struct recorder *r, enum recorder_hold by)
{
    if (!(r->held & by))
        return;
    r->held &= ~(unsigned)by;
    if (!r->held && r->phase == RECORDER_WAITING)
        start(r);
    tell_held(r);
}

bool recorder_stop(struct recorder *r)
{
    r->wanted = false;
    if (r->phase == RECORDER_WAITING) {
        ev_timer_stop(r->loop, &r->timer);
        r->phase = RECORDER_OFF;
    }
    if (r->phase == RECORDER_OFF) {
        close_feed(r);
        return false;
    }
    tell_to_stop(r);
    return true;
}

void recorder_free(struct recorder *r)
{
    if (r->pid) {
        kill(r->pid, SIGKILL);
        ev_child_stop(r->loop, &r->child);
        unwatch(r);
        chan_fini(&r->chan);
    }
    ev_timer_stop(r->loop, &r->timer);
    close_feed(r);
    fd_close(&r->dir);
    mem_free(r->program);
    conf_unref(r->used);
}
