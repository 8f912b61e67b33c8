#include "supervisor/recorder/recorder.h"

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/ipc/doc.h"
#include "supervisor/recorder/ask/ask.h"
#include "supervisor/recorder/confine.h"
#include "supervisor/recorder/recorder_own.h"
#include "supervisor/recorder/tables/schema.h"

#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    REPORT_MS = 250,   /* within which workers report: they do so each 100 ms */
    FINISH_MS = 1500,  /* for the last records: the supervisor waits 2 s */
    ORPHAN_MS = 10000, /* after the supervisor's end: another recorder may read the same feed */
    READ_TURNS = 8,    /* messages between two looks at the clock */
    CALM_RECORDS = 32, /* fewer that wait at a time: the feed is read each CALM_MS */
    CALM_MS = 500,     /* the feed has room for what comes meanwhile, and workers keep the rest */
    TX_MAX = 5 << 20,  /* bytes that may wait for the supervisor: an answer of the largest size */
};

/* Looks at the clock. Nothing is stored while it says a time that cannot be. */
static void look_at_clock(struct recorder *r, struct retention_time t, int64_t now)
{
    bool sane = store_batch_time(t.wall_ms);
    if (upkeep_clock(&r->upkeep, t, &r->note))
        r->say_ms = 0;
    if (!sane) {
        recorder_enter(r, HISTORY_CLOCK, "the clock says a time before 2020 or beyond 2100");
        r->retry_ms = now + RETRY_MS;
    } else if (r->state == HISTORY_CLOCK) {
        recorder_enter(r, r->db ? HISTORY_STORING : HISTORY_STARTING, "");
        r->retry_ms = 0;
    }
}

/* Looks after the file. What fails only because of a lock is tried again. */
static void look_after(struct recorder *r, struct retention_time t, int64_t now)
{
    if (!r->db || r->state != HISTORY_STORING || r->note.msg[0])
        return;
    bool was_off = r->batch.rows_off;
    int rc = upkeep_run(&r->upkeep, &r->batch, t, &r->note);
    r->fine = was_off && !r->batch.rows_off;
    if (r->note.msg[0])
        r->say_ms = 0;
    if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY && (rc & 0xff) != SQLITE_LOCKED)
        recorder_failed(r, rc, now);
}

static bool gave_up(const struct recorder *r)
{
    return r->state == HISTORY_NEWER || r->state == HISTORY_BROKEN;
}

/* When to store next; INT64_MAX: not before something comes. */
static int64_t store_at(const struct recorder *r)
{
    if (!r->configured || gave_up(r))
        return INT64_MAX;
    int64_t at = !r->db || r->factors.n || r->state == HISTORY_PAUSED ? 0
                 : r->feed.n >= STORE_BATCH_MAX                       ? 0
                 : r->feed.n                                          ? r->feed.since_ms + BATCH_MS
                                                                      : INT64_MAX;
    if (r->events.n && r->events.since_ms + BATCH_MS < at)
        at = r->events.since_ms + BATCH_MS;
    return at > r->retry_ms ? at : r->retry_ms;
}

/* ---- questions */

/* Reads what waits in the feed, as far as there is room. */
static enum feed_end read_all(struct recorder *r)
{
    enum feed_end end = r->feed_ended ? FEED_CLOSED : FEED_MORE;
    while (end == FEED_MORE && feed_read_room(&r->feed))
        end = feed_read_one(&r->feed);
    return end;
}

static void send_answer(struct recorder *r, uint64_t id, unsigned status, const struct doc *d)
{
    const struct ipc_rec_answer m = {.id = id, .status = status, .body = buf_view(&d->b)};
    if (r->chan.fd != -1 && !chan_send(&r->chan, -1, ipc_put_v_rec_answer, 0, &m))
        chan_fini(&r->chan);
}

/* Forgets the questions whose askers have given up, so that none waits behind their work. */
static void drop_late(struct recorder *r)
{
    size_t n = 0;
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < r->nasked; i++)
        if (r->asked[i].until_ms > now)
            r->asked[n++] = r->asked[i];
    r->nasked = n;
}

static void refuse_question(struct recorder *r, uint64_t id)
{
    struct doc d;
    doc_init(&d, 1024);
    send_answer(r, id, doc_refuse(&d, 503, "too many ask the history at the same time"), &d);
    doc_free(&d);
}

static bool keep_question(struct recorder *r, const struct ipc_frame *f, struct err *e)
{
    struct ipc_rec_ask m;
    if (!ipc_get_rec_ask(f, &m))
        return err_set(e, "malformed %s", ipc_name(f->id));
    drop_late(r);
    if (r->nasked == QUESTIONS) {
        refuse_question(r, m.id);
        return true;
    }
    if (!r->asked)
        r->asked = mem_zalloc(QUESTIONS, sizeof *r->asked);
    struct question *q = &r->asked[r->nasked++];
    q->id = m.id;
    bool prune = str_eq(m.what, STR("prune"));
    q->at_ms = prune ? clock_mono_ms() + REPORT_MS : 0;
    q->until_ms = m.until_ms;
    q->nwhat = m.what.n;
    q->narg = m.arg.n;
    memcpy(q->what, m.what.p, m.what.n);
    memcpy(q->arg, m.arg.p, m.arg.n);
    return true;
}

/* Stores all that was reported so far. False: that is not possible now. For struct job. */
static bool flush(void *arg)
{
    struct recorder *r = arg;
    int64_t now = clock_mono_ms();
    enum feed_end end = FEED_MORE;
    while (r->db && now >= r->retry_ms && end == FEED_MORE) {
        end = read_all(r);
        recorder_store(r, now);
        if (r->feed.n)
            return false;
    }
    return end != FEED_MORE;
}

/* Answers the question that has waited longest. */
static void answer_one(struct recorder *r)
{
    const struct question *q = &r->asked[0];
    if (str_eq(str_make(q->what, q->nwhat), STR("prune")))
        (void)flush(r); /* the client may have no other requests */
    struct doc d;
    struct ask a = {.db = r->db,
                    .prices = &r->prices,
                    .job = &r->job,
                    .min_free = r->min_free,
                    .arg = str_make(q->arg, q->narg),
                    .now_ms = clock_wall_ms(),
                    .until_ms = q->until_ms,
                    .d = &d};
    doc_init(&d, IPC_ANSWER_MAX);
    unsigned status = r->db
                          ? ask_answer(&a, str_make(q->what, q->nwhat))
                          : doc_refuse(&d, 503, r->why.msg[0] ? r->why.msg : "no history is open");
    if (d.torn) {
        doc_free(&d);
        doc_init(&d, IPC_ANSWER_MAX);
        status = doc_refuse(&d, 500, "the answer is too long: narrow the range, or set a limit");
    }
    send_answer(r, q->id, status, &d);
    doc_free(&d);
    memmove(r->asked, r->asked + 1, --r->nasked * sizeof *r->asked);
}

/* ---- from the supervisor */

static bool take_prices(struct recorder *r, const struct ipc_frame *f, struct err *e)
{
    struct ipc_rec_prices m;
    struct price_table t;
    if (!ipc_get_rec_prices(f, &m) || !price_unpack(m.table, &t))
        return err_set(e, "malformed %s", ipc_name(f->id));
    price_table_free(&r->prices);
    r->prices = t;
    return true;
}

static bool take_factor(struct recorder *r, const struct ipc_frame *f, struct err *e)
{
    struct ipc_rec_factor m;
    r->factors_s = clock_wall_ms() / 1000;
    return (ipc_get_rec_factor(f, &m) && m.ppm <= PRICE_FACTOR_MAX &&
            factors_sent_put(&r->factors, m.endpoint, m.ppm)) ||
           err_set(e, "malformed %s", ipc_name(f->id));
}

static bool on_frame(void *arg, struct ipc_frame *f, struct err *e)
{
    struct recorder *r = arg;
    struct ipc_rec_conf m;
    struct ipc_rec_event event;
    if (f->id == IPC_REC_STOP) {
        r->stopping = true;
        return true;
    }
    if (f->id == IPC_REC_ASK)
        return keep_question(r, f, e);
    if (f->id == IPC_REC_EVENT && ipc_get_rec_event(f, &event)) {
        event_store_keep(&r->events, &event, clock_mono_ms());
        return true;
    }
    if (f->id == IPC_REC_PRICES)
        return take_prices(r, f, e);
    if (f->id == IPC_REC_FACTOR)
        return take_factor(r, f, e);
    if (f->id != IPC_REC_CONF || !ipc_get_rec_conf(f, &m) || m.requests > HISTORY_ROWS_OFF)
        return err_set(e, "unexpected %s", ipc_name(f->id));
    if (m.version != IPC_VERSION)
        return err_set(e, "version %u, not %d", m.version, IPC_VERSION);
    r->batch.rows_kept = (enum conf_historyrows)m.requests;
    r->batch.clients = m.clients;
    r->min_free = m.min_free;
    upkeep_conf(&r->upkeep,
                &(struct retention_conf){.keep_requests_ms = (int64_t)m.keep_requests_ms,
                                         .keep_usage_ms = (int64_t)m.keep_usage_ms,
                                         .max_size = m.max_size});
    r->retry_ms = 0;
    char libraries[IPC_LIBRARIES_MAX + 1];
    const struct scmp_version *v = seccomp_version();
    snprintf(libraries, sizeof libraries, "SQLite %s, libseccomp %u.%u.%u", sqlite3_libversion(),
             v ? v->major : 0, v ? v->minor : 0, v ? v->micro : 0);
    struct ipc_rec_ready ready = {.version = IPC_VERSION, .libraries = str_c(libraries)};
    bool first = !r->configured;
    r->configured = true;
    return !first || chan_send(&r->chan, -1, ipc_put_v_rec_ready, 0, &ready);
}

static void talk(struct recorder *r, short events)
{
    struct err e;
    enum chan_result got = CHAN_OK;
    if (events & POLLOUT)
        got = chan_write(&r->chan, &e);
    if (got == CHAN_OK && events & (POLLIN | POLLHUP | POLLERR))
        got = chan_read(&r->chan, on_frame, r, &e);
    if (got == CHAN_BROKEN)
        die("the supervisor violates the protocol: %s", e.msg);
    if (got == CHAN_CLOSED)
        chan_fini(&r->chan);
}

/* ---- the loop */

static void read_feed(struct recorder *r)
{
    enum feed_end end = FEED_MORE;
    size_t had = r->feed.n;
    for (int i = 0; i < READ_TURNS && end == FEED_MORE && feed_read_room(&r->feed); i++)
        end = feed_read_one(&r->feed);
    r->feed_ended = end == FEED_CLOSED;
    if (end == FEED_IDLE && r->feed.n - had < CALM_RECORDS)
        r->read_ms = clock_mono_ms() + CALM_MS;
}

/* What cannot be kept is dropped, so that the feed does not hold records for ever. */
static void drop_all(struct recorder *r)
{
    r->feed.dropped += r->feed.n;
    if (r->feed.n)
        feed_read_stored(&r->feed, r->feed.n);
    event_store_drop(&r->events);
}

static void wait(struct recorder *r, int64_t now)
{
    int64_t at = store_at(r), job = job_due(&r->job);
    int64_t next = !r->configured ? INT64_MAX : at < r->say_ms ? at : r->say_ms;
    next = job < next ? job : next;
    if (r->nasked && r->asked[0].at_ms < next)
        next = r->asked[0].at_ms;
    int64_t ms = next == INT64_MAX ? -1 : next > now ? next - now : 0;
    int64_t chunk_ms = upkeep_due_ms(&r->upkeep) - clock_boot_ms();
    if (r->db && r->state == HISTORY_STORING && chunk_ms < ms)
        ms = chunk_ms > 0 ? chunk_ms : 0;
    bool reads = r->configured && !r->feed_ended && feed_read_room(&r->feed);
    if (reads && r->read_ms > now) {
        reads = false;
        ms = ms < 0 || r->read_ms - now < ms ? r->read_ms - now : ms;
    }
    struct pollfd p[2] = {
        {.fd = r->chan.fd, .events = (short)(POLLIN | (chan_pending(&r->chan) ? POLLOUT : 0))},
        {.fd = reads ? r->feed.fd : -1, .events = POLLIN}};
    if (poll(p, COUNT_OF(p), (int)min_size((size_t)ms, STATE_MS)) <= 0)
        return;
    if (p[0].revents)
        talk(r, p[0].revents);
    if (p[1].revents)
        read_feed(r);
}

/* Stores all that was sent. Another process may hold a lock for a moment. While nothing can be
 * stored the feed is left to the next recorder; what was read is lost, and counted. */
static void store_last(struct recorder *r)
{
    int64_t now, until = clock_mono_ms() + FINISH_MS;
    enum feed_end end = FEED_MORE;
    do {
        now = clock_mono_ms();
        recorder_store(r, now);
        if (r->state == HISTORY_LOCKED)
            (void)poll(NULL, 0, 20);
        else if (r->state == HISTORY_STORING)
            end = read_all(r);
    } while (now < until && (r->state == HISTORY_LOCKED ||
                             (r->state == HISTORY_STORING && (end == FEED_MORE || r->feed.n))));
    r->feed.dropped += r->feed.n;
    r->feed.n = 0;
}

static void finish(struct recorder *r)
{
    if (r->configured && !gave_up(r))
        store_last(r);
    recorder_send_state(r, clock_mono_ms());
    if (r->db)
        sqlite3_wal_checkpoint_v2(r->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    recorder_close_file(r);
    event_store_drop(&r->events);
    job_free(&r->job);
    feed_read_free(&r->feed);
    mem_free(r->asked);
    price_table_free(&r->prices);
    factors_sent_free(&r->factors);
    chan_fini(&r->chan);
}

static void confine(struct recorder *r, int dir)
{
    const char *want = getenv("QCC_SANDBOX");
    struct err e;
    bool off = want && strcmp(want, "off") == 0;
    if (off || !confine_enter(dir, &e))
        err_set(&r->note, "the recorder runs without a sandbox: %s",
                off ? "QCC_SANDBOX=off" : e.msg);
}

/* Whether the supervisor is gone, and its workers too, or had time to end. */
static bool orphaned(struct recorder *r)
{
    if (r->chan.fd != -1)
        return false;
    if (!r->orphan_ms)
        r->orphan_ms = clock_mono_ms();
    return r->feed_ended || clock_mono_ms() - r->orphan_ms >= ORPHAN_MS;
}

int recorder_run(int channel, int feed, int dir)
{
    struct recorder r = {.feed = {.fd = feed}};
    log_init("recorder");
    /* one thread: SQLite needs no locks, nor to count its memory */
    (void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is as a full disk */
    if (!fd_nonblock(channel) || !fd_cloexec(channel, true) || fchdir(dir) == -1)
        return WORKER_EXIT_CANNOT_START;
    chan_init(&r.chan, channel, TO_REC, TX_MAX, "supervisor");
    confine(&r, dir);
    r.job.batch = &r.batch;
    r.job.flush = flush;
    r.job.flush_arg = &r;
    job_backup_clean();
    upkeep_start(&r.upkeep, recorder_time());
    while (!r.stopping && !orphaned(&r)) {
        int64_t now = clock_mono_ms();
        struct retention_time t = recorder_time();
        if (r.configured && !gave_up(&r))
            look_at_clock(&r, t, now);
        recorder_look_at_name(&r, now);
        if (store_at(&r) <= now)
            recorder_store(&r, now);
        look_after(&r, t, now);
        if (gave_up(&r) && (r.feed.n || r.events.n))
            drop_all(&r);
        drop_late(&r);
        if (r.nasked && clock_mono_ms() >= r.asked[0].at_ms)
            answer_one(&r);
        if (job_turn(&r.job, clock_mono_ms()))
            r.say_ms = 0;
        if (r.configured && now >= r.say_ms)
            recorder_send_state(&r, now);
        wait(&r, clock_mono_ms());
    }
    finish(&r);
    fd_close(&dir);
    return WORKER_EXIT_DONE;
}
